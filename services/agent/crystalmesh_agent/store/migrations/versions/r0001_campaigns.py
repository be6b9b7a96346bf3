"""Campaigns, their events and their candidates."""

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "campaigns",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("request_id", sa.String(128), nullable=False, unique=True),
        sa.Column("request_sha256", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False, index=True),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("projection", sa.SmallInteger, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("lease_owner", sa.String(200)),
        sa.Column("lease_beat", sa.Double),
        sa.Column("lease_seconds", sa.Double),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "campaign_events",
        sa.Column("campaign", _NUMBER, sa.ForeignKey("campaigns.number"), primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("subject", sa.String(200)),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("crc32", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("campaign", "subject", "kind", name="campaign_events_once"),
    )
    op.create_table(
        "campaign_candidates",
        sa.Column("campaign", _NUMBER, sa.ForeignKey("campaigns.number"), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("stage", sa.SmallInteger, nullable=False),
        sa.Column("crystal_sha256", sa.LargeBinary),
        sa.Column("score", sa.Double),
        sa.Column("merits", sa.LargeBinary),
        sa.Column("on_pareto_front", sa.Boolean, nullable=False),
    )
    table = "campaign_candidates"
    op.create_index("campaign_candidates_by_rank", table, ["campaign", "score", "number"])
    op.create_index("campaign_candidates_by_number", table, ["campaign", "number"])
    op.create_index("campaign_candidates_by_crystal", table, ["campaign", "crystal_sha256"])

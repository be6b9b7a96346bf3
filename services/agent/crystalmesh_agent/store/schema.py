"""The tables. The events are the truth; campaigns and candidates hold what follows from them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite counts up by itself only in a column that is called INTEGER; it holds 64 bits all the same.
Number = BigInteger().with_variant(Integer, "sqlite")

MAX_OWNER = 200
MAX_SUBJECT = 200
MAX_REQUEST_ID = 128


class Base(DeclarativeBase):
    """All tables of the agent."""


class CampaignRow(Base):
    """A campaign as it is now, and who works on it."""

    __tablename__ = "campaigns"

    number: Mapped[int] = mapped_column(Number, primary_key=True, autoincrement=True)
    """In order of creation, never given twice."""
    id: Mapped[str] = mapped_column(String(64), unique=True)
    request_id: Mapped[str] = mapped_column(String(MAX_REQUEST_ID), unique=True)
    request_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    """Of the spec as the caller sent it."""

    state: Mapped[int] = mapped_column(SmallInteger, index=True)
    last_sequence: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    """The Campaign message."""
    projection: Mapped[int] = mapped_column(SmallInteger)
    """The version of the code that made `content` and the candidates out of the events."""

    fence: Mapped[int] = mapped_column(BigInteger)
    """Grows with every lease and with a cancellation; who holds an older one may not write."""
    lease_owner: Mapped[str | None] = mapped_column(String(MAX_OWNER))
    lease_beat: Mapped[float | None] = mapped_column(Double)
    """The last sign of life of the owner, in seconds by the database's clock."""
    lease_seconds: Mapped[float | None] = mapped_column(Double)

    __table_args__ = ({"sqlite_autoincrement": True},)


class EventRow(Base):
    """An event, as it is sent to those who watch."""

    __tablename__ = "campaign_events"

    campaign: Mapped[int] = mapped_column(ForeignKey("campaigns.number"), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[int] = mapped_column(SmallInteger)
    """The field number of the event's kind."""
    subject: Mapped[str | None] = mapped_column(String(MAX_SUBJECT))
    """What it is about: a campaign has one event of a kind and subject. None: it may happen again."""
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    """The CampaignEvent message."""
    crc32: Mapped[int] = mapped_column(BigInteger)

    # By subject first: the events of a candidate are its evidence.
    __table_args__ = (UniqueConstraint("campaign", "subject", "kind", name="campaign_events_once"),)


class CandidateRow(Base):
    """How far a candidate is; its evidence is in the events."""

    __tablename__ = "campaign_candidates"

    campaign: Mapped[int] = mapped_column(ForeignKey("campaigns.number"), primary_key=True)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    """The sequence of its first event: the order of generation."""
    state: Mapped[int] = mapped_column(SmallInteger)
    stage: Mapped[int] = mapped_column(SmallInteger)
    """The stage that it is in, was dropped in, or left last."""
    crystal_sha256: Mapped[bytes | None] = mapped_column(LargeBinary)
    """None: it is text that is no crystal."""
    score: Mapped[float | None] = mapped_column(Double)
    """What its rank goes by. None: it has no rank."""
    merits: Mapped[bytes | None] = mapped_column(LargeBinary)
    """How well it does by each wish, as doubles; what the Pareto front goes by."""
    on_pareto_front: Mapped[bool] = mapped_column(Boolean)

    __table_args__ = (
        Index("campaign_candidates_by_rank", "campaign", "score", "number"),
        Index("campaign_candidates_by_number", "campaign", "number"),
        Index("campaign_candidates_by_crystal", "campaign", "crystal_sha256"),
    )

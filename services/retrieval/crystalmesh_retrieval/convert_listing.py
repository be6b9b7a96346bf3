"""Getting and listing materials: protobuf to dataclasses and back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from crystalmesh.retrieval.v1 import material_pb2
from crystalmesh_common.runtime.errors import InvalidFieldError, MessageTooLargeError
from crystalmesh_common.runtime.pages import key_before, page_size_of, token_after
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_retrieval.catalog.filters import MaterialFilter
from crystalmesh_retrieval.convert import filter_of, wants_whole


@dataclass(frozen=True)
class ListingOrder:
    """A page that is asked for."""

    listing: str  # which one, for the tokens of its pages
    material_filter: MaterialFilter
    after: str  # the id of the last material of the page before
    size: int
    whole: bool


def listing_order(request: material_pb2.ListMaterialsRequest, catalog: str) -> ListingOrder:
    """Check a request; raises an InvalidRequestError. Not for an event loop."""
    whole = wants_whole(request.view, by_default=False)
    wanted = request.filter.SerializeToString(deterministic=True)
    digest = hashlib.sha256(b"\0".join([catalog.encode(), bytes([whole]), wanted])).hexdigest()
    listing = f"materials-{digest[:24]}"
    return ListingOrder(
        listing,
        filter_of(request.filter),
        key_before(request.page_token, listing),
        page_size_of(request.page_size),
        whole,
    )


def list_response(
    materials: Sequence[material_pb2.Material], last: str, order: ListingOrder, limits: Limits
) -> material_pb2.ListMaterialsResponse:
    """A page; `last` is the id of its last material where another page follows.

    Raises MessageTooLargeError for one that the transport would not take.
    """
    token = token_after(order.listing, last) if last else ""
    response = material_pb2.ListMaterialsResponse(materials=materials, next_page_token=token)
    if response.ByteSize() > limits.message_bytes:
        raise MessageTooLargeError(
            f"the page takes {response.ByteSize():,} bytes, at most {limits.message_bytes:,} are sent: "
            "ask for a smaller page_size",
            limit=limits.message_bytes,
        )
    return response


def check_material_id(material_id: str) -> None:
    """Raise InvalidFieldError where none is given."""
    if not material_id:
        raise InvalidFieldError("material_id must be set", field="material_id")

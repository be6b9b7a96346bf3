"""Materials on their way into a catalog: as messages of bounded size, read one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass, field

from crystalmesh.retrieval.v1 import ingestion_pb2
from crystalmesh_client.batches import Attempts
from crystalmesh_client.inputs import CrystalLike
from crystalmesh_client.materials import Material, MaterialInput
from crystalmesh_client.notebook import html_grid, html_table
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    InvalidFieldError,
    UnavailableError,
    UnreachableError,
    WriterBusyError,
)
from crystalmesh_common.runtime.statuses import from_status

MATERIALS_PER_MESSAGE = 256
_BYTES_PER_MESSAGE = 512 * 1024
"""Far below what servers take (64 MiB unless configured), and enough that a message more costs nothing."""

MaterialLike = MaterialInput | Material | CrystalLike
"""What can be added; a crystal alone is a material of which nothing is known."""


@dataclass(frozen=True)
class Rejection:
    """A material that was not added, with the reason."""

    id: str
    index: int  # its position among all that were given, from 0
    error: CrystalMeshError


@dataclass(frozen=True)
class AddedMaterials:
    """What became of materials: of the first `received_count`, all but the rejected ones are on disk."""

    catalog: str
    catalog_version: str
    received_count: int  # looked at, counted from the first
    added_count: int  # whose id was new
    replaced_count: int  # that took the place of another with their id
    unchanged_count: int  # that were already there
    rejections: tuple[Rejection, ...] = field(repr=False)
    complete: bool  # False: the server gave up after 1,000 rejections, and looked at no more

    def _repr_html_(self) -> str:
        head = html_table(
            ("catalog", self.catalog),
            ("received", f"{self.received_count:,}" + ("" if self.complete else ", then gave up")),
            ("added", f"{self.added_count:,}"),
            ("replaced", f"{self.replaced_count:,}"),
            ("unchanged", f"{self.unchanged_count:,}"),
            ("rejected", f"{len(self.rejections):,}"),
        )
        rows = [(each.id, each.error.reason, str(each.error)) for each in self.rejections[:20]]
        return head + (html_grid(("rejected", "reason", ""), rows) if rows else "")


class Shipment:
    """One attempt to send materials: packs them into messages, and remembers what was sent.

    What cannot be sent at all, such as a disordered structure, is rejected here and does not stop the others.
    """

    def __init__(self, catalog: str, *, create: bool, description: str) -> None:
        self.header = ingestion_pb2.AddMaterialsRequest(
            catalog=catalog, create_catalog=create, catalog_description=description
        )
        self._message = ingestion_pb2.AddMaterialsRequest()
        self._bytes = 0
        self._rejections: list[Rejection] = []
        self.given_count = 0
        self.is_whole = False
        self.reached = False  # whether the server took more than the header

    def pack(self, given: MaterialLike) -> ingestion_pb2.AddMaterialsRequest | None:
        """Take one material; a message once it is full."""
        index = self.given_count
        self.given_count += 1
        try:
            material = _to_input(given).to_proto()
        except UnicodeEncodeError:
            self._reject(given, index, InvalidFieldError("its id or a text of it is no valid UTF-8"))
            return None
        except CrystalMeshError as error:
            self._reject(given, index, error)
            return None
        size = material.ByteSize()
        full = (
            self._bytes + size > _BYTES_PER_MESSAGE or len(self._message.materials) >= MATERIALS_PER_MESSAGE
        )
        message = self._emptied() if full and self._message.materials else None
        self._message.materials.append(material)
        self._bytes += size
        return message

    def last(self) -> ingestion_pb2.AddMaterialsRequest:
        """What is left, possibly nothing, when there are no more materials."""
        self.is_whole = True
        return self._emptied()

    def arrived(self, response: ingestion_pb2.AddMaterialsResponse) -> AddedMaterials:
        """What became of it, as the server says and as was found here."""
        sent_count = self.given_count - len(self._rejections)
        there = [
            Rejection(each.material_id, self._index_given(each.index), from_status(each.error))
            for each in response.rejections
        ]
        complete = self.is_whole and response.received_count == sent_count
        looked_at = self.given_count if complete else self._index_given(response.received_count)
        here = [each for each in self._rejections if each.index < looked_at]
        return AddedMaterials(
            catalog=response.catalog,
            catalog_version=response.catalog_version,
            received_count=looked_at,
            added_count=response.added_count,
            replaced_count=response.replaced_count,
            unchanged_count=response.unchanged_count,
            rejections=tuple(sorted([*here, *there], key=lambda each: each.index)),
            complete=complete,
        )

    def _reject(self, given: MaterialLike, index: int, error: CrystalMeshError) -> None:
        self._rejections.append(Rejection(_name_of(given), index, error))

    def _index_given(self, index_sent: int) -> int:
        """The position among all materials, of one whose position among those that were sent is known."""
        index = index_sent
        for rejection in self._rejections:  # by rising position
            if rejection.index > index:
                break
            index += 1
        return index

    def _emptied(self) -> ingestion_pb2.AddMaterialsRequest:
        message, self._message, self._bytes = self._message, ingestion_pb2.AddMaterialsRequest(), 0
        return message


class Resending:
    """Whether and when to send the same materials again. Adding is idempotent, so it is always safe."""

    def __init__(self, materials: Iterable[object] | AsyncIterable[object]) -> None:
        self._attempts = Attempts()
        self._reached = False  # whether the server took anything in any attempt
        self._can_be_read_again = (
            iter(materials) is not materials
            if isinstance(materials, Iterable)
            else aiter(materials) is not materials
        )

    def pause_after(self, error: CrystalMeshError, shipment: Shipment) -> float:
        """Seconds to wait before the next attempt; raises what is to be told when there is none."""
        if not isinstance(error, UnavailableError | WriterBusyError):
            raise error
        self._reached |= shipment.reached
        # gRPC has tried for some seconds already, and nobody was there.
        if isinstance(error, UnreachableError) and not self._reached:
            raise error
        if self._can_be_read_again or not shipment.given_count:
            return self._attempts.pause_after(error)
        told = type(error)(
            f"{error.message}; {shipment.given_count:,} materials had been read by then, some may be there,"
            " and their iterator cannot be read again: give all of them once more (those that are"
            " there change nothing), best as a list or another iterable that begins anew",
            retry_after_seconds=error.retry_after_seconds,
        )
        told.details = {**error.details, "read": str(shipment.given_count)}
        raise told


def _to_input(given: MaterialLike) -> MaterialInput:
    if isinstance(given, MaterialInput):
        return given
    if isinstance(given, Material):
        return given.to_input()
    return MaterialInput(given)


def _name_of(given: MaterialLike) -> str:
    named: object = given.crystal if isinstance(given, MaterialInput) and not given.id else given
    return str(getattr(named, "id", "") or getattr(named, "name", ""))

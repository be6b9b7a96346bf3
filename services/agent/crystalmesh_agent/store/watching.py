"""Events as they happen, for any number of watchers, who share one look at the database."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Self

from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent
from crystalmesh.agent.v1.campaign_pb2 import Campaign
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.recording import ENDED
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    DatabaseBusyError,
    InternalError,
    InvalidFieldError,
    ResourceNotFoundError,
    ShuttingDownError,
    WrongStateError,
)

POLL_SECONDS = 0.5

# Events of a campaign that are kept for its watchers; who is further behind reads from the database.
_KEPT = 500
_CHUNK = 200


class _Tail:
    """The last events of a campaign that someone watches."""

    def __init__(self, last_sequence: int) -> None:
        self.watchers = 0
        self.last_sequence = last_sequence
        self.kept: deque[CampaignEvent] = deque(maxlen=_KEPT)
        self.failure: CrystalMeshError | None = None
        self.news = asyncio.Event()

    def add(self, events: Sequence[CampaignEvent]) -> None:
        self.kept.extend(events)
        self.last_sequence = events[-1].sequence
        self._wake()

    def fail(self, failure: CrystalMeshError) -> None:
        self.failure = failure
        self._wake()

    def after(self, sequence: int) -> Sequence[CampaignEvent] | None:
        """The kept events that follow; None where they go not so far back."""
        first = self.last_sequence - len(self.kept) + 1
        if sequence + 1 < first:
            return None
        return [self.kept[index] for index in range(sequence + 1 - first, len(self.kept))]

    def _wake(self) -> None:
        self.news.set()
        self.news = asyncio.Event()


class EventFeed:
    """Follows the campaigns that are watched, within one event loop: enter it before use.

    Changes of this process wake it; for those of others it looks at the database every so often, once for
    all campaigns and watchers, and not at all while nobody watches.
    """

    def __init__(self, store: CampaignStore, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._store = store
        self._poll_seconds = poll_seconds
        self._tails: dict[str, _Tail] = {}
        self._awake = asyncio.Event()
        self._follower: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()

        def wake(campaign_id: str) -> None:
            if campaign_id in self._tails:
                with suppress(RuntimeError):  # the loop is closed: nobody watches
                    loop.call_soon_threadsafe(self._awake.set)

        self._unsubscribe = self._store.on_change(wake)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Watches that are open end with ShuttingDownError."""
        self._unsubscribe()
        for tail in self._tails.values():
            tail.fail(ShuttingDownError("the server is stopping; resume after the last event seen"))
        if self._follower is not None:
            self._follower.cancel()
            with suppress(asyncio.CancelledError):
                await self._follower

    async def watch(self, campaign_id: str, after_sequence: int = 0) -> AsyncGenerator[CampaignEvent, None]:
        """The events that follow, past ones and then each as it happens, to the campaign's last.

        Raises ResourceNotFoundError, InvalidFieldError when there is no such sequence yet, WrongStateError
        when the campaign is deleted meanwhile, DataCorruptError, and DatabaseBusyError only at first: later
        it waits. Watchers share the events and must not change them.
        """
        campaign = await asyncio.to_thread(self._store.get, campaign_id)
        if after_sequence > campaign.last_sequence:
            raise InvalidFieldError(
                f"after_sequence is {after_sequence}, and the last event is {campaign.last_sequence}",
                field="after_sequence",
            )
        if after_sequence == campaign.last_sequence and campaign.state in ENDED:
            return
        position = after_sequence
        with self._tail(campaign) as tail:
            while True:
                news = tail.news
                events = tail.after(position)
                if events is None:
                    events = await self._past(campaign_id, position)
                for event in events:
                    yield event
                    position = event.sequence
                    if event.HasField("finished"):
                        return
                if tail.failure is not None:
                    raise tail.failure
                if not events:
                    await news.wait()

    @contextmanager
    def _tail(self, campaign: Campaign) -> Iterator[_Tail]:
        tail = self._tails.setdefault(campaign.id, _Tail(campaign.last_sequence))
        tail.watchers += 1
        if self._follower is None or self._follower.done():
            self._follower = asyncio.create_task(self._follow(), name="events of campaigns")
        try:
            yield tail
        finally:
            tail.watchers -= 1
            if tail.watchers == 0:
                del self._tails[campaign.id]
                self._awake.set()

    async def _past(self, campaign_id: str, position: int) -> Sequence[CampaignEvent]:
        while True:
            try:
                return await asyncio.to_thread(self._store.events, campaign_id, position, limit=_CHUNK)
            except DatabaseBusyError:
                await asyncio.sleep(self._poll_seconds)
            except ResourceNotFoundError:
                raise _deleted(campaign_id) from None

    async def _follow(self) -> None:
        try:
            while self._tails:
                # Not `wait_for`: it may swallow our cancellation when it comes together with the news.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_seconds):
                        await self._awake.wait()
                self._awake.clear()
                with suppress(DatabaseBusyError):
                    await self._look({key: tail for key, tail in self._tails.items() if not tail.failure})
        except Exception:
            for tail in self._tails.values():
                tail.fail(InternalError("events cannot be followed"))
            raise

    async def _look(self, tails: Mapping[str, _Tail]) -> None:
        last = await asyncio.to_thread(self._store.last_sequences, list(tails))
        for campaign_id, tail in tails.items():
            try:
                while tail.last_sequence < last.get(campaign_id, 0):
                    tail.add(
                        await asyncio.to_thread(
                            self._store.events, campaign_id, tail.last_sequence, limit=_CHUNK
                        )
                    )
                if campaign_id not in last:
                    tail.fail(_deleted(campaign_id))
            except DatabaseBusyError:
                raise
            except ResourceNotFoundError:
                tail.fail(_deleted(campaign_id))
            except CrystalMeshError as error:  # the others' campaigns are whole
                tail.fail(error)


def _deleted(campaign_id: str) -> WrongStateError:
    return WrongStateError(f"the campaign {campaign_id} was deleted", campaign_id=campaign_id)

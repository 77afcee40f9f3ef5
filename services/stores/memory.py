"""Stores that live as long as their process: the default, as in the seed.

Each method is one step, alone in its store, and waits for nothing else, so concurrent calls cannot lose an update:
those of an event loop meet no lock that is taken, those of threads take turns. Of request ids the newest are
remembered, up to a bound.
Pages cost O(log n + page) and, for a filter of users, a merge of those users' orders only.
"""

from __future__ import annotations

import functools
import threading
import time
import uuid
from bisect import bisect_left, bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import merge
from itertools import islice
from typing import Any, Generic, TypeVar, cast

from services.stores.ports import (
    Created,
    OrderChanges,
    OrderDraft,
    OrderRecord,
    OrderStatus,
    OrderUpdate,
    Page,
    RequestIdReusedError,
    UserChanges,
    UserDraft,
    UserRecord,
)

Method = TypeVar("Method", bound=Callable[..., Coroutine[Any, Any, Any]])

Clock = Callable[[], int]
IdSource = Callable[[], str]

Draft = TypeVar("Draft")
Record = TypeVar("Record")


def _one_step(method: Method) -> Method:
    """Let a method of a store run while no other does."""

    @functools.wraps(method)
    async def alone(self: Any, *arguments: Any, **options: Any) -> Any:
        with self._lock:
            return await method(self, *arguments, **options)

    return cast("Method", alone)


REMEMBERED_REQUESTS = 100_000  # a client that repeats a create does so within seconds
ID_DIGIT_COUNT = 12  # hex digits: short enough to read aloud, long enough that a restart meets no old id


def random_ids(prefix: str) -> IdSource:
    """Return a source of ids such as `u-3f9a1c2b4d5e`."""
    return lambda: f"{prefix}-{uuid.uuid4().hex[:ID_DIGIT_COUNT]}"


class _Requests(Generic[Draft, Record]):
    """What each of the newest `limit` request ids asked for, and the record that it got."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._answers: OrderedDict[str, tuple[Draft, Record]] = OrderedDict()

    def answer(self, request_id: str, draft: Draft) -> Record | None:
        """Return the first answer to this request; raise RequestIdReusedError if it asked for something else."""
        known = self._answers.get(request_id)
        if known is None:
            return None
        if known[0] != draft:
            raise RequestIdReusedError(request_id)
        return known[1]

    def remember(self, request_id: str, draft: Draft, record: Record) -> None:
        if request_id:
            self._answers[request_id] = (draft, record)
            if len(self._answers) > self._limit:
                self._answers.popitem(last=False)


def _page(records: Iterable[Record], limit: int, position_of: Callable[[Record], int]) -> Page[Record]:
    """Take a page and look one record further, so that the last page is known to be the last."""
    taken = tuple(islice(records, limit + 1))
    if len(taken) <= limit:
        return Page(taken, None)
    return Page(taken[:limit], position_of(taken[limit - 1]))


class MemoryUserStore:
    """Users in this process's memory."""

    def __init__(
        self,
        *,
        clock: Clock = time.time_ns,
        ids: IdSource | None = None,
        remembered_requests: int = REMEMBERED_REQUESTS,
    ) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._ids = ids or random_ids("u")
        self._by_id: dict[str, UserRecord] = {}
        self._id_at: dict[int, str] = {}
        self._positions: list[int] = []
        self._last_position = 0
        self._requests: _Requests[UserDraft, UserRecord] = _Requests(remembered_requests)

    @_one_step
    async def create(self, draft: UserDraft, request_id: str = "") -> Created[UserRecord]:
        """Fulfil `UserStore.create`."""
        known = self._requests.answer(request_id, draft)
        if known is not None:
            return Created(known, is_new=False)
        self._last_position += 1
        now_unix_nano = self._clock()
        record = UserRecord(
            self._unused_id(), self._last_position, draft.name, draft.email, now_unix_nano, now_unix_nano
        )
        self._by_id[record.user_id] = record
        self._id_at[record.position] = record.user_id
        self._positions.append(record.position)
        self._requests.remember(request_id, draft, record)
        return Created(record, is_new=True)

    def _unused_id(self) -> str:
        while (user_id := self._ids()) in self._by_id:
            pass
        return user_id

    @_one_step
    async def get(self, user_id: str) -> UserRecord | None:
        """Fulfil `UserStore.get`."""
        return self._by_id.get(user_id)

    @_one_step
    async def get_many(self, user_ids: Collection[str]) -> dict[str, UserRecord]:
        """Fulfil `UserStore.get_many`."""
        return {user_id: self._by_id[user_id] for user_id in user_ids if user_id in self._by_id}

    @_one_step
    async def page(self, after_position: int, limit: int) -> Page[UserRecord]:
        """Fulfil `UserStore.page`."""
        start = bisect_right(self._positions, after_position)
        records = (self._by_id[self._id_at[position]] for position in islice(self._positions, start, None))
        return _page(records, limit, lambda record: record.position)

    @_one_step
    async def update(self, user_id: str, changes: UserChanges) -> UserRecord | None:
        """Fulfil `UserStore.update`."""
        record = self._by_id.get(user_id)
        if record is None:
            return None
        changed = replace(
            record,
            name=record.name if changes.name is None else changes.name,
            email=record.email if changes.email is None else changes.email,
            update_time_unix_nano=self._clock(),
        )
        self._by_id[user_id] = changed
        return changed

    @_one_step
    async def delete(self, user_id: str) -> bool:
        """Fulfil `UserStore.delete`."""
        record = self._by_id.pop(user_id, None)
        if record is None:
            return False
        del self._id_at[record.position]
        del self._positions[bisect_left(self._positions, record.position)]
        return True


class MemoryOrderStore:
    """Orders in this process's memory."""

    def __init__(
        self,
        *,
        clock: Clock = time.time_ns,
        ids: IdSource | None = None,
        remembered_requests: int = REMEMBERED_REQUESTS,
    ) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._ids = ids or random_ids("o")
        self._by_id: dict[str, OrderRecord] = {}
        self._id_at: list[str] = []  # the order at position n stands at n - 1: orders are never deleted
        self._positions_of: defaultdict[str, list[int]] = defaultdict(list)
        self._requests: _Requests[OrderDraft, OrderRecord] = _Requests(remembered_requests)

    @_one_step
    async def create(self, draft: OrderDraft, request_id: str = "") -> Created[OrderRecord]:
        """Fulfil `OrderStore.create`."""
        known = self._requests.answer(request_id, draft)
        if known is not None:
            return Created(known, is_new=False)
        now_unix_nano = self._clock()
        record = OrderRecord(
            order_id=self._unused_id(),
            position=len(self._id_at) + 1,
            user_id=draft.user_id,
            amount_minor_units=draft.amount_minor_units,
            status=OrderStatus.PENDING,
            note=draft.note,
            create_time_unix_nano=now_unix_nano,
            update_time_unix_nano=now_unix_nano,
        )
        self._by_id[record.order_id] = record
        self._id_at.append(record.order_id)
        self._positions_of[record.user_id].append(record.position)
        self._requests.remember(request_id, draft, record)
        return Created(record, is_new=True)

    def _unused_id(self) -> str:
        while (order_id := self._ids()) in self._by_id:
            pass
        return order_id

    @_one_step
    async def created_by(self, draft: OrderDraft, request_id: str) -> OrderRecord | None:
        """Fulfil `OrderStore.created_by`."""
        return self._requests.answer(request_id, draft)

    @_one_step
    async def get(self, order_id: str) -> OrderRecord | None:
        """Fulfil `OrderStore.get`."""
        return self._by_id.get(order_id)

    @_one_step
    async def page(self, after_position: int, limit: int, user_ids: Sequence[str] = ()) -> Page[OrderRecord]:
        """Fulfil `OrderStore.page`."""
        positions = self._positions_after(after_position, user_ids)
        records = (self._by_id[self._id_at[position - 1]] for position in positions)
        return _page(records, limit, lambda record: record.position)

    def _positions_after(self, after_position: int, user_ids: Sequence[str]) -> Iterator[int]:
        if not user_ids:
            return iter(range(max(after_position, 0) + 1, len(self._id_at) + 1))
        of_each = (self._positions_of.get(user_id, []) for user_id in dict.fromkeys(user_ids))
        return merge(*(islice(positions, bisect_right(positions, after_position), None) for positions in of_each))

    @_one_step
    async def last_position(self) -> int:
        """Fulfil `OrderStore.last_position`."""
        return len(self._id_at)

    @_one_step
    async def update(self, order_id: str, changes: OrderChanges) -> OrderUpdate | None:
        """Fulfil `OrderStore.update`."""
        before = self._by_id.get(order_id)
        if before is None:
            return None
        after = replace(
            before,
            status=before.status if changes.status is None else changes.status,
            note=before.note if changes.note is None else changes.note,
            update_time_unix_nano=self._clock(),
        )
        self._by_id[order_id] = after
        return OrderUpdate(before, after)

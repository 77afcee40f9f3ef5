"""TrackOrders: pushes every change of an order to those who watch it, and lets no slow watcher hold up a writer.

A change is handed to each watcher's own queue in one step that never waits. A full queue gives up its oldest change;
the next one that is delivered says how many are missing before it. Acknowledgements are never given up: instead, a
client that doesn't read them is not read from. One lock for the watchers of a service, held for a few steps and never
while waiting: on an event loop nobody ever waits for it.

Each push is a span of the watcher's trace, a child of the stream's server span, with a LINK to the span that changed
the order: the change did not wait for the push, so it is not its parent. Its kind is INTERNAL: it sends on a stream
that has its own SERVER span, and no consumer's span answers it, which is what PRODUCER would promise.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import structlog
from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Tracer

from generated import order_pb2
from services.errors import UnavailableError
from services.grpc_api.aio import AIO
from services.grpc_api.ports import Api
from services.order_messages import order_message
from services.stores.ports import OrderRecord, OrderStatus
from services.validation import Violations

log = structlog.get_logger()

DEFAULT_QUEUE_SIZE = 100  # changes; enough for a reader's hiccup, little enough to notice a stuck one
MAX_WAITING_ACKNOWLEDGEMENTS = 10
PUSH_SPAN_NAME = "push OrderChanged"


@dataclass(frozen=True, slots=True)
class OrderChange:
    """An order after a change, its status before (None: it is new), and the span in which the change was made."""

    order: OrderRecord
    previous_status: OrderStatus | None
    cause: SpanContext

    @classmethod
    def here(cls, order: OrderRecord, previous_status: OrderStatus | None) -> OrderChange:
        """Return a change made in the current span."""
        return cls(order, previous_status, trace.get_current_span().get_span_context())


Pushed: TypeAlias = "order_pb2.SubscriptionAcknowledged | tuple[OrderChange, int]"


class Watcher:
    """What one stream is subscribed to, and what waits to be sent to it."""

    def __init__(self, queue_size: int, api: Api = AIO, lock: threading.RLock | None = None) -> None:
        self.lock = lock or threading.RLock()
        self.order_ids: set[str] = set()
        self.user_ids: set[str] = set()
        self._queue_size = queue_size
        self._changes: deque[OrderChange] = deque()
        self._acknowledgements: deque[tuple[int, order_pb2.SubscriptionAcknowledged]] = deque()
        self._taken_count = 0  # changes that left the queue, delivered or given up
        self._missed_count = 0
        self._end: BaseException | bool = False
        self._news = api.event()
        self._room = api.event()

    def offer(self, change: OrderChange) -> None:
        """Queue a change; give up the oldest if there is no room. Never waits."""
        with self.lock:
            if len(self._changes) >= self._queue_size:
                self._changes.popleft()
                self._taken_count += 1
                self._missed_count += 1
            self._changes.append(change)
            self._news.set()

    async def acknowledge(self) -> None:
        """Queue an acknowledgement behind the changes that wait now; wait while too many are unread."""
        acknowledged = order_pb2.SubscriptionAcknowledged(
            order_count=len(self.order_ids), user_count=len(self.user_ids)
        )
        with self.lock:
            self._acknowledgements.append((self._taken_count + len(self._changes), acknowledged))
            self._news.set()
        while self._is_full():
            await self._room.wait()

    def _is_full(self) -> bool:
        with self.lock:
            is_full = len(self._acknowledgements) >= MAX_WAITING_ACKNOWLEDGEMENTS
            if is_full:
                self._room.clear()
            return is_full

    def end(self, error: BaseException | None = None) -> None:
        """Let the stream end once the queue is empty, or at once with `error`."""
        with self.lock:
            self._end = self._end or (True if error is None else error)
            self._news.set()

    async def next(self) -> Pushed | None:
        """Return the next acknowledgement, or change with the count missed before it; None at the end.

        Raises the error that the stream was ended with.
        """
        while True:
            with self.lock:
                if isinstance(self._end, BaseException):
                    raise self._end
                pushed = self._take()
                if pushed is not None or self._end:
                    return pushed
                self._news.clear()
            await self._news.wait()

    def _take(self) -> Pushed | None:
        if self._acknowledgements and self._acknowledgements[0][0] <= self._taken_count:
            self._room.set()
            return self._acknowledgements.popleft()[1]
        if self._changes:
            missed_count, self._missed_count = self._missed_count, 0
            self._taken_count += 1
            return self._changes.popleft(), missed_count
        return None


class OrderTracker:
    """Knows every watcher by what it is subscribed to."""

    def __init__(self, tracer: Tracer, queue_size: int = DEFAULT_QUEUE_SIZE, api: Api = AIO) -> None:
        self._api = api
        self._lock = threading.RLock()
        self._tracer = tracer
        self._queue_size = queue_size
        self._watchers: set[Watcher] = set()
        self._by_order: defaultdict[str, set[Watcher]] = defaultdict(set)
        self._by_user: defaultdict[str, set[Watcher]] = defaultdict(set)

    @property
    def watcher_count(self) -> int:
        """How many streams are open."""
        return len(self._watchers)

    def publish(self, change: OrderChange) -> None:
        """Hand a change to everybody who watches its order or its user. Never waits; cost grows with those alone."""
        order = change.order
        with self._lock:
            for watcher in self._by_order.get(order.order_id, set()) | self._by_user.get(order.user_id, set()):
                watcher.offer(change)

    def stop(self) -> None:
        """End every stream, because the server stops."""
        stopping = UnavailableError("SERVER_STOPPING", "the service is stopping; subscribe again")
        with self._lock:
            for watcher in self._watchers:
                watcher.end(stopping)

    async def track(
        self, requests: AsyncIterator[order_pb2.TrackOrdersRequest]
    ) -> AsyncGenerator[order_pb2.TrackOrdersResponse, None]:
        """Answer one stream: acknowledge its requests, push changes, end when its requests do and all is sent."""
        watcher = Watcher(self._queue_size, self._api, self._lock)
        with self._lock:
            self._watchers.add(watcher)
        log.info("tracking.started", watcher_count=self.watcher_count)
        reader = self._api.start(self._subscribe(watcher, requests), "track-orders-requests")
        pushed_count = 0
        try:
            while (event := await watcher.next()) is not None:
                if isinstance(event, order_pb2.SubscriptionAcknowledged):
                    yield order_pb2.TrackOrdersResponse(acknowledged=event)
                    continue
                pushed_count += 1
                span = self._start_push(*event)
                try:
                    yield _changed(*event)
                finally:
                    span.end()
        finally:
            self._forget(watcher)
            log.info("tracking.ended", pushed_count=pushed_count, watcher_count=self.watcher_count)
            await reader.cancel()

    def _start_push(self, change: OrderChange, missed_count: int) -> Span:
        """Start a push's span, current for its log line alone: a generator must keep no context over `yield`."""
        span = self._tracer.start_span(
            PUSH_SPAN_NAME,
            kind=SpanKind.INTERNAL,
            links=[Link(change.cause)] if change.cause.is_valid else [],
            attributes={"tracelab.order.id": change.order.order_id, "tracelab.order.missed_count": missed_count},
        )
        with trace.use_span(span, end_on_exit=False):
            log.info("order.pushed", order_id=change.order.order_id, missed_count=missed_count)
        return span

    async def _subscribe(self, watcher: Watcher, requests: AsyncIterator[order_pb2.TrackOrdersRequest]) -> None:
        """Read a stream's requests to their end, or to the first bad one, which ends the stream."""
        try:
            async for request in requests:
                with self._lock:
                    if watcher not in self._watchers:  # its stream has ended meanwhile
                        return
                    self._apply(watcher, request)
                await watcher.acknowledge()
        except Exception as error:  # whatever it is, the stream's own task shall raise it
            watcher.end(error)
        else:
            watcher.end()

    def _apply(self, watcher: Watcher, request: order_pb2.TrackOrdersRequest) -> None:
        action = request.WhichOneof("action")
        selection = _selection(request)
        if action == "subscribe":
            _add(self._by_order, watcher, watcher.order_ids, selection.order_ids)
            _add(self._by_user, watcher, watcher.user_ids, _user_ids(selection))
        else:
            _remove(self._by_order, watcher, watcher.order_ids, selection.order_ids)
            _remove(self._by_user, watcher, watcher.user_ids, _user_ids(selection))

    def _forget(self, watcher: Watcher) -> None:
        with self._lock:
            self._watchers.discard(watcher)
            _remove(self._by_order, watcher, watcher.order_ids, tuple(watcher.order_ids))
            _remove(self._by_user, watcher, watcher.user_ids, tuple(watcher.user_ids))


def _add(index: defaultdict[str, set[Watcher]], watcher: Watcher, own: set[str], ids: Iterable[str]) -> None:
    for each in ids:
        own.add(each)
        index[each].add(watcher)


def _remove(index: defaultdict[str, set[Watcher]], watcher: Watcher, own: set[str], ids: Iterable[str]) -> None:
    for each in ids:
        own.discard(each)
        index[each].discard(watcher)
        if not index[each]:
            del index[each]


def _user_ids(selection: order_pb2.OrderSelection) -> tuple[str, ...]:
    return (selection.user_id,) if selection.user_id else ()


def _selection(request: order_pb2.TrackOrdersRequest) -> order_pb2.OrderSelection:
    """Return what a request selects; raise InvalidFieldsError if it says nothing or too much."""
    violations = Violations()
    action = request.WhichOneof("action")
    selection = request.unsubscribe if action == "unsubscribe" else request.subscribe
    if action is None:
        violations.add("action", "must be subscribe or unsubscribe, is not set")
    elif not selection.order_ids and not selection.user_id:
        violations.add(action, "must name order_ids or a user_id, has neither")
    violations.ids(f"{action}.order_ids", selection.order_ids)
    violations.raise_if_any()
    return selection


def _changed(change: OrderChange, missed_count: int) -> order_pb2.TrackOrdersResponse:
    previous = order_pb2.OrderStatus.ValueType(change.previous_status or 0)
    changed = order_pb2.OrderChanged(
        order=order_message(change.order), previous_status=previous, missed_count=missed_count
    )
    return order_pb2.TrackOrdersResponse(changed=changed)

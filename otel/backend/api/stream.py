"""`GET /api/lab/stream`: new traces and log records as server-sent events, while they are stored.

Events: `trace` (a summary as v3 writes it; a trace that grows is told again), `log` (OTLP/JSON `resourceLogs` of one
request) and `dropped` (how many events a slow reader missed). Each reader has a bounded queue: a slow one loses events
and is told so, and holds up nobody. Source: WHATWG HTML, server-sent events.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from otel.backend.api.v3 import summary_json
from otel.backend.codec.otlp_json import to_json
from otel.backend.ports import TelemetryStore, TraceSummary

MAX_QUEUED_EVENTS = 256
MAX_READERS = 64
# A comment now and then keeps proxies and browsers from giving up.
KEEP_ALIVE_S = 15.0

Event = tuple[str, Any]


class Feed:
    """Hands what was stored to everybody who listens. Methods run on the event loop, but for `announce`."""

    def __init__(self, max_queued_events: int = MAX_QUEUED_EVENTS, max_readers: int = MAX_READERS) -> None:
        self._max_queued_events = max_queued_events
        self._max_readers = max_readers
        self._readers: set[FeedReader] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def is_heard(self) -> bool:
        """Whether anybody listens; readable from any thread."""
        return bool(self._readers)

    @property
    def reader_count(self) -> int:
        """How many listen."""
        return len(self._readers)

    def announce(self, store: TelemetryStore, trace_ids: frozenset[bytes], logs: Sequence[ResourceLogs]) -> None:
        """Tell the readers of what was just committed; called in the writer's thread, free where nobody listens."""
        loop = self._loop
        if not self._readers or loop is None:
            return
        summaries = store.summaries_of(list(trace_ids)[: self._max_queued_events])
        events = [_trace_event(summary) for summary in reversed(summaries)]
        if logs:
            events.append(("log", {"resourceLogs": [to_json(entry) for entry in logs]}))
        with contextlib.suppress(RuntimeError):  # the loop has just been closed
            loop.call_soon_threadsafe(self._deliver, events)

    def join(self) -> FeedReader | None:
        """Register a reader, who must `leave`; None where there are as many as there may be."""
        if len(self._readers) >= self._max_readers:
            return None
        self._loop = asyncio.get_running_loop()
        reader = FeedReader(self._max_queued_events)
        self._readers.add(reader)
        if self._closed:
            reader.end()
        return reader

    def leave(self, reader: FeedReader) -> None:
        """Forget a reader."""
        self._readers.discard(reader)

    def close(self) -> None:
        """End every reader's stream, so that a server that stops need not wait for them."""
        self._closed = True
        for reader in self._readers:
            reader.end()

    def _deliver(self, events: Sequence[Event]) -> None:
        for reader in self._readers:
            reader.put(events)


class FeedReader:
    """One listener's queue."""

    def __init__(self, max_queued_events: int) -> None:
        self._max_queued_events = max_queued_events
        self._events: deque[Event] = deque()
        self._dropped_count = 0
        self._wake = asyncio.Event()
        self.ended = False

    def put(self, events: Sequence[Event]) -> None:
        """Queue events, or count those that do not fit."""
        room = self._max_queued_events - len(self._events)
        self._events.extend(events[:room])
        self._dropped_count += max(0, len(events) - room)
        self._wake.set()

    def end(self) -> None:
        """Let the stream end once it has been read."""
        self.ended = True
        self._wake.set()

    async def take(self, timeout_s: float) -> list[Event]:
        """Return what is queued, waiting at most so long for something."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        self._wake.clear()
        taken = list(self._events)
        self._events.clear()
        if self._dropped_count:
            taken.append(("dropped", {"count": self._dropped_count}))
            self._dropped_count = 0
        return taken


class FeedResponse(StreamingResponse):
    """An endless stream of events to a reader, who leaves when it ends or never begins."""

    def __init__(self, feed: Feed, reader: FeedReader) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(_events(reader), media_type="text/event-stream", headers=headers)
        self._feed = feed
        self._reader = reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until the reader goes away or the feed is closed."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._feed.leave(self._reader)


async def stream(request: Request) -> Response:
    """Answer with an endless stream of events; a reader counts from here, not from its first byte."""
    feed: Feed = request.app.state.feed
    reader = feed.join()
    if reader is None:
        return Response("too many listeners; close another page\n", status_code=503, headers={"retry-after": "10"})
    return FeedResponse(feed, reader)


ROUTES = [Route("/api/lab/stream", stream, methods=["GET"])]


async def _events(reader: FeedReader, keep_alive_s: float = KEEP_ALIVE_S) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n: listening\n\n"
    while True:
        taken = await reader.take(keep_alive_s)
        if taken:
            yield b"".join(b"event: %s\ndata: %s\n\n" % (name.encode(), orjson.dumps(body)) for name, body in taken)
        elif reader.ended:
            return
        else:
            yield b": still here\n\n"


def _trace_event(summary: TraceSummary) -> Event:
    return "trace", summary_json(summary)

"""The bounded queue between the receivers and the store, and the one thread that writes.

A request is answered only after its transaction is committed, so what is accepted is stored. Requests that wait while a
transaction runs go into the next one together: the busier it is, the larger the batches. Past its bounds the queue
refuses, and nothing that it took is ever dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from otel.backend.errors import BackendError, OverloadedError, StoreError, StoreFullError
from otel.backend.ports import IngestCounts, TelemetryStore, Written
from otel.backend.receivers.requests import Submission

# A protobuf tree takes several times its wire size in memory, so 32 MiB of requests is about 150 MiB at worst.
MAX_QUEUED_BYTES = 32 * 1024 * 1024
# One transaction takes at most this much, so that the first request in it does not wait for long.
MAX_BATCH_BYTES = 4 * 1024 * 1024
RETRY_AFTER_S = 1.0
EXPIRY_INTERVAL_S = 5.0

log = structlog.get_logger("otel.backend.ingest")


@dataclass(slots=True)
class _Waiting:
    submission: Submission
    done: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop


class Ingest:
    """Takes submissions from the event loop and writes them in its own thread.

    `on_written(submissions, written)` is called in the writer's thread after each commit and must be quick.
    """

    def __init__(
        self,
        store: TelemetryStore,
        on_written: Callable[[list[Submission], Written], None] = lambda *_: None,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
        expiry_interval_s: float = EXPIRY_INTERVAL_S,
    ) -> None:
        self._store = store
        self._on_written = on_written
        self._max_queued_bytes = max_queued_bytes
        self._expiry_interval_s = expiry_interval_s
        self._expired_monotonic_s = time.monotonic()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._queued_bytes = 0
        self._lock = threading.Lock()
        self._stopping = False
        self._storage_error = ""
        self._counts = IngestCounts()
        self._refused_request_count = 0
        self._thread = threading.Thread(target=self._run, name="store-writer")

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    async def stop(self) -> None:
        """Refuse what comes, write what was taken, end the thread. The store stays open."""
        with self._lock:
            self._stopping = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    async def submit(self, submission: Submission) -> None:
        """Return once the submission is committed.

        OverloadedError where the queue is full (nothing was taken), StoreFullError where the store cannot take it now.
        A caller that is cancelled while it waits does not take its submission back.
        """
        if submission.is_empty:
            return
        loop = asyncio.get_running_loop()
        waiting = _Waiting(submission, loop.create_future(), loop)
        self._enqueue(waiting)
        await waiting.done

    @property
    def queued_bytes(self) -> int:
        """How much waits, in bytes of wire format."""
        return self._queued_bytes

    @property
    def counts(self) -> IngestCounts:
        """What came in since the start; readable from any thread."""
        return replace(self._counts, refused_request_count=self._refused_request_count, queued_bytes=self._queued_bytes)

    @property
    def storage_error(self) -> str:
        """Why the store did not take the last write, in a sentence; "" if it did. What is damaged or full is told,
        not what was wrong with a submission.
        """
        return self._storage_error

    def _enqueue(self, waiting: _Waiting) -> None:
        size_bytes = waiting.submission.size_bytes
        with self._lock:
            if self._stopping:
                self._refused_request_count += 1
                raise StoreFullError("the backend is stopping; send again to the one that follows")
            # One request always fits into an empty queue, whatever its size.
            if self._queued_bytes and self._queued_bytes + size_bytes > self._max_queued_bytes:
                self._refused_request_count += 1
                raise OverloadedError(
                    f"{self._queued_bytes} bytes wait to be stored, more than fits; send again later",
                    retry_after_s=RETRY_AFTER_S,
                )
            self._queued_bytes += size_bytes
            # Inside the lock, so that nothing can be put behind the end that `stop` puts.
            self._queue.put(waiting)

    def _run(self) -> None:
        running = True
        while running:
            batch, running = self._next_batch()
            if batch:
                self._write(batch)
            self._expire_in_time()

    def _next_batch(self) -> tuple[list[_Waiting], bool]:
        batch: list[_Waiting] = []
        size_bytes = 0
        try:
            waiting = self._queue.get(timeout=self._expiry_interval_s)
            while waiting is not None:
                batch.append(waiting)
                size_bytes += waiting.submission.size_bytes
                if size_bytes >= MAX_BATCH_BYTES:
                    return batch, True
                waiting = self._queue.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _write(self, batch: list[_Waiting]) -> None:
        error = self._try_write([waiting.submission for waiting in batch])
        if error is None or len(batch) == 1 or isinstance(error, StoreFullError):
            self._settle(batch, error)
            return
        # One submission that cannot be stored must not fail those that came with it.
        for waiting in batch:
            self._settle([waiting], self._try_write([waiting.submission]))

    def _try_write(self, submissions: list[Submission]) -> BackendError | None:
        try:
            written = self._store.write(
                [part for submission in submissions for part in submission.spans],
                [part for submission in submissions for part in submission.logs],
                [part for submission in submissions for part in submission.metrics],
                [content for submission in submissions for content in submission.span_contents],
            )
        except StoreFullError as error:
            self._storage_error = str(error)
            log.warning("write.refused", error=str(error))
            return error
        except Exception as error:
            if isinstance(error, StoreError):
                self._storage_error = str(error)
            log.exception("write.failed")
            return StoreError("internal error; the backend's log has the details")
        self._storage_error = ""
        self._count(written)
        try:
            self._on_written(submissions, written)
        except Exception:
            log.exception("write.unannounced")
        return None

    def _count(self, written: Written) -> None:
        counts = self._counts
        self._counts = IngestCounts(
            counts.span_count + written.span_count,
            counts.log_count + written.log_count,
            counts.point_count + written.point_count,
            counts.duplicate_count + written.duplicate_count,
        )

    def _settle(self, batch: list[_Waiting], error: BackendError | None) -> None:
        with self._lock:
            self._refused_request_count += len(batch) if error else 0
            self._queued_bytes -= sum(waiting.submission.size_bytes for waiting in batch)
        for waiting in batch:
            # A loop that is closed has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                waiting.loop.call_soon_threadsafe(_resolve, waiting.done, error)

    def _expire_in_time(self) -> None:
        now_s = time.monotonic()
        if now_s - self._expired_monotonic_s < self._expiry_interval_s:
            return
        self._expired_monotonic_s = now_s
        try:
            trace_count = self._store.expire()
        except Exception:
            log.exception("expiry.failed")
            return
        if trace_count:
            log.info("traces.expired", trace_count=trace_count)


def _resolve(done: asyncio.Future[None], error: BackendError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)

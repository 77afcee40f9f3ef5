"""One RPC on its server: collects the signals of its ending and ends its span when the RPC's task is done."""

from __future__ import annotations

import asyncio
import time
import weakref
from contextvars import ContextVar
from typing import Any, Final, Protocol

import grpc
import grpc.aio
from grpc._cython import cygrpc

from otel.instrument import semconv
from otel.instrument.aio.deadline_watch import DeadlineWatch, WatchedCall
from otel.instrument.aio.unobserved import UnobservedCall
from otel.instrument.call_record import CallRecord
from otel.instrument.endings import Ending, Failure, ServerSignals, deadline_slack_s, server_ending
from otel.instrument.exceptions import exception_was_logged, mark_exception_logged
from otel.instrument.peers import peer_attributes
from otel.instrument.server_stop import ServerStop

current_server_call: ContextVar[ServerCall | UnobservedCall] = ContextVar("tracelab_server_call")


class ServedContext(Protocol):
    """The part of a servicer context that tracing reads; grpc.aio's has it, a plain `def` servicer's is observed."""

    def code(self) -> Any: ...  # noqa: D102
    def details(self) -> str: ...  # noqa: D102
    def done(self) -> bool: ...  # noqa: D102
    def peer(self) -> str: ...  # noqa: D102
    def time_remaining(self) -> float | None: ...  # noqa: D102


class Requests(Protocol):
    """The requests of a streaming RPC, as far as its ending depends on them."""

    @property
    def is_awaited(self) -> bool: ...  # noqa: D102


class ServerCall:
    """One RPC's signals. Lives in the RPC's task; a plain `def` servicer touches it from its thread.

    `record`'s span is ended by the task's done callback, which gRPC's task reaches for every ending, also for those
    where no servicer method was called. A busy loop calls it long after the client has its answer, so the span of an
    answered call ends at the moment that `answered` noted.
    """

    __slots__ = (
        "_answered_unix_nano",
        "_cancelled_before_deadline",
        "_context",
        "_deadlines",
        "_due",
        "_error",
        "_error_was_logged",
        "_found_it_over",
        "_is_known_method",
        "_left_s",
        "_loop",
        "_requests",
        "_stop",
        "_task",
        "_timeout_s",
        "_was_aborted",
        "_was_stopping",
        "record",
    )

    def __init__(self, record: CallRecord, stop: ServerStop, deadlines: DeadlineWatch) -> None:
        self.record = record
        self._stop = stop
        self._deadlines = deadlines
        self._due: set[WatchedCall] | None = None
        self._context: ServedContext | None = None
        self._error: BaseException | None = None
        self._error_was_logged = False
        self._was_aborted = False
        self._found_it_over = False
        self._was_stopping = False
        self._is_known_method = True
        self._timeout_s: float | None = None
        self._left_s: float | None = None
        self._answered_unix_nano: int | None = None
        self._cancelled_before_deadline = False
        self._requests: Requests | None = None
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a server interceptor runs outside a task: this grpcio is not the pinned one")
        # The task holds this object, by its context: held in turn, each call would wait for the garbage collector.
        self._task = weakref.ref(task)
        self._loop = task.get_loop()
        task.add_done_callback(self._end)

    def unknown_method(self) -> None:
        """Note that the server knows no such method."""
        self._is_known_method = False

    def reads_requests(self, requests: Requests) -> None:
        """Note the stream of requests that the servicer is given."""
        self._requests = requests

    @property
    def is_cancelled(self) -> bool:
        """Say whether the RPC's task was asked to stop."""
        task = self._task()
        return task is not None and task.cancelling() > 0

    def reached(self, context: ServedContext, *, in_thread: bool = False) -> None:
        """Note that the servicer method is about to run, and what only its context tells."""
        self._context = context
        self._timeout_s = remaining_s = context.time_remaining()
        if self.record.is_recording:
            self.record.late_attributes.update(peer_attributes(context.peer()))
            if remaining_s is not None:
                self.record.late_attributes[semconv.TIME_REMAINING_S] = remaining_s
        # When to look whether a cancel came before the deadline: early enough that a busy loop still looks in time.
        look_in_s = -1.0 if remaining_s is None else remaining_s - 2 * deadline_slack_s(remaining_s)
        if look_in_s > 0.0:
            if in_thread:
                self._loop.call_soon_threadsafe(self._watch_deadline, look_in_s)
            else:
                self._watch_deadline(look_in_s)

    def left(self, error: BaseException | None = None) -> None:
        """Note that the servicer method is over, how, and how much of the deadline was left at that moment.

        An exception that nobody has logged yet is logged here, in its own context and with its stack.
        """
        if self._context is not None:
            self._left_s = self._context.time_remaining()
        self._was_stopping = self._stop.is_cancelling
        if error is not None:
            self._note_error(error)
        self._answered_unix_nano = time.time_ns()

    def _note_error(self, error: BaseException) -> None:
        if isinstance(error, grpc.aio.AbortError):
            self._was_aborted = True
            self._error = error
        elif isinstance(error, cygrpc.InternalError):
            # A write into a call that is over, most likely: the cancel may come a moment later. With a status already
            # on its way it is the abort that could not be sent any more.
            self._error = error
            self._found_it_over = self._context is not None and self._context.done()
            self._error_was_logged = exception_was_logged(error)
            mark_exception_logged(error)
        elif isinstance(error, Exception):
            self.failed(error)

    def answered(self) -> None:
        """Note that answer or status go to gRPC now: the servicer is left, and then a unary answer is serialized."""
        self._answered_unix_nano = time.time_ns()

    def failed(self, error: Exception) -> None:
        """Note an exception that nobody handles, of the servicer or of a (de)serializer; log it unless it was."""
        self._error = error
        if not exception_was_logged(error):
            mark_exception_logged(error)
            self.record.log_exception(semconv.SERVER_CALL_EXCEPTION, error)

    def _watch_deadline(self, look_in_s: float) -> None:
        if self.record.has_ended:
            return
        self._due = self._deadlines.add(self._loop, look_in_s, self)

    def deadline_is_near(self) -> None:
        """See whether the call was cut short before its deadline could be the reason."""
        # A loop that was blocked calls this too late, when a cancel may be the deadline's own: then nothing is known.
        remaining_s = None if self._context is None else self._context.time_remaining()
        is_in_time = remaining_s is not None and remaining_s > deadline_slack_s(self._timeout_s)
        self._cancelled_before_deadline = is_in_time and self.is_cancelled

    def _end(self, _task: asyncio.Task[Any]) -> None:
        if self._due is not None:
            self._due.discard(self)
        if self._went_well():
            self.record.end(_OK, self._answered_unix_nano)
        else:
            self._end_as_signalled()
        self._requests = None  # it holds this call in turn

    def _went_well(self) -> bool:
        """Say whether the servicer just returned, as most do: then there is nothing to weigh in `server_ending`."""
        context = self._context
        return (
            context is not None
            and self._error is None
            and (self._left_s is None or self._left_s > 0.0)
            and not self.is_cancelled
            and context.done()
            and context.code() in _UNSET
        )

    def _end_as_signalled(self) -> None:
        if self._context is None and self._is_known_method:
            self.record.late_attributes[semconv.HANDLER_REACHED] = False
        signals = self._signals()
        if isinstance(self._error, cygrpc.InternalError) and not (signals.was_cancelled or self._error_was_logged):
            self.record.log_exception(semconv.SERVER_CALL_EXCEPTION, self._error)
        ending = server_ending(signals)
        if signals.was_cancelled and ending.code is None:
            self.record.late_attributes[semconv.CUT_SHORT] = True
        self.record.end(ending, self._answered_unix_nano if signals.is_answered else None)

    def _signals(self) -> ServerSignals:
        context = self._context
        if context is None:
            return ServerSignals(is_known_method=self._is_known_method, is_reached=False, failure=self._failure(None))
        code = _status_code(context.code())
        return ServerSignals(
            code=code,
            details=context.details() or "",
            failure=self._failure(code),
            was_aborted=self._was_aborted,
            was_cancelled=self.is_cancelled or not context.done() or self._found_it_over,
            awaited_request=self._requests is not None and self._requests.is_awaited,
            timeout_s=self._timeout_s,
            # A plain `def` servicer works on in its thread when the deadline has ended its call.
            remaining_s=context.time_remaining() if self._left_s is None else self._left_s,
            cancelled_before_deadline=self._cancelled_before_deadline,
            is_stopping=self._was_stopping,
        )

    def _failure(self, code: grpc.StatusCode | None) -> Failure | None:
        if self._error is None:
            return None
        if code is None or code is grpc.StatusCode.OK:
            code = grpc.StatusCode.UNKNOWN
        # gRPC sends these details, whatever was set.
        return Failure(code, f"Unexpected {type(self._error)}: {self._error}")


_OK: Final = Ending(grpc.StatusCode.OK)
_UNSET: Final = (None, 0, grpc.StatusCode.OK)
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


def _status_code(code: Any) -> grpc.StatusCode | None:
    """Read a servicer context's code: None or OK's number where it was never set, an enum or its number else."""
    if code is None or isinstance(code, grpc.StatusCode):
        return code
    return _CODES.get(code)

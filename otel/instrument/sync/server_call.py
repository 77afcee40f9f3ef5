"""One RPC on its server: collects the signals of its ending from the threads that it meets, and ends its span."""

from __future__ import annotations

import contextvars
import functools
import threading
import time
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, Protocol

import grpc
from opentelemetry.context import attach, detach

from otel.instrument import semconv
from otel.instrument.call_record import CallRecord
from otel.instrument.endings import Ending, Failure, ServerSignals, server_ending
from otel.instrument.exceptions import exception_was_logged, mark_exception_logged
from otel.instrument.peers import peer_attributes
from otel.instrument.server_stop import ServerStop

# Holds the call in the RPC's own context, so that it lives exactly as long as gRPC keeps the RPC.
current_server_call: ContextVar[ServerCall] = ContextVar("tracelab_sync_server_call")
# Without a deadline gRPC says that 9.2e18 s are left.
NO_DEADLINE_S: Final = 1e9
NOT_PARSED: Final = "Exception deserializing request!"
NOT_SERIALIZED: Final = "Failed to serialize response!"


class Requests(Protocol):
    """The requests of a streaming RPC, as far as its ending depends on them."""

    @property
    def is_awaited(self) -> bool: ...  # noqa: D102


class ServerCall:
    """One RPC's signals, from three sides: its arrival, its servicer in a pool thread, and its end in gRPC's account.

    gRPC's serving thread makes it and says when the RPC is over; a pool thread runs the servicer. The span ends when
    both are through, so that it is as long as the work was; where the server is stopping it ends with the RPC, since
    the process may not live to see its servicer return. An RPC that no servicer was called for ends when gRPC drops it.
    """

    __slots__ = (
        "_answered_unix_nano",
        "_context",
        "_failure",
        "_has_left",
        "_is_over",
        "_lock",
        "_remaining_s",
        "_requests",
        "_state",
        "_stop",
        "_timeout_s",
        "_was_awaiting",
        "_was_stopping",
        "record",
    )

    def __init__(self, record: CallRecord, stop: ServerStop) -> None:
        self.record = record
        self._stop = stop
        self._lock = threading.Lock()
        self._context: Any = None
        self._state: Any = None
        self._requests: Requests | None = None
        self._failure: Failure | None = None
        self._has_left = False
        self._is_over = False
        self._timeout_s: float | None = None
        self._remaining_s: float | None = None
        self._was_awaiting = False
        self._was_stopping = False
        self._answered_unix_nano: int | None = None
        current_server_call.set(self)

    def __del__(self) -> None:
        """End an RPC that never reached a servicer: expired in the pool's queue, refused, or without a request."""
        if self._context is None and self.record.is_observed and not self.record.has_ended:
            self._end_unreached()

    def unknown_method(self) -> None:
        """End the span of a method that the server does not know: gRPC refuses the call at once."""
        self.record.end(server_ending(ServerSignals(is_known_method=False, is_reached=False)))

    def not_served(self, error: Exception) -> None:
        """End the span of a call for which an interceptor further in raised instead of giving a handler."""
        self._log(error)
        self._failure = Failure(grpc.StatusCode.UNKNOWN, "Error in service handler!")
        self._end_unreached()

    def reads_requests(self, requests: Requests) -> None:
        """Note the stream of requests that the servicer is given."""
        self._requests = requests

    def reached(self, context: Any) -> None:
        """Note that the servicer method is about to run, and what only its context tells."""
        self._context = context
        self._state = getattr(context, "_state", None)
        is_open = not self.record.is_observed or context.add_callback(self._over)
        if self._state is not None:
            context.add_callback = functools.partial(_add_callback, weakref.ref(context))
        if not self.record.is_observed:
            return
        self._timeout_s = self._remaining_s = _remaining_s(context)
        if self.record.is_recording:
            attributes = self.record.late_attributes
            attributes.update(peer_attributes(context.peer()))
            attributes[semconv.HANDLER_WAIT_S] = self.record.age_s()
            if self._timeout_s is not None:
                attributes[semconv.TIME_REMAINING_S] = self._timeout_s
        if not is_open:
            self._over()

    def left(self, error: BaseException | None = None, *, while_iterating: bool = False) -> None:
        """Note that the servicer method is over and how; a second time says nothing new.

        An exception that nobody has logged yet is logged here, in its own context and with its stack.
        """
        if self._has_left:
            return
        if isinstance(error, Exception) and not self._is_grpcs_own(error):
            self._log(error)
            self._failure = self._failure or _failure_of(error, while_iterating)
        if not self.record.is_observed:
            self._forget()
            return
        self._answered_unix_nano = time.time_ns()
        with self._lock:
            self._has_left = True
            is_over = self._is_over
            if not is_over:
                self._remaining_s = _remaining_s(self._context)
                self._was_awaiting = self._requests is not None and self._requests.is_awaited
        if is_over:
            self._stop.left(self)
            self._end()
            self._forget()

    def answered(self) -> None:
        """Note that a unary answer, serialized, goes to gRPC now."""
        self._answered_unix_nano = time.time_ns()

    def not_parsed(self, error: Exception | None, *, in_stream: bool) -> None:
        """Note a request that its deserializer did not take: gRPC refuses the call, whatever the servicer does."""
        self._failure = Failure(grpc.StatusCode.INTERNAL, NOT_PARSED)
        if error is not None:
            token = attach(self.record.context)  # gRPC's serving thread has a context of its own
            try:
                self._log(error)
            finally:
                detach(token)
        if not in_stream and self.record.is_observed:
            self._end_unreached()

    def raise_if_not_parsed(self) -> None:
        """Raise what gRPC raises in a stream of requests that was cut, if it ended because one did not parse.

        gRPC has refused the call and shows an ordinary end; after this error nothing more is sent.
        """
        if self._failure is not None and self._failure.details == NOT_PARSED and self._state is not None:
            error = grpc.RpcError()
            self._state.rpc_errors.append(error)
            raise error

    def not_serialized(self, error: Exception | None) -> None:
        """Note an answer that its serializer did not take: gRPC refuses the call and asks its servicer for no more."""
        self._failure = Failure(grpc.StatusCode.INTERNAL, NOT_SERIALIZED)
        if error is not None:
            self._log(error)
        self.left()

    def end_now(self) -> None:
        """End the span of a call that is over although its servicer works on."""
        self._end()

    def _over(self) -> None:
        """Note that gRPC is through with the RPC: its status is sent, or it was cut short. In the serving thread."""
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            self._was_stopping = self._stop.is_cancelling
            has_left = self._has_left
            if not has_left:
                self._remaining_s = _remaining_s(self._context)
                self._was_awaiting = self._requests is not None and self._requests.is_awaited
        if has_left or self._was_stopping:
            self._end()
        else:
            self._stop.outlived(self)
        if has_left:
            self._forget()

    def _forget(self) -> None:
        """Let go of gRPC's context, which holds this call in turn: else each call would wait for the collector."""
        self._context = self._state = self._requests = None

    def _log(self, error: Exception) -> None:
        if not exception_was_logged(error):
            mark_exception_logged(error)
            self.record.log_exception(semconv.SERVER_CALL_EXCEPTION, error)

    def _is_grpcs_own(self, error: Exception) -> bool:
        """Say whether gRPC raised `error` itself: in `abort`, or because its client is gone."""
        if self._state is None:  # an interceptor further out stands in for gRPC's context
            return type(error) is Exception and not error.args
        return bool(self._state.aborted) or error in self._state.rpc_errors

    def _end_unreached(self) -> None:
        self.record.late_attributes[semconv.HANDLER_REACHED] = False
        self.record.end(server_ending(ServerSignals(is_reached=False, failure=self._failure)))

    def _end(self) -> None:
        signals = self._signals()
        ending = _OK if signals is _WENT_WELL else server_ending(signals)
        if signals.was_cancelled and ending.code is None:
            self.record.late_attributes[semconv.CUT_SHORT] = True
        self.record.end(ending, self._answered_unix_nano if signals.is_answered else None)

    def _signals(self) -> ServerSignals:
        context, state = self._context, self._state
        was_cancelled = not (context.code() if state is None else state.statused)
        code = _status_code(context.code())
        was_aborted = bool(state is not None and state.aborted)
        is_expired = self._remaining_s is not None and self._remaining_s <= 0.0
        if not (was_cancelled or was_aborted or is_expired or self._failure) and code in _UNSET:
            return _WENT_WELL
        return ServerSignals(
            code=code,
            details=_text(context.details()),
            failure=self._sent_failure(code, _text(context.details())),
            was_aborted=was_aborted and self._failure is None,
            was_cancelled=was_cancelled,
            awaited_request=self._was_awaiting,
            timeout_s=self._timeout_s,
            remaining_s=self._remaining_s,
            is_stopping=self._was_stopping,
        )

    def _sent_failure(self, code: grpc.StatusCode | None, details: str) -> Failure | None:
        """Return what gRPC sends for a failure: what the servicer had set comes before what gRPC would say."""
        if self._failure is None:
            return None
        return Failure(self._failure.code if code is None else code, details or self._failure.details)


_OK: Final = Ending(grpc.StatusCode.OK)
_UNSET: Final = (None, grpc.StatusCode.OK)
_WENT_WELL: Final = ServerSignals()


def _remaining_s(context: Any) -> float | None:
    remaining_s: float = context.time_remaining()
    return None if remaining_s > NO_DEADLINE_S else remaining_s


def _status_code(code: Any) -> grpc.StatusCode | None:
    """Read a context's code as gRPC does: what is no status code is sent as UNKNOWN."""
    return code if code is None or isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def _text(details: bytes | str | None) -> str:
    return details.decode("utf-8", "replace") if isinstance(details, bytes) else details or ""


def _failure_of(error: Exception, while_iterating: bool) -> Failure:
    doing = "iterating responses" if while_iterating else "calling application"
    try:
        details = f"Exception {doing}: {error}"
    except Exception:
        details = "Calling application raised unprintable Exception!"
    return Failure(grpc.StatusCode.UNKNOWN, details)


def _add_callback(context: weakref.ref[Any], callback: Callable[[], None]) -> bool:
    """Do what `context.add_callback` does, with the callback in the context of the servicer that adds it."""
    servicer_context: Any = context()
    run = contextvars.copy_context().run
    added: bool = type(servicer_context).add_callback(servicer_context, functools.partial(run, callback))
    return added

"""How every call ends: domain errors become a status, anything else INTERNAL, and one `rpc.finished` line says which.

Stands inside tracing, so that both its log lines belong to the call's span, and outside everything else. The one place
that knows how a call ended also says so: a second layer around each call would cost more than it explains.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Any, Self

import grpc
import structlog
from opentelemetry import trace

from services.behaviors import CallScope, Context, Continuation, Handler, UnparsableRequest, WrappedHandlers
from services.errors import DomainError, malformed_request, status_of
from services.grpc_api.aio import AIO
from services.grpc_api.ports import Api

if TYPE_CHECKING:
    from types import TracebackType

log = structlog.get_logger()

# Health probes and reflection would drown the calls that a person made.
UNREPORTED_PREFIX = "/grpc."
# At the end of a call whose deadline passed this much may be left on the server's clock (measured: 10 ms at most).
DEADLINE_SLACK_S = 0.05


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Maps what handlers raise to a `google.rpc.Status` whose ErrorInfo has `domain`, such as `user.tracelab`."""

    def __init__(self, domain: str, api: Api = AIO) -> None:
        self.api = api
        self._domain = domain
        self._cut_off_s = math.inf
        self._wrapped = WrappedHandlers()

    def server_stopping(self, grace_s: float) -> None:
        """Say that the server stops: calls cancelled after `grace_s` from now are those that it cut off."""
        self._cut_off_s = time.monotonic() + grace_s

    async def intercept_service(
        self,
        continuation: Continuation,
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the handler, whatever its kind; an unknown method stays unknown."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(UNREPORTED_PREFIX):
            return handler
        return self._wrapped.wrap(method, handler, lambda context: _Ending(self, method, context))

    async def answer_refusal(self, context: Context, error: DomainError) -> None:
        """End the call as `error` says; raises AbortError."""
        await context.abort_with_status(status_of(error, self._domain))

    async def answer_failure(self, context: Context, error: BaseException) -> None:
        """Log what nobody expected, once, and end the call with nothing of it in the answer; raises AbortError."""
        log.error("rpc.server.call.exception", exc_info=error)
        await self.answer_refusal(context, _internal_error())

    def cancel_code(self, context: Context) -> grpc.StatusCode:
        """Tell why a call was cancelled: its deadline passed, the server stops, or the client went away."""
        # Unlike the stub says, grpc.aio gives None where the caller set no deadline.
        left_s: float | None = context.time_remaining()
        if left_s is not None and left_s <= DEADLINE_SLACK_S:
            return grpc.StatusCode.DEADLINE_EXCEEDED
        return grpc.StatusCode.UNAVAILABLE if time.monotonic() >= self._cut_off_s else grpc.StatusCode.CANCELLED


class _Ending(CallScope):
    """The scope of one call: waits for its end and names it."""

    __slots__ = ("_context", "_interceptor", "_method", "_start_s")

    def __init__(self, interceptor: ErrorInterceptor, method: str, context: Context) -> None:
        self._interceptor = interceptor
        self._method = method
        self._context = context

    async def __aenter__(self) -> Self:
        self._start_s = time.perf_counter()
        return self

    async def received(self, message: Any, /) -> None:
        """Refuse a message that can't be read."""
        if isinstance(message, UnparsableRequest):
            raise malformed_request()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        match error:
            case None:
                self._finished(self._code_of_return())
            case asyncio.CancelledError() | GeneratorExit():
                self._finished(self._interceptor.cancel_code(self._context))
            case grpc.aio.AbortError():
                self._finished(self._set_code() or grpc.StatusCode.UNKNOWN)
            case DomainError():
                if self._interceptor.api.is_cancelled(self._context):  # nobody hears what it raises any more
                    self._finished(self._interceptor.cancel_code(self._context))
                else:
                    self._finished(error.code, error.reason)
                await self._interceptor.answer_refusal(self._context, error)
            case Exception():
                self._finished(grpc.StatusCode.INTERNAL, "INTERNAL")
                await self._interceptor.answer_failure(self._context, error)
            case _:
                self._finished(grpc.StatusCode.UNKNOWN)

    def _code_of_return(self) -> grpc.StatusCode:
        if self._interceptor.api.is_cancelled(self._context):  # the handler returned all the same
            return self._interceptor.cancel_code(self._context)
        left_s: float | None = self._context.time_remaining()
        if left_s is not None and left_s <= 0:  # it held up the event loop past its deadline and saw no cancel
            return grpc.StatusCode.DEADLINE_EXCEEDED
        return self._set_code() or grpc.StatusCode.OK

    def _set_code(self) -> grpc.StatusCode | None:
        # Unlike the stub says, grpc.aio gives None while no code is set, and tests of `abort` may set an int.
        code: grpc.StatusCode | None = self._context.code()
        return code

    def _finished(self, code: grpc.StatusCode, reason: str = "") -> None:
        because = {"reason": reason} if reason else {}
        log.info(
            "rpc.finished",
            rpc_method=self._method.removeprefix("/"),
            status_code=code.name,
            duration_ms=round((time.perf_counter() - self._start_s) * 1_000, 3),
            **because,
        )


def _internal_error() -> DomainError:
    span_context = trace.get_current_span().get_span_context()
    if not span_context.is_valid:
        return DomainError(grpc.StatusCode.INTERNAL, "INTERNAL", "internal error; the service's log has the details")
    trace_id = trace.format_trace_id(span_context.trace_id)
    message = f"internal error; trace {trace_id} has the details"
    return DomainError(grpc.StatusCode.INTERNAL, "INTERNAL", message, {"trace_id": trace_id})

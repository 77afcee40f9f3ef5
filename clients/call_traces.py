"""Notes the trace of each call that a client makes, from inside the tracing interceptors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc.aio
from opentelemetry import trace


@dataclass(frozen=True, slots=True)
class CallTrace:
    """The trace that a call belongs to. `trace_id` is "" where nothing traces calls (instrumentation off)."""

    method: str
    trace_id: str
    is_sampled: bool


class CallTraces:
    """Collects a `CallTrace` for each call through its interceptors. Belongs to one event loop."""

    def __init__(self) -> None:
        self.calls: list[CallTrace] = []

    def interceptors(self) -> list[grpc.aio.ClientInterceptor]:
        """Make interceptors for the four kinds of RPC; they go inside the tracing ones."""
        return [kind(self) for kind in (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)]

    def note(self, method: str | bytes) -> None:
        """Remember the trace of the call that is being started."""
        context = trace.get_current_span().get_span_context()
        trace_id = f"{context.trace_id:032x}" if context.is_valid else ""
        name = method.decode() if isinstance(method, bytes) else method
        self.calls.append(CallTrace(name.rpartition("/")[2], trace_id, context.trace_flags.sampled))

    def of(self, method: str) -> CallTrace | None:
        """The trace of the last call of a method, by its short name such as `GetUserReport`."""
        return next((call for call in reversed(self.calls) if call.method == method), None)


class _Noting:
    def __init__(self, traces: CallTraces) -> None:
        self._traces = traces

    async def _noted(self, continuation: Any, details: grpc.aio.ClientCallDetails, request: Any) -> Any:
        self._traces.note(details.method)
        return await continuation(details, request)


class _UnaryUnary(_Noting, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self._noted(continuation, client_call_details, request)


class _UnaryStream(_Noting, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self._noted(continuation, client_call_details, request)


class _StreamUnary(_Noting, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self._noted(continuation, client_call_details, request_iterator)


class _StreamStream(_Noting, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self._noted(continuation, client_call_details, request_iterator)

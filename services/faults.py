"""Faults by request: a call's baggage says what shall go wrong, and this interceptor lets it happen.

Only a service started with `--allow-faults` has it. Baggage is read from the current context, or, where no tracing
extracted it, from the call's metadata, so faults work with every instrumentation. `times=N` counts by trace and
process, by the trace id of the current span or of `traceparent`; calls without either share one count. Effects come in
this order: delay and status before the handler runs; `abort_after=N` after N response messages (request messages,
where the response is single and the request a stream), with the fault's status, or UNAVAILABLE, as of a server that
died. A single response counts as one message, so `abort_after=1` loses an answer whose work is done. `when=` looks at
the request; at a stream of requests it looks at each until one matches, and the fault begins there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context as TelemetryContext
from opentelemetry.context import attach
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.behaviors import CallScope, Continuation, Handler, wrap
from services.errors import FieldViolation, InjectedFaultError, InvalidFieldsError
from services.fault_text import BAGGAGE_KEY, Condition, Fault, UnknownFaultError, parse_faults
from services.grpc_api.aio import AIO
from services.grpc_api.ports import Api

log = structlog.get_logger()

MAX_COUNTED = 10_000  # traces whose `times` are remembered; the oldest is forgotten first
EMPTY_CONTEXT = TelemetryContext()


class FaultCounts:
    """How often each limited fault has happened, by trace; bounded, and safe in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[tuple[str, Fault], int] = OrderedDict()

    def take(self, trace_id: str, fault: Fault) -> bool:
        """Count one more time and tell whether the fault may still happen."""
        if fault.times is None:
            return True
        with self._lock:
            count = self._counts.pop((trace_id, fault), 0)
            self._counts[trace_id, fault] = min(count + 1, fault.times)
            if len(self._counts) > MAX_COUNTED:
                self._counts.popitem(last=False)
        return count < fault.times


class FaultInterceptor(grpc.aio.ServerInterceptor):
    """Lets the faults of a call's baggage happen; `methods` are those that a fault may name, by short name."""

    def __init__(self, methods: Mapping[str, MethodDescriptor], api: Api = AIO) -> None:
        self._methods = methods
        self._api = api
        self._name_of = {
            f"/{method.containing_service.full_name}/{method.name}": name for name, method in methods.items()
        }
        self._counts = FaultCounts()

    async def intercept_service(
        self,
        continuation: Continuation,
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the handler of a call that names faults; every other call passes as it is."""
        handler = await continuation(handler_call_details)
        name = self._name_of.get(handler_call_details.method)
        if handler is None or name is None:
            return handler
        carrier = {str(key): str(value) for key, value in handler_call_details.invocation_metadata}
        text = _fault_text(carrier)
        if text is None:
            return handler
        trace_id = _trace_id(carrier)
        asked = self._asked(name, text)
        return wrap(handler, lambda _context: _Injection(self._api, self._counts, trace_id, asked, handler))

    def _asked(self, name: str, text: str) -> Callable[[], Sequence[Fault]]:
        def faults() -> Sequence[Fault]:
            try:
                return [fault for fault in parse_faults(text, self._methods) if fault.method == name]
            except UnknownFaultError as error:
                raise InvalidFieldsError([FieldViolation(f"baggage.{BAGGAGE_KEY}", str(error))]) from error

        return faults


class _Injection(CallScope):
    """The faults of one call."""

    def __init__(
        self, api: Api, counts: FaultCounts, trace_id: str, asked: Callable[[], Sequence[Fault]], handler: Handler
    ) -> None:
        self._api = api
        self._counts = counts
        self._trace_id = trace_id
        self._asked = asked
        self._has_request_stream = bool(handler.request_streaming)
        self._counts_requests = bool(handler.request_streaming and not handler.response_streaming)
        self._waiting: list[Fault] = []
        self._aborting: list[Fault] = []
        self._message_count = 0

    async def __aenter__(self) -> Self:
        self._waiting = list(self._asked())
        if self._has_request_stream:
            await self._begin([fault for fault in self._waiting if fault.when is None])
        return self

    async def received(self, message: Any, /) -> None:
        """Begin the faults that wait for such a request."""
        if self._counts_requests:
            self._abort_if_due()
            self._message_count += 1
        await self._begin([fault for fault in self._waiting if fault.when is None or matches(fault.when, message)])

    async def sent(self, _message: Any, /) -> None:
        """Abort after the last message that a fault lets through."""
        if not self._counts_requests:
            self._message_count += 1
        self._abort_if_due()

    async def _begin(self, faults: Sequence[Fault]) -> None:
        for fault in faults:
            self._waiting.remove(fault)
            if self._counts.take(self._trace_id, fault):
                await self._inject(fault)

    async def _inject(self, fault: Fault) -> None:
        log.info("fault.injected", rpc_method=fault.method, **_effects(fault))
        if fault.delay_s is not None:
            await self._api.sleep(fault.delay_s)
        if fault.abort_after_count:
            self._aborting.append(fault)
        elif fault.status is not None or fault.abort_after_count == 0:
            raise _failure(fault)

    def _abort_if_due(self) -> None:
        for fault in self._aborting:
            if self._message_count >= (fault.abort_after_count or 0):
                raise _failure(fault)


def _failure(fault: Fault) -> InjectedFaultError:
    return InjectedFaultError(fault.status or grpc.StatusCode.UNAVAILABLE, fault.method)


def matches(condition: Condition, request: Message) -> bool:
    """Tell whether a request's field equals the value, or contains it; enums by name, booleans as `true`, `false`."""
    field: Any = request.DESCRIPTOR.fields_by_name[condition.field]  # typed as one of two unrelated implementations
    value = getattr(request, condition.field)
    return condition.value in {_text(field, each) for each in (value if field.is_repeated else [value])}


def _text(field: Any, value: object) -> str:
    if field.enum_type is not None and isinstance(value, int):
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else str(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _effects(fault: Fault) -> dict[str, object]:
    """Return what a log line may say of a fault: never its condition, whose value may be personal."""
    effects: dict[str, object] = {}
    if fault.delay_s is not None:
        effects["delay_ms"] = fault.delay_s * 1_000
    if fault.status is not None:
        effects["injected_status_code"] = fault.status.name
    if fault.abort_after_count is not None:
        effects["abort_after_count"] = fault.abort_after_count
    return effects


def _fault_text(carrier: Mapping[str, str]) -> str | None:
    text = baggage.get_baggage(BAGGAGE_KEY)
    if text is None and BAGGAGE_KEY in carrier.get("baggage", ""):
        extracted = W3CBaggagePropagator().extract(carrier, context=EMPTY_CONTEXT)
        text = baggage.get_baggage(BAGGAGE_KEY, extracted)
        if text is not None:  # for `services.fault_forwarding`; ends with the context of this call
            attach(baggage.set_baggage(BAGGAGE_KEY, text))
    return None if text is None else str(text)


def _trace_id(carrier: Mapping[str, str]) -> str:
    current = trace.get_current_span().get_span_context()
    if not current.is_valid:
        extracted = TraceContextTextMapPropagator().extract(carrier, context=EMPTY_CONTEXT)
        current = trace.get_current_span(extracted).get_span_context()
    return trace.format_trace_id(current.trace_id)

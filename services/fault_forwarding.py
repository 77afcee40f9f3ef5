"""Passes the faults of a call on to the services behind where no tracing does: with instrumentation off.

So that a run without tracing can have the same fault as the traced run that it is compared with. Nothing but the member
`fault` of the baggage goes on, and only in services started with `--allow-faults`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context

from services.faults import BAGGAGE_KEY


def fault_forwarders() -> Sequence[grpc.aio.ClientInterceptor]:
    """Return the interceptors for a channel; services make calls of these two kinds only."""
    return (_UnaryUnary(), _UnaryStream())


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        """Call on, with the faults."""
        return await continuation(_with_faults(client_call_details), request)


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        """Call on, with the faults."""
        return await continuation(_with_faults(client_call_details), request)


def _with_faults(details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
    text = baggage.get_baggage(BAGGAGE_KEY)
    if text is None:
        return details
    carrier: dict[str, str] = {}
    W3CBaggagePropagator().inject(carrier, baggage.set_baggage(BAGGAGE_KEY, text, Context()))
    metadata = grpc.aio.Metadata(*(details.metadata or ()), *carrier.items())
    return grpc.aio.ClientCallDetails(
        details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
    )

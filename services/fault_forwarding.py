"""Passes the faults of a call on to the services behind where no tracing does: with instrumentation off.

So that a run without tracing can have the same fault as the traced run that it is compared with. Nothing but the member
`fault` of the baggage goes on, and only in services started with `--allow-faults`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context

from services.fault_text import BAGGAGE_KEY


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
    carried = _carried()
    if not carried:
        return details
    metadata = grpc.aio.Metadata(*(details.metadata or ()), *carried)
    return grpc.aio.ClientCallDetails(
        details.method, details.timeout, metadata, details.credentials, details.wait_for_ready
    )


def sync_fault_forwarders() -> Sequence[grpc.UnaryUnaryClientInterceptor]:
    """Return the interceptors for a synchronous channel."""
    return (_Synchronous(),)


class _Synchronous(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Call on, with the faults."""
        return continuation(_Details.with_faults(client_call_details), request)

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Call on, with the faults."""
        return continuation(_Details.with_faults(client_call_details), request)


@dataclass(frozen=True, slots=True)
class _Details(grpc.ClientCallDetails):
    """What gRPC reads of a call; it has no such value of its own to make."""

    method: str
    timeout: float | None
    metadata: tuple[tuple[str, str | bytes], ...] | None
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None

    @classmethod
    def with_faults(cls, details: Any) -> Any:
        carried = _carried()
        if not carried:
            return details
        metadata = (*(details.metadata or ()), *carried)
        return cls(
            details.method,
            details.timeout,
            metadata,
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )


def _carried() -> Sequence[tuple[str, str]]:
    """Return the metadata that carries this call's faults, and nothing else of its baggage."""
    text = baggage.get_baggage(BAGGAGE_KEY)
    if text is None:
        return ()
    carrier: dict[str, str] = {}
    W3CBaggagePropagator().inject(carrier, baggage.set_baggage(BAGGAGE_KEY, text, Context()))
    return tuple(carrier.items())

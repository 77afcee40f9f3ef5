"""The metadata of a call: what is said when it grows large, and how baggage is kept within what a server takes."""

from __future__ import annotations

from typing import Any

import pytest
from grpc.aio import Metadata as AioMetadata
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import SpanKind, set_span_in_context
from structlog.testing import capture_logs

from otel.instrument import semconv
from otel.instrument.metadata_limits import (
    SOFT_LIMIT_BYTES,
    MetadataWarnings,
    fit_baggage,
    fitted_baggage,
    metadata_bytes,
)
from otel.instrument.propagation import with_context
from otel.instrument.testing import InMemoryTelemetry, in_memory_telemetry


@pytest.fixture
def telemetry() -> InMemoryTelemetry:
    return in_memory_telemetry()


def attributes_of(telemetry: InMemoryTelemetry) -> dict[str, Any]:
    (span,) = telemetry.spans()
    assert span.attributes is not None
    return {key: value for key, value in span.attributes.items() if key.startswith("tracelab.")}


def sent(telemetry: InMemoryTelemetry, metadata: AioMetadata | None, members: dict[str, str]) -> AioMetadata:
    """Return what a client would send, of a call with this metadata and this baggage."""
    with telemetry.tracer.start_as_current_span("call", kind=SpanKind.CLIENT) as span:
        context = set_span_in_context(span, Context())
        for key, value in members.items():
            context = baggage.set_baggage(key, value, context)
        token = attach(context)
        try:
            return with_context(metadata, span.get_span_context())
        finally:
            detach(token)


def test_usual_metadata_has_nothing_said_of_its_size(telemetry: InMemoryTelemetry) -> None:
    sent(telemetry, AioMetadata(("key", "v" * 1_000)), {"session.id": "s-1"})
    assert attributes_of(telemetry) == {}


def test_metadata_that_nears_the_limit_has_its_size_on_the_span(telemetry: InMemoryTelemetry) -> None:
    whole = sent(telemetry, AioMetadata(("key", "v" * 6_000)), {})
    assert attributes_of(telemetry) == {semconv.METADATA_SIZE_BYTES: metadata_bytes(whole)}


@pytest.mark.parametrize("member_count", [2, 40, 180])
def test_legal_baggage_of_8192_bytes_is_cut_to_what_every_server_takes(
    telemetry: InMemoryTelemetry, member_count: int
) -> None:
    size = SOFT_LIMIT_BYTES // member_count
    members = {f"k{number}": "v" * (size - len(f"k{number}") - 2) for number in range(member_count)}
    whole = sent(telemetry, None, members)
    assert metadata_bytes(whole) <= SOFT_LIMIT_BYTES
    passed_on = str(whole["baggage"]).split(",")
    assert all(member in {f"{key}={value}" for key, value in members.items()} for member in passed_on)
    assert attributes_of(telemetry)[semconv.DROPPED_BAGGAGE_MEMBERS] == member_count - len(passed_on) > 0


def test_a_single_member_that_does_not_fit_leaves_no_baggage_at_all(telemetry: InMemoryTelemetry) -> None:
    whole = sent(telemetry, None, {"k": "v" * 8_000})
    assert set(whole.keys()) == {"traceparent"}


def test_baggage_that_the_caller_wrote_itself_is_sent_as_it_is(telemetry: InMemoryTelemetry) -> None:
    written = "k=" + "v" * 8_190
    whole = sent(telemetry, AioMetadata(("baggage", written)), {})
    assert whole["baggage"] == written
    assert attributes_of(telemetry) == {semconv.METADATA_SIZE_BYTES: metadata_bytes(whole)}


def test_each_warning_is_said_once_in_a_process(telemetry: InMemoryTelemetry) -> None:
    warnings = MetadataWarnings()
    header = "k=" + "v" * SOFT_LIMIT_BYTES
    with telemetry.tracer.start_as_current_span("call") as span, capture_logs() as lines:
        for _ in range(3):
            fit_baggage([("baggage", header)], header=header, span=span, warnings=warnings)
    size = metadata_bytes([("baggage", header)])
    assert lines == [
        {"event": "metadata.large", "log_level": "warning", "size_bytes": size, "soft_limit_bytes": 8192},
        {"event": "baggage.dropped", "log_level": "warning", "member_count": 1, "soft_limit_bytes": 8192},
    ]


@given(
    members=st.lists(st.text("abc=;", min_size=1, max_size=40), min_size=1, max_size=30),
    room_bytes=st.integers(-100, 1_000),
)
def test_members_are_kept_whole_in_order_and_within_the_room(members: list[str], room_bytes: int) -> None:
    fitted = fitted_baggage(",".join(members), room_bytes)
    kept = fitted.header.split(",") if fitted.header else []
    assert len(fitted.header) <= max(room_bytes, 0)
    assert fitted.dropped_member_count == len(members) - len(kept)
    remaining = iter(members)
    assert all(member in remaining for member in kept)

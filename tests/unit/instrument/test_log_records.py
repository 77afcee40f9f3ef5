"""One record in its three forms: line, OTLP record, span event."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel.instrument import TelemetrySettings, mark_exception_logged
from otel.instrument.baggage import BaggageAttributes
from otel.instrument.log_bound import merge_bound
from otel.instrument.log_records import LogRecorder, encodable, to_json_line
from otel.instrument.testing import CountingIdGenerator, InMemoryTelemetry, in_memory_telemetry

TIME_UNIX_NANO = 1_795_464_000_123_456_789


@pytest.fixture
def telemetry() -> Iterator[InMemoryTelemetry]:
    settings = TelemetrySettings(service_name="user", log_to_stdout=False, logs_as_span_events=True)
    made = in_memory_telemetry(settings, id_generator=CountingIdGenerator())
    made.take_over_logging()
    yield made
    made.shutdown()


def test_a_line_has_time_level_event_service_ids_and_facts() -> None:
    recorder = LogRecorder(
        "user", None, BaggageAttributes((), 0), clock=lambda: TIME_UNIX_NANO, random_bits=lambda _: 7
    )

    line = recorder(None, "info", {"event": "user.created", "user_id": "u1", "count": 2, "level": "spoofed"})

    assert line.endswith(b"\n")
    assert orjson.loads(line) == {
        "time": datetime.fromtimestamp(TIME_UNIX_NANO // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S") + ".123456Z",
        "level": "info",
        "event": "user.created",
        "service.name": "user",
        "log.record.uid": f"{7:032x}",
        "user_id": "u1",
        "count": 2,
    }


def test_line_otlp_record_and_span_event_are_the_same_record(telemetry: InMemoryTelemetry) -> None:
    with telemetry.tracer.start_as_current_span("work"):
        structlog.get_logger().warning("order.rejected", order_id="o1", amounts=[1, 2], limit=None)

    (line,) = telemetry.lines()
    (record,) = telemetry.log_records()
    (span,) = telemetry.spans()
    (event,) = span.events
    uid = line["log.record.uid"]
    assert (line["trace_id"], line["span_id"], line["trace_flags"]) == (f"{1:032x}", f"{1:016x}", "01")
    assert (record.log_record.trace_id, record.log_record.span_id) == (1, 1)
    assert (record.log_record.body, record.log_record.event_name) == ("order.rejected", "order.rejected")
    assert record.log_record.severity_text == "WARN"
    assert dict(record.log_record.attributes or {}) == {
        "order_id": "o1",
        "amounts": (1, 2),
        "limit": None,
        "log.record.uid": uid,
    }
    assert event.name == "order.rejected"
    assert event.timestamp == record.log_record.timestamp
    assert dict(event.attributes or {}) == {
        "order_id": "o1",
        "amounts": "[1,2]",
        "limit": "null",
        "log.record.uid": uid,
        "log.severity_text": "WARN",
        "log.severity_number": 13,
    }


def test_an_exception_becomes_the_conventions_attributes(telemetry: InMemoryTelemetry) -> None:
    try:
        raise LookupError("gone")
    except LookupError:
        structlog.get_logger().exception("store.failed")

    (line,) = telemetry.lines()
    assert (line["level"], line["exception.type"], line["exception.message"]) == ("error", "LookupError", "gone")
    assert "raise LookupError" in str(line["exception.stacktrace"])
    assert "exc_info" not in line


def test_bound_context_variables_are_facts(telemetry: InMemoryTelemetry) -> None:
    with structlog.contextvars.bound_contextvars(rpc_method="GetUser"):
        structlog.get_logger().info("rpc.finished")

    assert [line["rpc_method"] for line in telemetry.lines()] == ["GetUser"]


def test_stdlib_logging_goes_the_same_way(telemetry: InMemoryTelemetry) -> None:
    with telemetry.tracer.start_as_current_span("work"):
        logging.getLogger("uvicorn.error").warning("port %d is busy", 80)
        logging.getLogger("noisy").debug("not this")

    (line,) = telemetry.lines()
    (record,) = telemetry.log_records()
    assert (line["event"], line["logger"], line["level"]) == ("port 80 is busy", "uvicorn.error", "warning")
    assert line["span_id"] == f"{1:016x}"
    assert (record.log_record.body, record.log_record.event_name) == ("port 80 is busy", None)


def test_warnings_of_python_go_the_same_way(telemetry: InMemoryTelemetry) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old way", DeprecationWarning, stacklevel=1)

    assert [line["logger"] for line in telemetry.lines()] == ["py.warnings"]


def test_what_an_exporter_logs_is_not_exported_again(telemetry: InMemoryTelemetry) -> None:
    with suppress_instrumentation():
        logging.getLogger("some.transport").warning("reset by peer")

    assert [line["event"] for line in telemetry.lines()] == ["reset by peer"]
    assert telemetry.log_records() == []


@pytest.mark.parametrize(
    "name", ["opentelemetry.exporter.otlp.proto.grpc.exporter", "opentelemetry.sdk._shared_internal"]
)
def test_exporters_complaints_are_shown_nowhere(telemetry: InMemoryTelemetry, name: str) -> None:
    logging.getLogger(name).error("Failed to export traces")

    assert telemetry.lines() == []


def test_grpcs_own_line_about_a_logged_exception_is_dropped(telemetry: InMemoryTelemetry) -> None:
    error = ValueError("oops")
    mark_exception_logged(error)
    for raised in (error, ValueError("other")):
        logging.getLogger("grpc._cython.cygrpc").error("Unexpected [ValueError] raised", exc_info=raised)

    assert [line["exception.message"] for line in telemetry.lines()] == ["other"]


def test_logging_is_given_back_at_shutdown() -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    telemetry = in_memory_telemetry()
    telemetry.take_over_logging()
    telemetry.shutdown()

    assert (root.handlers, root.level) == before


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.sets(st.integers()),
    max_leaves=10,
)


@given(facts=st.dictionaries(st.text(min_size=1), JSON_LIKE))
def test_no_value_makes_a_line_fail(facts: dict[str, Any]) -> None:
    assert to_json_line(facts).endswith(b"\n")


@given(value=JSON_LIKE)
def test_every_value_can_be_encoded_as_otlp(value: Any) -> None:
    telemetry = in_memory_telemetry()
    otlp_logger = telemetry.providers.logger_provider
    assert otlp_logger is not None
    otlp_logger.get_logger("test").emit(body=encodable(value), attributes={"value": encodable(value)})

    assert encode_logs(telemetry.log_records()).SerializeToString()


@pytest.mark.parametrize(
    "odd",
    ["\ud800", 2**70, object(), {1: 2}, {"a": {2, 3}}],
    ids=["lone surrogate", "too large", "object", "key that is no text", "set"],  # the same in every worker
)
def test_odd_values_are_shown_rather_than_lost(telemetry: InMemoryTelemetry, odd: Any) -> None:
    structlog.get_logger().info("odd.seen", odd=odd)

    assert [line["event"] for line in telemetry.lines()] == ["odd.seen"]
    assert encode_logs(telemetry.log_records()).SerializeToString()


def test_what_is_bound_in_the_context_is_added_as_structlog_adds_it() -> None:
    with structlog.contextvars.bound_contextvars(user_id="u-1", tries=2):
        with structlog.contextvars.bound_contextvars(gone=1):
            pass
        by_us, by_structlog = (
            merge(None, "info", {"event": "e", "tries": 3})
            for merge in (merge_bound, structlog.contextvars.merge_contextvars)
        )
    assert by_us == by_structlog == {"event": "e", "tries": 3, "user_id": "u-1"}

"""The standard OTEL_* variables do what the specification says, through real exporters."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from opentelemetry.trace import NoOpTracer

from otel.instrument import SettingsError, Telemetry, TelemetrySettings, configure
from otel.instrument.export_watch import ExportWatch
from otel.instrument.providers import build_providers
from tests.inprocess.instrument.sinks import GrpcSink, HttpSink

Build = Callable[..., Telemetry]


@pytest.fixture
def sink() -> Iterator[GrpcSink]:
    made = GrpcSink()
    yield made
    made.close()


@pytest.fixture
def http_sink() -> Iterator[HttpSink]:
    made = HttpSink()
    yield made
    made.close()


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """Make a telemetry under the given variables; shut down at the end."""
    built: list[Telemetry] = []

    def make(**variables: str) -> Telemetry:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings = TelemetrySettings(service_name="test", log_to_stdout=False)
        watch = ExportWatch()
        built.append(Telemetry(settings, build_providers(settings, watch), watch))
        return built[-1]

    yield make
    for telemetry in built:
        telemetry.shutdown()


def record(telemetry: Telemetry, count: int = 1) -> None:
    """Make spans with one log record each, and flush them."""
    for number in range(count):
        with telemetry.tracer.start_as_current_span(f"span-{number}"):
            telemetry.log_exception("rpc.server.call.exception", ValueError("oops"))
    telemetry.shutdown()


def test_the_endpoint_and_its_default_protocol_are_grpc(build: Build, sink: GrpcSink) -> None:
    record(build(OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint))

    assert sink.received.span_names() == ["span-0"]
    assert sink.received.log_bodies() == ["rpc.server.call.exception"]
    assert sink.received.metrics == []


def test_the_protocol_http_protobuf_posts_to_each_signals_path(build: Build, http_sink: HttpSink) -> None:
    record(build(OTEL_EXPORTER_OTLP_ENDPOINT=http_sink.endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf"))

    assert http_sink.received.span_names() == ["span-0"]
    assert http_sink.received.log_bodies() == ["rpc.server.call.exception"]
    assert {headers["content-type"] for headers in http_sink.received.headers} == {"application/x-protobuf"}


def test_a_signal_may_have_a_protocol_and_endpoint_of_its_own(
    build: Build, sink: GrpcSink, http_sink: HttpSink
) -> None:
    record(
        build(
            OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
            OTEL_EXPORTER_OTLP_LOGS_PROTOCOL="http/protobuf",
            OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=f"{http_sink.endpoint}/v1/logs",
        )
    )

    assert (sink.received.span_names(), sink.received.log_bodies()) == (["span-0"], [])
    assert http_sink.received.log_bodies() == ["rpc.server.call.exception"]


def test_headers_go_with_each_request(build: Build, sink: GrpcSink) -> None:
    record(build(OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, OTEL_EXPORTER_OTLP_HEADERS="x-tenant=lab,x-other=2"))

    assert {(headers["x-tenant"], headers["x-other"]) for headers in sink.received.headers} == {("lab", "2")}


def test_compression_gzips_the_requests(build: Build, http_sink: HttpSink) -> None:
    record(
        build(
            OTEL_EXPORTER_OTLP_ENDPOINT=http_sink.endpoint,
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        )
    )

    assert {headers["content-encoding"] for headers in http_sink.received.headers} == {"gzip"}
    assert http_sink.received.span_names() == ["span-0"]


def test_compression_works_over_grpc_too(build: Build, sink: GrpcSink) -> None:
    record(build(OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, OTEL_EXPORTER_OTLP_COMPRESSION="gzip"))

    assert sink.received.span_names() == ["span-0"]


def test_the_timeout_bounds_a_request_to_a_backend_that_never_answers(build: Build) -> None:
    sink = GrpcSink(hold=True)
    telemetry = build(OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, OTEL_EXPORTER_OTLP_TIMEOUT="1")
    with telemetry.tracer.start_as_current_span("slow"):
        pass
    began_s = time.monotonic()

    telemetry.shutdown(timeout_s=60)

    assert time.monotonic() - began_s < 30  # the default timeout is 10 s a try, and a held request waits 60 s
    sink.close()


@pytest.mark.parametrize(
    ("sampler", "argument", "expected"),
    [
        ("always_on", "", ["span-0"]),
        ("always_off", "", []),
        ("traceidratio", "0", []),
        ("traceidratio", "1", ["span-0"]),
        ("parentbased_traceidratio", "0", []),
    ],
    ids=["always on", "always off", "ratio 0", "ratio 1", "parent based ratio 0"],
)
def test_the_sampler_decides_what_is_exported(
    build: Build, sink: GrpcSink, sampler: str, argument: str, expected: list[str]
) -> None:
    record(
        build(OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG=argument)
    )

    assert sink.received.span_names() == expected
    assert sink.received.log_bodies() == ["rpc.server.call.exception"]


def test_the_resource_names_service_process_host_and_instance(build: Build, sink: GrpcSink) -> None:
    record(build(OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint))

    resource = sink.received.resource()
    assert (resource["service.name"], resource["process.pid"]) == ("test", os.getpid())
    assert resource["host.name"]
    assert resource["service.instance.id"]


def test_service_name_and_resource_attributes_win_over_ours(build: Build, sink: GrpcSink) -> None:
    record(
        build(
            OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
            OTEL_SERVICE_NAME="renamed",
            OTEL_RESOURCE_ATTRIBUTES="service.name=ignored,deployment.environment.name=lab,host.name=box",
        )
    )

    resource = sink.received.resource()
    assert (resource["service.name"], resource["deployment.environment.name"], resource["host.name"]) == (
        "renamed",
        "lab",
        "box",
    )


def test_a_disabled_sdk_exports_nothing_and_still_serves(build: Build, sink: GrpcSink) -> None:
    telemetry = build(OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, OTEL_SDK_DISABLED="true")
    record(telemetry)

    assert isinstance(telemetry.tracer, NoOpTracer)
    assert (sink.received.traces, sink.received.logs, sink.received.metrics) == ([], [], [])


def test_batch_sizes_bound_each_request(build: Build, sink: GrpcSink) -> None:
    record(
        build(
            OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
            OTEL_BSP_MAX_EXPORT_BATCH_SIZE="2",
            OTEL_BLRP_MAX_EXPORT_BATCH_SIZE="3",
        ),
        count=6,
    )

    spans = [len(request.resource_spans[0].scope_spans[0].spans) for request in sink.received.traces]
    logs = [len(request.resource_logs[0].scope_logs[0].log_records) for request in sink.received.logs]
    assert (max(spans), sum(spans)) == (2, 6)
    assert (max(logs) <= 3, sum(logs)) == (True, 6)


def test_attribute_limits_cut_values_and_counts(build: Build, sink: GrpcSink) -> None:
    telemetry = build(
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
        OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="1",
        OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="3",
    )
    telemetry.tracer.start_span("limited", attributes={"a": "123456", "b": "x"}).end()
    telemetry.shutdown()

    (span,) = sink.received.traces[0].resource_spans[0].scope_spans[0].spans
    assert [attribute.value.string_value for attribute in span.attributes] in (["123"], ["x"])
    assert span.dropped_attributes_count == 1


@pytest.mark.parametrize(
    ("variable", "spans", "logs"),
    [("OTEL_TRACES_EXPORTER", 0, 1), ("OTEL_LOGS_EXPORTER", 1, 0)],
    ids=["traces", "logs"],
)
def test_the_exporter_none_turns_one_signal_off(
    build: Build, sink: GrpcSink, variable: str, spans: int, logs: int
) -> None:
    telemetry = build(OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint, **{variable: "none"})
    record(telemetry)

    assert (len(sink.received.span_names()), len(sink.received.log_bodies())) == (spans, logs)


def test_metrics_are_exported_at_shutdown(build: Build, sink: GrpcSink) -> None:
    telemetry = build(OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint)
    telemetry.meter.create_counter("orders").add(1)
    telemetry.shutdown()

    names = [metric.name for metric in sink.received.metrics[0].resource_metrics[0].scope_metrics[0].metrics]
    assert names == ["orders"]


def test_propagators_are_read_when_the_process_starts() -> None:
    program = "from opentelemetry.propagate import get_global_textmap as g; print(sorted(g().fields))"
    printed = [
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, **more}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for more in ({}, {"OTEL_PROPAGATORS": "tracecontext"})
    ]

    assert printed == ["['baggage', 'traceparent', 'tracestate']", "['traceparent', 'tracestate']"]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("OTEL_TRACES_EXPORTER", "nope", "'nope' not found"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "'http/json'"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "x", "OTEL_EXPORTER_OTLP_COMPRESSION"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "interval value 0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1", "schedule_delay_millis"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "x", "OTEL_SPAN_EVENT_COUNT_LIMIT"),
    ],
)
def test_a_value_that_cannot_be_is_told_as_what_it_is(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=told):
        configure(TelemetrySettings(service_name="test", log_to_stdout=False))

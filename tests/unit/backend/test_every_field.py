"""No field of OTLP's messages gets lost: each is set by walking descriptors, stored, and read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel.backend.codec.otlp_json import read_json, to_json
from otel.backend.ports import LogSearch, TelemetryStore
from otel.backend.stores.memory import MemoryStore
from otel.backend.stores.sqlite.store import SqliteStore

# An AnyValue may hold AnyValues without end; so deep is enough to see that nesting is kept.
DEPTH = 9
DEEPEST_CHOICE = 5
ID_BYTES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}


def fill(message: Message, depth: int = 0, choice: int = 0) -> None:
    """Set every field; of a oneof, the member that `choice` picks."""
    for field in message.DESCRIPTOR.fields:
        members = field.containing_oneof.fields if field.containing_oneof else [field]
        picked = choice if depth < DEEPEST_CHOICE else 0
        if members[picked % len(members)].name != field.name:
            continue
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if depth < DEPTH:
                target = getattr(message, field.name)
                for variant in range(8) if field.is_repeated else [0]:
                    fill(target.add() if field.is_repeated else target, depth + 1, choice + variant)
                    if depth > 4:
                        break
        elif field.is_repeated:
            getattr(message, field.name).append(scalar(field))
        else:
            setattr(message, field.name, scalar(field))


def scalar(field: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return f"text of {field.name}"
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes(range(1, 1 + ID_BYTES.get(field.name, 5)))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return True
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return 0.1
    return 2 if field.type == FieldDescriptor.TYPE_ENUM else field.number + 1000


def unset(message: Message, path: str = "") -> set[str]:
    """The fields that no message in the tree has set, by type and name."""
    seen: dict[str, bool] = {}

    def walk(each: Message) -> None:
        for field in each.DESCRIPTOR.fields:
            name = f"{each.DESCRIPTOR.name}.{field.name}"
            present = any(found.name == field.name for found, _ in each.ListFields())
            seen[name] = seen.get(name, False) or present
            if present and field.type == FieldDescriptor.TYPE_MESSAGE:
                value = getattr(each, field.name)
                for inner in value if field.is_repeated else [value]:
                    walk(inner)

    walk(message)
    return {name for name, present in seen.items() if not present}


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made: TelemetryStore = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "store.sqlite")
    yield made
    made.close()


def one_span() -> TracesData:
    message = TracesData()
    fill(message.resource_spans.add())
    del message.resource_spans[0].scope_spans[1:]
    del message.resource_spans[0].scope_spans[0].spans[1:]
    return message


def one_record() -> LogsData:
    message = LogsData()
    fill(message.resource_logs.add())
    del message.resource_logs[0].scope_logs[1:]
    del message.resource_logs[0].scope_logs[0].log_records[1:]
    return message


def one_metric_of_each_kind() -> MetricsData:
    message = MetricsData()
    fill(message.resource_metrics.add())
    del message.resource_metrics[0].scope_metrics[1:]
    metrics = message.resource_metrics[0].scope_metrics[0].metrics
    by_kind = {metric.WhichOneof("data"): type(metric).FromString(metric.SerializeToString()) for metric in metrics}
    del metrics[:]
    metrics.extend(by_kind.values())
    for metric in metrics:
        (point,) = getattr(metric, metric.WhichOneof("data") or "").data_points[:1]
        del getattr(metric, metric.WhichOneof("data") or "").data_points[1:]
        if hasattr(point, "exemplars"):  # so deep the walk takes no second choice
            point.exemplars.add(as_int=7)
    return message


MAKERS = pytest.mark.parametrize(
    "make", [one_span, one_record, one_metric_of_each_kind], ids=["spans", "logs", "metrics"]
)


@MAKERS
def test_the_walk_sets_every_field(make: Callable[[], Message]) -> None:
    assert unset(make()) == set()


def test_every_field_of_a_span_comes_back(store: TelemetryStore) -> None:
    sent = one_span()
    store.write(list(TracesData.FromString(sent.SerializeToString()).resource_spans), [])
    trace_id = sent.resource_spans[0].scope_spans[0].spans[0].trace_id
    assert store.trace(trace_id) == sent


def test_every_field_of_a_log_record_comes_back(store: TelemetryStore) -> None:
    sent = one_record()
    store.write([], list(LogsData.FromString(sent.SerializeToString()).resource_logs))
    assert list(store.logs(LogSearch()).resource_logs) == list(sent.resource_logs)


def test_every_field_of_a_metric_comes_back(store: TelemetryStore) -> None:
    sent = one_metric_of_each_kind()
    store.write([], [], list(MetricsData.FromString(sent.SerializeToString()).resource_metrics))
    series = sorted(store.metric_series(), key=lambda each: each.number)
    points = dict(store.metric_points([each.number for each in series], 0, 2**64))
    read = MetricsData()
    first = series[0]
    part = read.resource_metrics.add(resource=first.resource, schema_url=first.resource_schema_url)
    scope_metrics = part.scope_metrics.add(scope=first.scope, schema_url=first.scope_schema_url)
    for each in series:
        metric = scope_metrics.metrics.add()
        metric.CopyFrom(each.metric)
        (point,) = points[each.number]
        stored = getattr(metric, each.kind).data_points.add()
        stored.CopyFrom(point)
        stored.attributes.extend(each.attributes)
    assert read == sent


@MAKERS
def test_every_field_goes_through_json_and_back(make: Callable[[], Message]) -> None:
    sent = make()
    read = type(sent)()
    read_json(to_json(sent), read)
    assert read == sent


@MAKERS
def test_snake_case_names_are_read_too(make: Callable[[], Message]) -> None:
    sent = make()
    read = type(sent)()
    read_json(_snake(to_json(sent), sent.DESCRIPTOR), read)
    assert read == sent


def _snake(document: Any, descriptor: Any) -> Any:
    names = {field.json_name: field for field in descriptor.fields}

    def inner(field: Any, value: Any) -> Any:
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            return value
        return (
            [_snake(each, field.message_type) for each in value]
            if field.is_repeated
            else _snake(value, field.message_type)
        )

    return {names[key].name: inner(names[key], value) for key, value in document.items()}

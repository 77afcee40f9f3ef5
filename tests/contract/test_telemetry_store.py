"""One suite over every adapter of the telemetry store: what the port promises, in memory and in SQLite."""

from __future__ import annotations

import threading

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel.backend.ports import (
    CallCount,
    LogSearch,
    Operation,
    Retention,
    ServiceCount,
    SpanMeasure,
    TelemetryStore,
    TraceSearch,
    TraceSummary,
)
from tests.contract.conftest import Clock, StoreOf
from tests.contract.telemetry import MS, SECOND, T0, log_record, resource_logs, resource_spans, span, trace_id

ALWAYS = {"start_min_unix_nano": 0, "start_max_unix_nano": 2**63 - 1}


def spans_of(found: TracesData | None) -> list[tuple[str, str]]:
    assert found is not None
    return sorted(
        (part.resource.attributes[0].value.string_value, each.name)
        for part in found.resource_spans
        for scope_spans in part.scope_spans
        for each in scope_spans.spans
    )


def ids_of(store: TelemetryStore, **search: object) -> list[int]:
    found = store.summaries(TraceSearch(**{**ALWAYS, **search}))  # type: ignore[arg-type]  # names are checked by use
    return [int.from_bytes(summary.trace_id) for summary in found]


def bodies_of(store: TelemetryStore, **search: object) -> list[str]:
    page = store.logs(LogSearch(**search))  # type: ignore[arg-type]  # names are checked by use
    return [
        record.body.string_value
        for part in page.resource_logs
        for scope_logs in part.scope_logs
        for record in scope_logs.log_records
    ]


def test_a_trace_comes_back_whole_under_its_resources(store: TelemetryStore) -> None:
    store.write([resource_spans("order", [span(1, 1, name="root")])], [])
    store.write([resource_spans("user", [span(1, 2, 1, name="child")])], [])
    assert spans_of(store.trace(trace_id(1))) == [("order", "root"), ("user", "child")]


def test_an_unknown_trace_is_none(store: TelemetryStore) -> None:
    assert store.trace(trace_id(9)) is None
    assert store.summaries_of([trace_id(9)]) == []


def test_pieces_of_one_resource_and_scope_are_put_together(store: TelemetryStore) -> None:
    for number in (1, 2, 3):
        store.write([resource_spans("order", [span(1, number, name=f"n{number}")])], [])
    found = store.trace(trace_id(1))
    assert found is not None
    assert [len(part.scope_spans) for part in found.resource_spans] == [1]


def test_a_span_that_comes_twice_is_stored_once(store: TelemetryStore) -> None:
    first = store.write([resource_spans("order", [span(1, 1)])], [])
    again = store.write([resource_spans("order", [span(1, 1), span(1, 1)])], [])
    assert (first.span_count, first.duplicate_count) == (1, 0)
    assert (again.span_count, again.duplicate_count, again.trace_ids) == (0, 2, frozenset())
    assert store.summaries_of([trace_id(1)])[0].span_count == 1


def test_spans_that_share_an_id_but_not_start_or_name_are_both_kept(store: TelemetryStore) -> None:
    store.write([resource_spans("order", [span(1, 1, name="client"), span(1, 1, name="server")])], [])
    store.write([resource_spans("order", [span(1, 1, name="client", start=T0 + 1)])], [])
    assert store.summaries_of([trace_id(1)])[0].span_count == 3


def test_a_summary_says_what_the_trace_is(store: TelemetryStore) -> None:
    store.write([resource_spans("user", [span(1, 2, 1, start=T0 + MS, duration=20 * MS, status=2)])], [])
    store.write([resource_spans("order", [span(1, 1, name="root", kind=3), span(1, 3, 99, start=T0 + 2 * MS)])], [])
    assert store.summaries_of([trace_id(1)]) == [
        TraceSummary(
            trace_id=trace_id(1),
            root_service="order",
            root_operation="root",
            min_start_unix_nano=T0,
            max_end_unix_nano=T0 + 21 * MS,
            span_count=3,
            error_span_count=1,
            orphan_span_count=1,
            services=(ServiceCount("order", 2, 0), ServiceCount("user", 1, 1)),
        )
    ]


def test_an_orphan_stops_being_one_when_its_parent_comes(store: TelemetryStore) -> None:
    store.write([resource_spans("user", [span(1, 2, 1), span(1, 3, 1)])], [])
    before = store.summaries_of([trace_id(1)])[0].orphan_span_count
    store.write([resource_spans("order", [span(1, 1)])], [])
    assert (before, store.summaries_of([trace_id(1)])[0].orphan_span_count) == (2, 0)


def test_the_root_is_the_parentless_span_that_starts_first(store: TelemetryStore) -> None:
    store.write([resource_spans("order", [span(1, 1, name="late", start=T0 + MS)])], [])
    store.write([resource_spans("user", [span(1, 2, name="early")])], [])
    summary = store.summaries_of([trace_id(1)])[0]
    assert (summary.root_service, summary.root_operation) == ("user", "early")


def test_a_span_without_a_time_says_nothing_of_when_its_trace_was(store: TelemetryStore) -> None:
    never_begun, unfinished = span(1, 9, name="no start"), span(1, 8, name="no end", start=T0 - MS)
    never_begun.start_time_unix_nano = 0
    unfinished.end_time_unix_nano = 0
    store.write([resource_spans("user", [never_begun, unfinished])], [])
    alone = store.summaries_of([trace_id(1)])[0]
    store.write([resource_spans("order", [span(1, 1, name="root", start=T0)])], [])
    store.write([resource_spans("order", [span(2, 1, start=T0 + MS), span(3, 1, start=T0 - MS)])], [])

    summary = store.summaries_of([trace_id(1)])[0]

    assert (alone.min_start_unix_nano, alone.max_end_unix_nano, alone.span_count) == (0, 0, 2)
    assert (summary.min_start_unix_nano, summary.max_end_unix_nano) == (T0, T0 + 10 * MS)
    assert (summary.root_operation, summary.span_count) == ("root", 3)
    assert ids_of(store, service="order") == [2, 1, 3]


def test_a_trace_without_a_root_has_no_root_names(store: TelemetryStore) -> None:
    store.write([resource_spans("order", [span(1, 1, 5)])], [])
    summary = store.summaries_of([trace_id(1)])[0]
    assert (summary.root_service, summary.root_operation) == ("", "")


def test_services_and_operations_are_listed_sorted_and_distinct(store: TelemetryStore) -> None:
    spans = [span(1, 1, name="b"), span(1, 2, name="a", kind=3), span(1, 3, name="a"), span(2, 1, name="a")]
    store.write([resource_spans("user", spans), resource_spans("order", [span(1, 9)])], [])
    assert store.services() == ["order", "user"]
    assert store.operations("user") == [Operation("a", 2), Operation("a", 3), Operation("b", 2)]
    assert store.operations("nobody") == []


def test_a_service_that_only_logs_is_not_listed(store: TelemetryStore) -> None:
    store.write([], [resource_logs("quiet", [log_record("hello")])])
    assert store.services() == []


@pytest.fixture
def searchable(store: TelemetryStore) -> TelemetryStore:
    store.write(
        [
            resource_spans(
                "order",
                [
                    span(1, 1, name="list", attributes={"n": 5, "user": "alice"}),
                    span(2, 1, name="get", start=T0 + SECOND, duration=100 * MS, status=2, attributes={"n": 6}),
                    span(2, 2, 1, name="get", start=T0 + SECOND, attributes={"user": "alice"}),
                ],
                resource={"host": "h1"},
            ),
            resource_spans(
                "user",
                [
                    span(1, 2, 1, name="get", kind=3, start=T0 + MS, event_attributes={"cache": "miss"}),
                    span(3, 1, name="list", start=T0 + 2 * SECOND, status=1, attributes={"n": 5.5, "ok": True}),
                ],
                scope="other",
            ),
        ],
        [],
    )
    return store


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        pytest.param({}, [3, 2, 1], id="everything, newest start first"),
        pytest.param({"limit": 2}, [3, 2], id="the limit keeps the newest"),
        pytest.param({"service": "order"}, [2, 1], id="service"),
        pytest.param({"service": "nobody"}, [], id="unknown service"),
        pytest.param({"operation": "list"}, [3, 1], id="operation of any service"),
        pytest.param({"service": "user", "operation": "get"}, [1], id="service and operation on one span"),
        pytest.param({"start_min_unix_nano": T0 + SECOND}, [3, 2], id="start at the lower bound"),
        pytest.param({"start_max_unix_nano": T0 + SECOND}, [2, 1], id="start at the upper bound"),
        pytest.param({"duration_min_ns": 100 * MS}, [2], id="duration at the lower bound"),
        pytest.param({"duration_max_ns": 99 * MS, "operation": "get"}, [2, 1], id="duration up to"),
        pytest.param({"attributes": {"n": "5"}}, [1], id="integer as decimal"),
        pytest.param({"attributes": {"n": "5.5"}}, [3], id="double"),
        pytest.param({"attributes": {"ok": "true"}}, [3], id="boolean"),
        pytest.param({"attributes": {"user": "Alice"}}, [], id="case counts"),
        pytest.param({"attributes": {"user": "alice"}}, [2, 1], id="string"),
        pytest.param({"attributes": {"user": "alice", "n": "6"}}, [], id="both on one span, not on two"),
        pytest.param({"attributes": {"user": "alice", "n": "5"}}, [1], id="both on one span"),
        pytest.param({"attributes": {"cache": "miss"}}, [1], id="attribute of an event"),
        pytest.param({"attributes": {"host": "h1"}}, [2, 1], id="attribute of the resource"),
        pytest.param({"attributes": {"resource.host": "h1"}}, [2, 1], id="named as the resource's"),
        pytest.param({"attributes": {"resource.n": "5"}}, [], id="a span's attribute is not the resource's"),
        pytest.param({"attributes": {"error": "true"}}, [2], id="errors"),
        pytest.param({"attributes": {"error": "false"}}, [3, 2, 1], id="spans without error"),
        pytest.param({"attributes": {"error": "maybe"}}, [], id="error with another text"),
        pytest.param({"attributes": {"span.kind": "CLIENT"}}, [1], id="kind in any case"),
        pytest.param({"attributes": {"span.status": "OK"}}, [3], id="status ok"),
        pytest.param({"attributes": {"span.status": "UNSET"}, "service": "user"}, [1], id="status unset"),
        pytest.param({"attributes": {"scope.name": "other"}}, [3, 1], id="scope name"),
        pytest.param({"attributes": {"scope.version": "1"}}, [3, 2, 1], id="scope version"),
        pytest.param({"attributes": {"absent": "x"}}, [], id="an attribute that nobody has"),
    ],
)
def test_a_search_finds(searchable: TelemetryStore, search: dict[str, object], expected: list[int]) -> None:
    assert ids_of(searchable, **search) == expected


def test_the_limit_keeps_the_newest_whatever_the_order_of_arrival(store: TelemetryStore) -> None:
    for number in (3, 1, 5, 2, 4):
        store.write([resource_spans("order", [span(number, 1, start=T0 + number * SECOND)])], [])
    assert ids_of(store, service="order", limit=3) == [5, 4, 3]


def test_a_late_piece_moves_a_trace_in_time(store: TelemetryStore) -> None:
    store.write([resource_spans("order", [span(1, 2, 1, start=T0 + 5 * SECOND)])], [])
    store.write([resource_spans("order", [span(2, 1, start=T0 + 3 * SECOND)])], [])
    store.write([resource_spans("order", [span(1, 1, start=T0)])], [])
    assert ids_of(store) == [2, 1]


def test_calls_count_parents_and_children_by_service(store: TelemetryStore) -> None:
    store.write(
        [
            resource_spans("report", [span(1, 1), span(1, 2, 1), span(2, 1)]),
            resource_spans("user", [span(1, 3, 2), span(1, 4, 2), span(1, 5, 77)]),
        ],
        [],
    )
    assert store.calls(T0 - 1, T0 + SECOND) == [CallCount("report", "report", 1), CallCount("report", "user", 2)]


def test_calls_leave_out_traces_that_are_not_wholly_inside(store: TelemetryStore) -> None:
    store.write([resource_spans("report", [span(1, 1), span(1, 2, 1)])], [])
    assert store.calls(T0, T0 + SECOND) == []
    assert store.calls(T0 - 1, T0 + 10 * MS) == []


@pytest.mark.parametrize("end", [-(2**80), 2**80])
def test_calls_are_counted_between_any_two_numbers(store: TelemetryStore, end: int) -> None:
    store.write([resource_spans("report", [span(1, 1), span(1, 2, 1)])], [])
    assert sum(call.count for call in store.calls(-(2**80), end)) == (end > 0)


def test_measures_are_of_the_services_kinds_and_times_asked_for(store: TelemetryStore) -> None:
    spans = [span(1, 1, status=2), span(1, 2, kind=3), span(1, 3, start=T0 + SECOND)]
    store.write([resource_spans("order", spans), resource_spans("user", [span(1, 4)])], [])
    found = list(store.measures(frozenset({"order"}), frozenset({2}), T0, T0 + MS))
    assert found == [SpanMeasure("order", "work", T0, 10 * MS, True)]


@pytest.fixture
def logged(store: TelemetryStore) -> TelemetryStore:
    store.write(
        [],
        [
            resource_logs("order", [log_record("order created", time=T0 + 2, trace=1, number=1)]),
            resource_logs(
                "user",
                [
                    log_record("user.created", time=T0 + 1, trace=1, number=2, attributes={"user_id": "u-404"}),
                    log_record("cache miss", time=T0 + 3, severity=17),
                    log_record("ÜBER alles", time=T0 + 4, trace=2),
                ],
            ),
        ],
    )
    return store


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        pytest.param({}, ["user.created", "order created", "cache miss", "ÜBER alles"], id="everything, oldest first"),
        pytest.param({"trace_id": trace_id(1)}, ["user.created", "order created"], id="trace"),
        pytest.param({"trace_id": trace_id(1), "span_id": b"\0" * 7 + b"\1"}, ["order created"], id="span"),
        pytest.param({"service": "order"}, ["order created"], id="service"),
        pytest.param({"service": "nobody"}, [], id="unknown service"),
        pytest.param({"severity_min": 17}, ["cache miss"], id="severity"),
        pytest.param({"time_min_unix_nano": T0 + 3}, ["cache miss", "ÜBER alles"], id="from a time on"),
        pytest.param({"time_max_unix_nano": T0 + 1}, ["user.created"], id="up to a time"),
        pytest.param({"text": "created"}, ["user.created", "order created"], id="a word"),
        pytest.param({"text": "creat ord"}, ["order created"], id="beginnings of words, all of them"),
        pytest.param({"text": "404"}, ["user.created"], id="part of an attribute's value"),
        pytest.param({"text": "user_id"}, ["user.created"], id="an attribute's key"),
        pytest.param({"text": "über"}, ["ÜBER alles"], id="case of any alphabet"),
        pytest.param({"text": 'x" OR "cache'}, [], id="operators of the index are text"),
        pytest.param({"text": "..."}, [], id="no word at all"),
        pytest.param({"limit": 1}, ["user.created"], id="limit"),
    ],
)
def test_logs_are_found(logged: TelemetryStore, search: dict[str, object], expected: list[str]) -> None:
    assert bodies_of(logged, **search) == expected


def test_pages_of_logs_follow_one_another_without_gap_or_repeat(store: TelemetryStore) -> None:
    records = [log_record(f"line {number}", time=T0 + number // 3) for number in range(10)]
    store.write([], [resource_logs("order", records)])
    seen: list[str] = []
    position = None
    for _ in range(4):
        page = store.logs(LogSearch(limit=3, after=position))
        seen += [
            record.body.string_value
            for part in page.resource_logs
            for scope_logs in part.scope_logs
            for record in scope_logs.log_records
        ]
        position = page.next_position
    assert position is None
    assert seen == [f"line {number}" for number in range(10)]


def test_a_log_without_a_time_stands_where_it_was_observed(store: TelemetryStore) -> None:
    timeless = log_record("timeless")
    timeless.time_unix_nano = 0
    timeless.observed_time_unix_nano = T0 + 5
    store.write([], [resource_logs("order", [timeless, log_record("late", time=T0 + 9), log_record("early")])])
    assert bodies_of(store) == ["early", "timeless", "late"]


def test_a_log_that_is_sent_again_is_stored_once(store: TelemetryStore) -> None:
    batch = [resource_logs("order", [log_record("same"), log_record("same"), log_record("other")])]
    first = store.write([], batch)
    again = store.write([], [resource_logs("order", [log_record("same"), log_record("same"), log_record("other")])])
    assert (first.log_count, again.log_count, again.duplicate_count) == (3, 0, 3)
    assert bodies_of(store) == ["same", "same", "other"]


def test_age_drops_whole_traces_with_their_logs(store_of: StoreOf, clock: Clock) -> None:
    store = store_of(Retention(max_age_s=60), clock)
    store.write([resource_spans("old", [span(1, 1)])], [resource_logs("old", [log_record("gone", trace=1)])])
    clock.now_unix_nano += 50 * SECOND
    store.write([resource_spans("new", [span(2, 1)])], [resource_logs("new", [log_record("stays", trace=2)])])
    store.write([], [resource_logs("old", [log_record("gone with its trace", trace=1), log_record("alone")])])
    clock.now_unix_nano += 20 * SECOND
    assert store.expire() == 1
    assert (store.trace(trace_id(1)), ids_of(store)) == (None, [2])
    assert bodies_of(store) == ["stays", "alone"]
    assert bodies_of(store, text="gone") == []


def test_a_trace_is_never_halved_by_its_late_pieces(store_of: StoreOf, clock: Clock) -> None:
    store = store_of(Retention(max_age_s=60), clock)
    store.write([resource_spans("order", [span(1, 1, name="first")])], [])
    clock.now_unix_nano += 50 * SECOND
    store.write([resource_spans("order", [span(1, 2, 1, name="late")])], [])
    clock.now_unix_nano += 20 * SECOND
    store.expire()
    assert store.trace(trace_id(1)) is None
    assert ids_of(store) == []


def test_bytes_drop_the_traces_that_arrived_first(store_of: StoreOf, clock: Clock) -> None:
    store = store_of(Retention(max_bytes=500_000), clock)
    for number in range(1, 3001):
        clock.now_unix_nano += MS
        noise = {f"k{key}": f"{number * 7919 + key:x}" * 12 for key in range(6)}
        store.write([resource_spans("order", [span(number, 1, start=T0 + number * MS, attributes=noise)])], [])
    statistics = store.statistics()
    kept = ids_of(store, limit=5000)
    assert statistics.used_bytes <= 500_000
    assert 100 < len(kept) < 3000
    assert kept == list(range(3000, 3000 - len(kept), -1))
    assert statistics.trace_count == len(kept) == statistics.span_count


def test_reads_go_on_while_it_writes(store: TelemetryStore) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            while not stop.is_set():
                for summary in store.summaries(TraceSearch(0, 2**63 - 1, limit=5)):
                    found = store.trace(summary.trace_id)
                    assert found is not None
                    assert len(spans_of(found)) >= 2
                list(store.measures(frozenset({"order"}), frozenset({2}), 0, 2**62))
                store.logs(LogSearch(text="line"))
        except BaseException as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 200):
        spans = [span(number, 1, start=T0 + number), span(number, 2, 1, start=T0 + number)]
        store.write([resource_spans("order", spans)], [resource_logs("order", [log_record(f"line {number}")])])
    stop.set()
    reader.join()
    assert failures == []

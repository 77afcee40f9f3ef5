"""Forests from whatever spans arrived."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given

from otel.analysis.analysis_json import reading_to_json
from otel.analysis.clock_skew import correct_clock_skew
from otel.analysis.model import Resource, Span, SpanKind, Trace
from otel.analysis.proof import join_logs
from otel.analysis.reading import TraceReading
from otel.analysis.self_time import self_times_ns
from otel.analysis.tree import forest_of
from tests.unit.analysis import building as b
from tests.unit.analysis.building import MS, T0, record, span, trace
from tests.unit.analysis.forests import traces


def shape(given_trace: Trace) -> list[tuple[str, int]]:
    return [(found.span_id, depth) for found, depth in forest_of(given_trace).depth_first()]


def test_children_stand_below_their_parent_by_start_time() -> None:
    given_trace = trace(span("B", 5, 6, "R"), span("A", 1, 2, "R"), span("R", 0, 9), span("A1", 1, 2, "A"))

    assert shape(given_trace) == [("R", 0), ("A", 1), ("A1", 2), ("B", 1)]


def test_a_span_whose_parent_did_not_arrive_is_an_orphan_with_its_children() -> None:
    given_trace = trace(span("R", 0, 9), span("O", 3, 4, "gone"), span("O1", 3, 4, "O"))

    forest = forest_of(given_trace)

    assert [orphan.span_id for orphan in forest.orphans] == ["O"]
    assert shape(given_trace) == [("R", 0), ("O", 0), ("O1", 1)]


def test_different_spans_of_one_id_are_all_kept_and_the_earliest_has_the_id_and_the_children() -> None:
    given_trace = trace(span("C", 3, 4, "R"), span("R", 1, 9), span("R", 0, 5), span("R", 2, 3, "R"))

    assert shape(given_trace) == [("R", 0), ("R_2", 1), ("C", 1), ("R_1", 0)]
    assert forest_of(given_trace).by_id["R"].start_time_unix_nano == T0


def test_a_span_that_was_sent_again_is_one_span() -> None:
    forest = forest_of(trace(span("R", 0, 5), span("R", 0, 7), span("R", 0, 7)))

    assert [(found.span_id, found.end_time_unix_nano - T0) for found in forest.spans] == [("R", 7 * MS)]


def test_spans_of_one_id_move_apart_from_each_other_where_clocks_differ() -> None:
    given_trace = trace(span("P", 0, 10, host="a"), span("C", -5, 2, "P", host="b"), span("C", 1, 2, "P", host="a"))

    corrected = correct_clock_skew(given_trace).trace
    assert [(found.span_id, (found.start_time_unix_nano - T0) / MS) for found in corrected.spans] == [
        ("P", 0),
        ("C_1", 1),
        ("C", 1.5),
    ]


def test_of_spans_with_one_id_that_differ_in_their_parent_alone_the_order_of_arrival_chooses_none() -> None:
    orphan, root = span("a", 0, 1, parent="missing"), span("a", 0, 1)

    assert forest_of(trace(orphan, root)).spans == forest_of(trace(root, orphan)).spans == (root,)


def test_a_circle_of_parents_is_opened_at_its_earliest_span() -> None:
    forest = forest_of(trace(span("A", 2, 3, "C"), span("B", 1, 3, "A"), span("C", 5, 6, "B"), span("D", 7, 8, "C")))

    assert [orphan.span_id for orphan in forest.orphans] == ["B"]
    assert [(found.span_id, depth) for found, depth in forest.depth_first()] == [("B", 0), ("C", 1), ("A", 2), ("D", 2)]
    assert forest.parent_of(forest.by_id["B"]) is None


def test_a_span_that_is_its_own_parent_is_an_orphan() -> None:
    assert [orphan.span_id for orphan in forest_of(trace(span("A", 0, 1, "A"))).orphans] == ["A"]


def test_a_circle_is_told_from_a_parent_that_was_not_received() -> None:
    forest = forest_of(trace(span("A", 2, 3, "B"), span("B", 1, 3, "A"), span("O", 5, 6, "gone")))

    assert [found.span_id for found in forest.orphans] == ["B", "O"]
    assert [found.span_id for found in forest.circles] == ["B"]


def test_very_many_circles_take_no_longer_than_very_many_roots() -> None:
    # Were each compared with each, this would meet the bound of every test.
    many = trace(*(span(f"{number:05d}", 0, 1, f"{number:05d}") for number in range(20_000)))

    forest = forest_of(many)

    assert len(forest.circles) == 20_000
    assert forest.orphans_outside_circles == ()


def zipkin_call() -> Trace:
    """A call as Zipkin's libraries and Envoy send it: both sides have one id, and one parent."""
    return trace(
        span("P", 0, 20, kind=SpanKind.SERVER, service="shop"),
        span("X", 1, 10, "P", SpanKind.CLIENT, service="shop"),
        span("X", 2, 9, "P", SpanKind.SERVER, service="stock"),
        span("Y", 3, 4, "X", SpanKind.CLIENT, service="stock"),
        span("Z", 1, 2, "X", SpanKind.INTERNAL, service="shop"),
    )


def test_the_two_sides_of_a_call_that_share_one_id_are_parent_and_child() -> None:
    assert shape(zipkin_call()) == [("P", 0), ("X", 1), ("Z", 2), ("X_1", 2), ("Y", 3)]
    forest = forest_of(zipkin_call())
    assert [forest.by_id[found].service_name for found in ("X", "X_1")] == ["shop", "stock"]
    assert forest.orphans == ()


def test_of_two_sides_with_one_id_the_client_is_the_parent_whatever_the_clocks_say() -> None:
    given_trace = trace(
        span("X", 5, 15, kind=SpanKind.CLIENT, service="shop", host="a"),
        span("X", 1, 9, kind=SpanKind.SERVER, service="stock", host="b"),
        span("Y", 2, 3, "X", service="stock", host="b"),
    )

    reading = TraceReading(given_trace)

    assert [(found.span_id, depth) for found, depth in reading.forest.depth_first()] == [("X", 0), ("X_1", 1), ("Y", 2)]
    assert reading.skew.shifts_ns == {"X_1": 5 * MS, "Y": 5 * MS}


def test_a_side_that_came_without_the_other_is_a_span_like_any_other() -> None:
    server = span("X", 2, 9, "P", SpanKind.SERVER)

    assert shape(trace(span("P", 0, 20), server, span("Y", 3, 4, "X"))) == [("P", 0), ("X", 1), ("Y", 2)]


def test_a_log_record_of_a_call_with_one_id_belongs_to_the_side_of_its_service() -> None:
    records = [
        replace(record("X", 3, at), resource=Resource({"service.name": at})) for at in ("stock", "shop", "other")
    ]

    reading = TraceReading(zipkin_call(), tuple(records))

    assert {span_id: [r.event_name for r in own] for span_id, own in reading.logs_by_span.items()} == {
        "X_1": ["stock"],
        "X": ["shop", "other"],
    }
    assert [log["spanId"] for log in reading_to_json(reading)["logs"]] == ["X_1", "X", "X"]
    assert join_logs(zipkin_call(), records).joined_count == 3


@given(traces())
def test_every_span_is_shown_exactly_once(given_trace: Trace) -> None:
    shown = [span_id for span_id, _ in shape(given_trace)]

    sent = {(found.span_id, found.start_time_unix_nano, found.name, found.kind) for found in given_trace.spans}
    assert len(shown) == len(set(shown)) == len(sent)
    assert {span_id.partition("_")[0] for span_id in shown} == {span_id for span_id, *_ in sent}


@given(traces())
def test_self_time_is_never_negative_and_never_more_than_the_duration(given_trace: Trace) -> None:
    forest = forest_of(given_trace)

    assert all(0 <= own <= forest.by_id[span_id].duration_ns for span_id, own in self_times_ns(forest).items())


def test_self_time_counts_overlapping_children_once() -> None:
    times = self_times_ns(forest_of(b.OVERLAPPING))

    assert times == {"P": 30 * MS, "A": 50 * MS, "C": 55 * MS, "B": 60 * MS}


def test_a_child_on_another_host_is_centred_in_its_parent_and_its_own_host_follows() -> None:
    skew = correct_clock_skew(b.SKEWED)

    assert skew.shifts_ns == {"S": 130 * MS, "D": 130 * MS}
    assert skew.note == (
        "clocks differ between hosts: 2 spans were moved by up to +130.0 ms to fit their parents; "
        "how the wire time splits is unknown"
    )


def test_a_child_longer_than_its_parent_is_only_kept_from_starting_before_it() -> None:
    given_trace = trace(span("P", 0, 10, host="a"), span("C", -5, 20, "P", host="b"))

    skew = correct_clock_skew(given_trace)

    assert skew.shifts_ns == {"C": 5 * MS}
    assert "1 span was moved by +5.0 ms to fit its parent;" in skew.note


def test_nothing_moves_where_hosts_are_the_same_or_unknown() -> None:
    same = trace(span("P", 0, 10, host="a"), span("C", -5, 2, "P", host="a"))
    unknown = trace(span("P", 0, 10, host="a"), span("C", -5, 2, "P"))

    assert correct_clock_skew(same).trace is same
    assert correct_clock_skew(unknown).shifts_ns == {}


def test_a_span_whose_clock_ran_backwards_lasts_no_time_and_never_less() -> None:
    backwards = Span("a" * 32, "1" * 16, "", "backwards", SpanKind.SERVER, 2_000, 1_000)
    reading = TraceReading(Trace("a" * 32, (backwards,)))
    assert backwards.duration_ns == 0
    assert sum(step.duration_ns for step in reading.path.steps) == 0

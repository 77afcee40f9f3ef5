"""What spans say as calls: status codes, attempts, sequence, the sentence, proof."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel.analysis.attempts import retried_calls
from otel.analysis.durations import DurationScale, scale_for
from otel.analysis.example import example_trace, failing_trace
from otel.analysis.model import Attributes, SpanEvent, SpanKind, Trace
from otel.analysis.operations import operation_rows
from otel.analysis.proof import join_logs, prove
from otel.analysis.reading import TraceReading
from otel.analysis.rpc import operation, rpc_facts, status_code_name
from otel.analysis.sequence import StepKind, sequence_of
from otel.analysis.span_event_logs import each_record_once, is_from_span_event, logs_of_span_events
from otel.analysis.summary import path_parts, summary_sentence
from otel.analysis.tree import forest_of
from tests.unit.analysis import building as b
from tests.unit.analysis.building import CLIENT, INTERNAL, MS, SERVER, T0, record, span, trace
from tests.unit.analysis.forests import traces


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        pytest.param({"rpc.response.status_code": "NOT_FOUND"}, "NOT_FOUND", id="conventions 1.44"),
        pytest.param({"rpc.status_code": "OK"}, "OK", id="the rename after 1.44"),
        pytest.param({"rpc.grpc.status_code": 14}, "UNAVAILABLE", id="the library's number"),
        pytest.param({"rpc.grpc.status_code": "5"}, "NOT_FOUND", id="a number as text"),
        pytest.param({"rpc.grpc.status_code": 99}, "99", id="an unknown number"),
        pytest.param({}, "", id="nothing said"),
    ],
)
def test_a_status_code_is_read_under_any_of_its_names(attributes: Attributes, name: str) -> None:
    assert status_code_name(attributes) == name


@pytest.mark.parametrize(
    ("name", "kind", "attributes", "expected"),
    [
        pytest.param("tracelab.user.v1.UserService/GetUser", CLIENT, {}, "UserService/GetUser", id="by span name"),
        pytest.param("/tracelab.user.v1.UserService/GetUser", SERVER, {}, "UserService/GetUser", id="leading slash"),
        pytest.param(
            "GetUser",
            SERVER,
            {"rpc.system": "grpc", "rpc.service": "tracelab.user.v1.UserService", "rpc.method": "GetUser"},
            "UserService/GetUser",
            id="stock's attributes",
        ),
        pytest.param(
            "grpc",
            SERVER,
            {"rpc.system.name": "grpc", "rpc.method": "_OTHER", "rpc.method_original": "a.B/C"},
            "B/C",
            id="an unknown method",
        ),
        pytest.param("compute totals", INTERNAL, {}, "compute totals", id="not a call"),
    ],
)
def test_an_operation_has_a_short_name(name: str, kind: SpanKind, attributes: Attributes, expected: str) -> None:
    assert operation(span("S", 0, 1, kind=kind, operation=name, attributes=attributes)) == expected


def test_what_the_span_does_not_say_is_none() -> None:
    facts = rpc_facts(span("S", 0, 1, kind=SERVER, operation="a.B/C", attributes={"tracelab.rpc.timeout_s": 2}))

    assert facts is not None
    assert (facts.timeout_s, facts.time_remaining_s, facts.previous_attempts, facts.status_code) == (
        2.0,
        None,
        None,
        "",
    )


def test_a_stream_cut_short_is_drawn_as_a_cancel_though_its_server_cannot_tell() -> None:
    cut_short = {"tracelab.rpc.cut_short": True}
    server = span("S", 1, 8, "C", SERVER, operation="a.B/C", service="order", attributes=cut_short)
    client = span(
        "C", 0, 9, kind=CLIENT, operation="a.B/C", service="demo", attributes={"rpc.response.status_code": "CANCELLED"}
    )

    facts = rpc_facts(server)
    assert facts is not None
    assert (facts.status_code, facts.cut_short) == ("", True)
    steps = sequence_of(TraceReading(trace(client, server))).steps
    assert [step.from_service for step in steps if step.kind is StepKind.CANCEL] == ["demo"]


def test_attempts_of_a_retried_call_have_numbers_and_waits() -> None:
    (call,) = retried_calls(forest_of(b.RETRIES))

    assert [(a.server_span.span_id, a.number, a.wait_ns / MS) for a in call.attempts] == [
        ("A1", 1, 0),
        ("A2", 2, 60),
        ("A3", 3, 110),
    ]


def test_an_attempt_that_no_server_received_leaves_a_gap() -> None:
    told = {"grpc.previous_rpc_attempts": 2}
    server = span("S", 5, 8, "C", SERVER, operation="a.B/C", attributes=told)
    (call,) = retried_calls(forest_of(trace(span("C", 0, 9, kind=CLIENT), server)))

    assert [attempt.number for attempt in call.attempts] == [3]


def test_a_call_that_was_tried_once_is_not_listed() -> None:
    assert retried_calls(forest_of(b.LEVELS)) == ()


def test_the_sentence_of_the_example_adds_up() -> None:
    assert summary_sentence(TraceReading(*example_trace()), "Report") == (
        "Report took 14.2 ms: 6.1 OrderService/ListOrders, 4.6 wire and queues, 2.4 UserService/GetUser, "
        "1.1 ReportService/GetUserReport"
    )


def test_the_smallest_parts_are_summed_up() -> None:
    assert summary_sentence(TraceReading(*example_trace()), most_parts=3).endswith(
        ": 6.1 OrderService/ListOrders, 4.6 wire and queues, 3.5 2 other"
    )


def test_a_client_without_a_server_span_says_so() -> None:
    reading = TraceReading(trace(span("C", 0, 10, kind=CLIENT, operation="a.UserService/GetUser")))

    assert summary_sentence(reading) == "UserService/GetUser took 10.0 ms: 10.0 no server span"


@given(traces())
def test_the_parts_of_the_sentence_add_up_as_printed(given_trace: Trace) -> None:
    sentence = summary_sentence(TraceReading(given_trace))
    numbers = [round(float(number) * 1000) for number in re.findall(r"(?<=[:,] )\d+\.\d+", sentence)]

    if numbers:
        total = re.search(r"took (\d+\.\d+)", sentence)
        assert total is not None
        assert sum(numbers) == round(float(total[1]) * 1000)


def test_one_duration_is_the_same_number_by_itself_and_as_a_sum() -> None:
    scale = DurationScale("ms", 1)
    assert (scale.number(48_250_000), scale.total([48_250_000])) == ("48.3", "48.3")


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1))
def test_printed_parts_add_up_to_the_printed_total(parts: list[int]) -> None:
    scale = scale_for(sum(parts))

    steps = [round(float(part) * 10**scale.decimals) for part in scale.parts(parts)]
    assert sum(steps) == round(float(scale.total(parts)) * 10**scale.decimals)


@pytest.mark.parametrize(
    ("largest_ns", "expected"),
    [
        (14_210_000, DurationScale("ms", 1)),
        (9_876_543, DurationScale("ms", 2)),
        (200_400_000, DurationScale("ms", 0)),
        (812_000, DurationScale("µs", 0)),
        (12_000_000_000, DurationScale("s", 1)),
        (0, DurationScale("ns", 0)),
    ],
    ids=["14 ms", "10 ms", "200 ms", "under a millisecond", "12 s", "zero"],
)
def test_a_scale_has_three_digits_of_the_largest(largest_ns: int, expected: DurationScale) -> None:
    assert scale_for(largest_ns) == expected


@given(traces())
def test_operations_share_out_the_critical_path(given_trace: Trace) -> None:
    reading = TraceReading(given_trace)

    root_ns = reading.root.duration_ns if reading.root else 0
    assert sum(row.critical_time_ns for row in operation_rows(reading)) == root_ns
    assert sum(time_ns for _, time_ns in path_parts(reading)) == root_ns


def test_a_call_is_a_request_its_logs_and_a_response() -> None:
    sequence = sequence_of(TraceReading(*example_trace()))

    assert sequence.participants == ("demo", "report", "user", "order")
    assert [(step.kind.value, step.from_service, step.to_service, step.label) for step in sequence.steps][:5] == [
        ("request", "demo", "report", "ReportService/GetUserReport"),
        ("log", "report", "report", "report.requested"),
        ("request", "report", "user", "UserService/GetUser"),
        ("log", "user", "user", "user.read"),
        ("response", "user", "report", "OK after 3.68 ms"),
    ]


def test_a_deadline_is_drawn_as_a_cancel_and_attempts_are_numbered() -> None:
    steps = sequence_of(TraceReading(*failing_trace())).steps

    assert [step.label for step in steps if step.kind is StepKind.CANCEL] == ["deadline exceeded after 200 ms"]
    assert [step.label for step in steps if "attempt" in step.label] == [
        "OrderService/ListOrders (attempt 1)",
        "OrderService/ListOrders (attempt 2)",
    ]


def test_a_call_that_no_server_span_answers_goes_to_a_participant_that_says_so() -> None:
    lonely = span("C", 0, 1, kind=CLIENT, operation="a.UserService/GetUser", service="report", is_error=True)

    sequence = sequence_of(TraceReading(trace(lonely)))

    assert sequence.participants == ("report", "UserService (no span)")
    assert [step.is_error for step in sequence.steps] == [False, True]


def test_messages_of_a_stream_are_arrows_in_their_direction() -> None:
    out = [SpanEvent("Outbound message", i * MS, {"sequence-number": i, "message-size": 9}) for i in range(3)]
    server = replace(span("S", 0, 9, "C", SERVER, operation="a.B/C", service="order"), events=tuple(out))
    client = span("C", 0, 9, kind=CLIENT, operation="a.B/C", service="demo")

    steps = sequence_of(TraceReading(trace(client, server))).steps

    messages = [(step.from_service, step.to_service, step.label) for step in steps if step.kind is StepKind.MESSAGE]
    assert messages == [("order", "demo", f"message {i}, 9 B") for i in range(3)]


@given(traces())
def test_any_forest_has_a_sequence_in_order_of_time(given_trace: Trace) -> None:
    times = [step.time_unix_nano for step in sequence_of(TraceReading(given_trace)).steps]

    assert times == sorted(times)


def test_logs_join_the_spans_they_were_written_in() -> None:
    given_trace, logs = example_trace()

    report = join_logs(given_trace, logs)

    assert (report.log_count, report.joined_count, report.all_joined) == (6, 6, True)


def test_a_record_of_a_missing_span_or_outside_its_span_is_named() -> None:
    given_trace = trace(span("S", 10, 20))
    lost, early, fine = record("gone", 15), record("S", 8.9), record("S", 20.5)
    unsampled, loose = replace(record("gone", 15), flags=2), replace(record("", 15), trace_id="")

    report = join_logs(given_trace, [lost, early, fine, unsampled, loose])

    assert (report.joined_count, report.all_joined) == (2, False)
    assert (report.without_span, report.outside_span, report.without_ids) == ((lost,), (early,), (loose,))


def test_the_proof_counts_traces_spans_and_orphans() -> None:
    whole, broken = prove([example_trace()[0]], example_trace()[1]), prove([failing_trace()[0]], failing_trace()[1])

    assert (len(whole.trace_ids), whole.services, whole.span_count, whole.orphan_span_count, whole.holds) == (
        1,
        ("demo", "order", "report", "user"),
        6,
        0,
        True,
    )
    assert (broken.orphan_span_count, broken.holds) == (1, False)


def test_records_that_travelled_as_span_events_are_rebuilt_and_shown_once() -> None:
    stored = record("S", 5, "order.listed", 9, **{"log.record.uid": "u1"})
    events = tuple(
        SpanEvent(
            name, T0 + 5 * MS, {"log.record.uid": uid, "log.severity_number": 13, "log.severity_text": "WARN", "n": 1}
        )
        for name, uid in (("order.listed", "u1"), ("order.slow", "u2"))
    )
    noise = SpanEvent("Outbound message", T0 + MS, {})
    rebuilt = logs_of_span_events([replace(span("S", 0, 9), events=(*events, noise))])

    once = each_record_once([*rebuilt, stored])

    assert [(r.event_name, is_from_span_event(r)) for r in once] == [("order.listed", False), ("order.slow", True)]
    assert (rebuilt[1].severity_number, rebuilt[1].severity_text, rebuilt[1].span_id) == (13, "WARN", "S")
    assert rebuilt[1].attributes == {"log.record.uid": "u2", "n": 1}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_no_fact(value: float) -> None:
    names = ("grpc.previous_rpc_attempts", "tracelab.rpc.timeout_s", "tracelab.rpc.sent_message_count")
    facts = rpc_facts(span("S", 0, 1, kind=SERVER, operation="a.B/C", attributes=dict.fromkeys(names, value)))
    assert facts is not None
    assert (facts.previous_attempts, facts.timeout_s, facts.sent_message_count) == (None, None, None)


def test_digits_without_end_are_no_status_code_by_number() -> None:
    assert status_code_name({"rpc.grpc.status_code": "9" * 6000}) == "9" * 6000

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.compare.made_run import LIST, LIST_WIRE, TOP, made_run, untraced
from tests.unit.compare.scripted import samples_of
from tracelab.compare.explanation.decomposition import (
    OUTSIDE,
    Band,
    decompose,
    tail_calls,
    typical_calls,
    whole_by_largest_remainder,
)
from tracelab.compare.explanation.rounded_breakdown import shown
from tracelab.compare.explanation.sentence import sentence
from tracelab.compare.explanation.trace_parts import Part, PartKey, TraceParts
from tracelab.compare.statistics.sample import Sample

MS = 1_000_000


def band(name: str, traces: dict[str, TraceParts], latencies: dict[str, int]) -> Band:
    samples = [
        Sample(name, number % 10, 0, number, 0, latencies[trace_id], latencies[trace_id], "OK", trace_id)
        for number, trace_id in enumerate(traces)
    ]
    return Band("typical", tuple(samples))


def test_rows_add_up_to_the_difference_exactly() -> None:
    found = made_run().decompositions()[0]
    assert sum((row.difference_ns for row in found.rows), Fraction()) == found.difference_ns
    assert sum((row.baseline_ns for row in found.rows), Fraction()) == found.baseline_ns


PARTS = st.dictionaries(
    st.sampled_from([TOP, LIST, LIST_WIRE, PartKey("user", "UserService/GetUser", "server")]),
    st.integers(0, 10**9),
    min_size=1,
)
SIDES = st.lists(st.tuples(PARTS, st.integers(0, 10**7)), min_size=1, max_size=5)


@given(SIDES, SIDES)
def test_rows_add_up_whatever_the_traces_are(
    below: list[tuple[dict[PartKey, int], int]], above: list[tuple[dict[PartKey, int], int]]
) -> None:
    bands: list[Band] = []
    traces: dict[str, TraceParts] = {}
    for side, calls in (("a", below), ("b", above)):
        made: dict[str, TraceParts] = {}
        latencies: dict[str, int] = {}
        for number, (times, outside_ns) in enumerate(calls):
            trace_id = f"{side}{number}"
            made[trace_id] = TraceParts(
                trace_id, sum(times.values()), tuple((key, Part(ns, 1)) for key, ns in times.items())
            )
            latencies[trace_id] = sum(times.values()) + outside_ns
        traces |= made
        bands.append(band(side, made, latencies))
    found = decompose(bands[0], bands[1], traces, block_count=10, seed="1")
    assert found is not None
    assert sum((row.difference_ns for row in found.rows), Fraction()) == found.difference_ns
    mean_ns = [Fraction(sum(sample.latency_ns for sample in one.samples), len(one.samples)) for one in bands]
    assert found.difference_ns == mean_ns[1] - mean_ns[0]


def test_a_variant_against_itself_differs_by_nothing() -> None:
    run = made_run()
    own = typical_calls([sample for sample in run.measurement.samples if sample.entry == "batch"])
    found = decompose(own, own, run.traces, block_count=20, seed="1")
    assert found is not None
    assert found.difference_ns == 0
    assert [row.difference_ns for row in found.rows] == [0] * len(found.rows)


def test_time_between_the_clients_clock_and_the_root_is_a_row_of_its_own() -> None:
    found = made_run().decompositions()[0]
    outside = next(row for row in found.rows if row.key == OUTSIDE)
    assert float(outside.baseline_ns / found.baseline_ns) == pytest.approx(0.02, rel=1e-6)


def test_counts_stand_next_to_times() -> None:
    row = next(row for row in made_run().decompositions()[0].rows if row.key == LIST)
    assert (row.baseline_count, row.variant_count) == (Fraction(20), Fraction(1))


def test_the_limits_of_a_row_hold_its_difference() -> None:
    for row in made_run().decompositions()[0].rows:
        assert row.low_ns is not None
        assert row.high_ns is not None
        assert row.low_ns <= row.difference_ns <= row.high_ns


def test_small_rows_become_one() -> None:
    traces, latencies = {}, {}
    for side, total_ms in (("a", 100), ("b", 50)):
        rows = [(PartKey("s", f"Small/Op{number}", "server"), Part(MS // 10, 1)) for number in range(5)]
        rows.append((LIST, Part(total_ms * MS, 1)))
        traces[side] = TraceParts(side, total_ms * MS + 5 * MS // 10, tuple(rows))
        latencies[side] = traces[side].root_duration_ns
    found = decompose(
        band("a", {"a": traces["a"]}, latencies),
        band("b", {"b": traces["b"]}, latencies),
        traces,
        block_count=1,
        seed="1",
    )
    assert found is not None
    assert [row.key.label for row in found.rows] == ["OrderService/ListOrders", "other, 6 operations"]


def test_calls_without_a_whole_trace_are_left_out_and_counted() -> None:
    run = made_run()
    some = {
        trace_id: replace(parts, complete=number % 2 == 0)
        for number, (trace_id, parts) in enumerate(run.traces.items())
    }
    found = replace(run, traces=some).decompositions()[0]
    assert found.incomplete_count > 0
    assert sum((row.difference_ns for row in found.rows), Fraction()) == found.difference_ns


def test_without_traces_there_is_no_breakdown() -> None:
    assert untraced(made_run()).decompositions() == ()


def test_typical_calls_lie_between_the_40th_and_the_60th_percentile() -> None:
    chosen = typical_calls(samples_of("a", [list(range(1, 101))]))
    assert [sample.latency_ns for sample in chosen.samples] == list(range(40, 61))


def test_the_tail_is_what_lies_from_p95_up_if_there_is_enough_of_it() -> None:
    assert [sample.latency_ns for sample in tail_calls(samples_of("a", [list(range(1, 401))])).samples] == list(
        range(380, 401)
    )
    assert tail_calls(samples_of("a", [list(range(1, 301))])).samples == ()


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=12), st.integers(1, 10**6))
def test_shown_digits_add_up_and_are_off_by_less_than_one_unit(values: list[int], unit: int) -> None:
    fractions = [Fraction(value, 7) for value in values]
    shown = whole_by_largest_remainder(fractions, Fraction(unit))
    assert sum(shown) == round(sum(fractions, Fraction()) / unit)
    assert all(abs(one - fraction / unit) < 1 for one, fraction in zip(shown, fractions, strict=True))


def test_the_sentence_names_the_calls_that_are_not_made() -> None:
    assert sentence(made_run().decompositions()[0]).endswith("of it in 19 calls to ListOrders that it does not make.")
    assert sentence(made_run().decompositions()[0]).startswith("batch saves 2")


def test_the_sentence_names_an_operation_that_got_slower() -> None:
    base = {TOP: 5 * MS, LIST: 10 * MS}
    slow = {TOP: 5 * MS, LIST: 30 * MS}
    made = {
        name: TraceParts(name, sum(times.values()), tuple((key, Part(ns, 1)) for key, ns in times.items()))
        for name, times in (("plain", base), ("slow", slow))
    }
    latencies = {name: parts.root_duration_ns for name, parts in made.items()}
    found = decompose(
        band("plain", {"plain": made["plain"]}, latencies),
        band("slow", {"slow": made["slow"]}, latencies),
        made,
        block_count=1,
        seed="1",
    )
    assert found is not None
    assert sentence(found) == "slow costs 20.0 ms: 20.0 of it in ListOrders."


def test_the_sentence_agrees_with_the_printed_sum() -> None:
    found = made_run().decompositions()[0]
    breakdown = shown(found)
    amount = f"{abs(float(breakdown.nanoseconds(breakdown.difference))) / MS:.{breakdown.decimals}f} ms"
    assert f"saves {amount}" in sentence(found)


def test_where_the_verdict_finds_no_difference_the_sentence_explains_none() -> None:
    found = made_run().decompositions()[0]
    assert sentence(found, is_difference=False).startswith("nothing to explain: typical calls of sequential and batch")


def test_the_sentence_gives_each_row_its_own_number_where_calls_are_the_same() -> None:
    made = {
        name: TraceParts(name, wire_ns + served_ns, ((LIST_WIRE, Part(wire_ns, 1)), (LIST, Part(served_ns, 1))))
        for name, wire_ns, served_ns in (("reused", 10 * MS, 5 * MS), ("fresh", 13 * MS, 6 * MS))
    }
    latencies = {"reused": 15 * MS, "fresh": 25 * MS}
    found = decompose(
        band("reused", {"reused": made["reused"]}, latencies),
        band("fresh", {"fresh": made["fresh"]}, latencies),
        made,
        block_count=1,
        seed="1",
    )
    assert found is not None
    assert sentence(found) == "fresh costs 10.0 ms: 6.0 of it outside the trace, in the client."

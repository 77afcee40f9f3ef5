from __future__ import annotations

from tests.unit.compare.scripted import entries, samples_of
from tracelab.compare.statistics.analysis import AnalysisSettings, analyse, refused, summarise
from tracelab.compare.statistics.failures import why_not_comparable
from tracelab.compare.statistics.outliers import find_outliers
from tracelab.compare.statistics.quantiles import MEDIAN, P95
from tracelab.compare.statistics.sample import Entry, Role, Sample, ranked_latencies


def calls(entry: str, ok: int, failed: int, code: str = "DEADLINE_EXCEEDED", latency_ns: int = 100) -> list[Sample]:
    answered = [Sample(entry, n % 10, 0, n, 0, latency_ns + n, latency_ns + n) for n in range(ok)]
    return answered + [Sample(entry, n % 10, 0, ok + n, 0, 5_000, 5_000, code) for n in range(failed)]


def test_shares_that_differ_by_more_than_a_point_are_not_comparable() -> None:
    reason = why_not_comparable("a", calls("a", 100, 0), "b", calls("b", 88, 12))
    assert reason == "12 % of b failed (DEADLINE_EXCEEDED)"


def test_shares_within_a_point_are_comparable() -> None:
    assert why_not_comparable("a", calls("a", 500, 3), "b", calls("b", 500, 6)) == ""


def test_a_variant_whose_every_call_failed_is_not_comparable_even_with_another_such() -> None:
    reason = why_not_comparable("a", calls("a", 0, 9, "UNAVAILABLE"), "b", calls("b", 0, 9, "UNAVAILABLE"))
    assert reason == "every call of b failed (UNAVAILABLE)"


def test_failed_calls_are_counted_and_are_no_latencies() -> None:
    summary = summarise(Entry("a", Role.BASELINE), calls("a", 40, 10, "UNAVAILABLE"))
    assert summary.code_counts == {"OK": 40, "UNAVAILABLE": 10}
    assert summary.max_ns == 139
    assert (summary.call_count, summary.ok_count) == (50, 40)


def test_a_call_that_met_its_deadline_ranks_above_all_answered_ones() -> None:
    blocks = ranked_latencies(calls("a", 2, 1), 10)
    assert max(value for block in blocks for value in block) == 5_000
    median = summarise(Entry("a", Role.BASELINE), calls("a", 60, 40)).value_of(MEDIAN).sample
    assert median is not None
    assert median.latency_ns == 149  # the 50th of 100, not the 30th of 60


def test_a_quantile_beyond_the_deadline_is_refused() -> None:
    assert refused(P95, calls("a", 900, 100)) == "p95 is beyond the deadline: 10 % of the calls met it"
    assert refused(MEDIAN, calls("a", 900, 100)) == ""


def test_a_quantile_with_too_few_calls_beyond_it_is_refused() -> None:
    assert refused(P95, calls("a", 199, 0)) == "p95 needs 200 calls, has 199"


def test_an_open_loop_that_was_not_kept_up_with_has_a_verdict_and_no_quantiles() -> None:
    samples = samples_of("a", [[1, 2, 3]] * 20) + samples_of("b", [[1, 2, 3]] * 20)
    analysis = analyse(samples, entries("b", twin=False), [20], AnalysisSettings(1), {"b": "81 % of the wanted rate"})
    assert analysis.headlines[0].verdict is not None
    assert analysis.headlines[0].verdict.text == "could not keep up: 81 % of the wanted rate"
    assert analysis.summary_of("b").value_of(MEDIAN).sample is None


def test_outliers_are_counted_above_three_interquartile_ranges_and_the_five_worst_are_named() -> None:
    samples = samples_of("a", [[100, 101, 102, 103]] * 10 + [[1000 + n] for n in range(7)])
    found = find_outliers(samples)
    assert found is not None
    assert found.count == 7
    assert [sample.latency_ns for sample in found.worst] == [1006, 1005, 1004, 1003, 1002]


def test_the_order_of_samples_changes_nothing() -> None:
    samples = samples_of("a", [[5, 3, 8]] * 20) + samples_of("b", [[9, 7, 6]] * 20)
    one = analyse(samples, entries("b", twin=False), [20], AnalysisSettings(1))
    other = analyse(samples[::-1], entries("b", twin=False), [20], AnalysisSettings(1))
    assert one == other

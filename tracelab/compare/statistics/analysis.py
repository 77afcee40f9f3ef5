"""From samples to figures and verdicts: what a run says, and what its raw samples say again with `--from`.

Pure: the same samples, settings and seed give the same analysis, in any order of the samples' arrival.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tracelab.compare.statistics import verdict as verdicts
from tracelab.compare.statistics.failures import censored_from, why_not_comparable
from tracelab.compare.statistics.quantiles import (
    DRAWS,
    MEDIAN,
    MIN_BLOCKS,
    QUANTILES,
    Interval,
    Pool,
    Quantile,
    mean_interval_of_logs,
    order_statistic,
    ratio_intervals,
)
from tracelab.compare.statistics.sample import OK, Entry, Role, Sample, codes, of_entry, ranked_latencies
from tracelab.compare.statistics.verdict import Criteria, Verdict, VerdictKind

ERROR_RATE = 0.05
"""How often any verdict of a run may be wrong; shared among its comparisons (Bonferroni)."""


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """What is asked of the samples. `by` is the headline's quantile."""

    seed: int
    by: Quantile = MEDIAN
    criteria: Criteria = field(default_factory=Criteria)
    draws: int = DRAWS


@dataclass(frozen=True, slots=True)
class QuantileValue:
    """A quantile of one variant: the call that it is, or why it is not shown."""

    quantile: Quantile
    sample: Sample | None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """One variant's figures. Latencies in nanoseconds, of successful calls; None where there was none."""

    entry: Entry
    call_count: int
    ok_count: int
    code_counts: Mapping[str, int]
    min_ns: int | None
    max_ns: int | None
    mean_ns: float | None
    quantiles: tuple[QuantileValue, ...]
    service_median_ns: int | None
    slowest: Sample | None

    def value_of(self, quantile: Quantile) -> QuantileValue:
        """The value of one of `QUANTILES`."""
        return next(value for value in self.quantiles if value.quantile == quantile)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One quantile of a variant against the baseline's. Only the headline has a verdict."""

    variant: str
    baseline: str
    quantile: Quantile
    interval: Interval | None
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Analysis:
    """All that the samples say. `twin` is the interval of the baseline against itself."""

    block_count: int
    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]
    twin: Interval | None

    @property
    def disturbed(self) -> bool:
        """Whether the baseline differs from itself: 5 % of good runs do."""
        return self.twin is not None and self.twin.excludes(1.0)

    @property
    def headlines(self) -> tuple[Comparison, ...]:
        """The comparisons with a verdict, one for each variant."""
        return tuple(comparison for comparison in self.comparisons if comparison.verdict is not None)

    def finds_difference(self, variant: str) -> bool:
        """Whether the verdict on a variant is that it is faster or slower."""
        kinds = {one.verdict.kind for one in self.headlines if one.variant == variant and one.verdict}
        return bool(kinds & {VerdictKind.FASTER, VerdictKind.SLOWER})

    def summary_of(self, name: str) -> Summary:
        """The figures of one entry."""
        return next(summary for summary in self.summaries if summary.entry.name == name)


def compared(entries: Sequence[Entry]) -> tuple[Entry, list[Entry]]:
    """The baseline, and what is compared with it (without twin and control)."""
    baseline = next(entry for entry in entries if entry.role is Role.BASELINE)
    return baseline, [entry for entry in entries if entry.role is Role.VARIANT]


def error_rate_of(entries: Sequence[Entry]) -> float:
    """The error rate of each comparison."""
    return ERROR_RATE / max(1, len(compared(entries)[1]))


def headline_intervals(
    samples: Sequence[Sample], entries: Sequence[Entry], block_count: int, settings: AnalysisSettings
) -> dict[str, Interval]:
    """The interval of each variant's headline, by name; variants that have no comparable calls are left out."""
    baseline, variants = compared(entries)
    below = ranked_latencies(of_entry(samples, baseline.name), block_count)
    intervals: dict[str, Interval] = {}
    for entry in variants:
        above = ranked_latencies(of_entry(samples, entry.name), block_count)
        if block_count >= MIN_BLOCKS and any(below) and any(above):
            intervals[entry.name] = _block_intervals(below, above, [settings.by], error_rate_of(entries), settings)[0]
    return intervals


def analyse(
    samples: Sequence[Sample],
    entries: Sequence[Entry],
    restart_blocks: Sequence[int],
    settings: AnalysisSettings,
    overloaded: Mapping[str, str] | None = None,
) -> Analysis:
    """Everything that `samples` say.

    `restart_blocks` has the number of blocks of each restart (one number where nothing was restarted); `overloaded`
    names the entries whose open loop was not kept up with, and why.
    """
    by_entry = {entry.name: of_entry(samples, entry.name) for entry in entries}
    block_count = sum(restart_blocks)
    blocks = {name: ranked_latencies(own, block_count) for name, own in by_entry.items()}
    desk = _Desk(by_entry, blocks, tuple(restart_blocks), settings, overloaded or {})
    baseline, variants = compared(entries)
    comparisons = [
        comparison for entry in variants for comparison in desk.compare(baseline, entry, error_rate_of(entries))
    ]
    twin = next((entry for entry in entries if entry.role is Role.TWIN), None)
    return Analysis(
        block_count=block_count,
        summaries=tuple(summarise(entry, by_entry[entry.name], entry.name in desk.overloaded) for entry in entries),
        comparisons=tuple(comparisons),
        twin=desk.twin(baseline, twin) if twin else None,
    )


@dataclass(frozen=True, slots=True)
class _Desk:
    """The samples of a run, laid out for comparing."""

    by_entry: Mapping[str, Sequence[Sample]]
    blocks: Mapping[str, Sequence[Sequence[int]]]
    restart_blocks: tuple[int, ...]
    settings: AnalysisSettings
    overloaded: Mapping[str, str]

    def compare(self, baseline: Entry, entry: Entry, error_rate: float) -> list[Comparison]:
        """The headline with its verdict, then the other quantiles that can be shown."""
        by = self.settings.by
        no = self._why_not(baseline, entry)
        if no is not None:
            return [Comparison(entry.name, baseline.name, by, None, no)]
        own, others = self.by_entry[entry.name], self.by_entry[baseline.name]
        shown = [q for q in QUANTILES if q == by or not (refused(q, own) or refused(q, others))]
        intervals = self._intervals(baseline, entry, shown, error_rate)
        block_count, criteria = sum(self.restart_blocks), self.settings.criteria
        return [
            Comparison(
                variant=entry.name,
                baseline=baseline.name,
                quantile=quantile,
                interval=interval,
                verdict=verdicts.judge(interval, block_count, criteria) if quantile == by else None,
            )
            for quantile, interval in zip(shown, intervals, strict=True)
        ]

    def twin(self, baseline: Entry, twin: Entry) -> Interval | None:
        """The interval of the baseline against itself."""
        if (
            sum(self.restart_blocks) < MIN_BLOCKS
            or not any(self.blocks[twin.name])
            or not any(self.blocks[baseline.name])
        ):
            return None
        return self._intervals(baseline, twin, [self.settings.by], ERROR_RATE)[0]

    def _why_not(self, baseline: Entry, entry: Entry) -> Verdict | None:
        for name in (entry.name, baseline.name):
            if name in self.overloaded:
                return Verdict(VerdictKind.COULD_NOT_KEEP_UP, f"could not keep up: {self.overloaded[name]}")
        own, others = self.by_entry[entry.name], self.by_entry[baseline.name]
        reason = why_not_comparable(baseline.name, others, entry.name, own)
        if reason:
            return verdicts.not_comparable(reason)
        if sum(self.restart_blocks) < MIN_BLOCKS:
            return verdicts.too_few_blocks(sum(self.restart_blocks), MIN_BLOCKS)
        refusal = refused(self.settings.by, own) or refused(self.settings.by, others)
        return Verdict(VerdictKind.NOT_RESOLVED, f"not resolved: {refusal}") if refusal else None

    def _intervals(
        self, baseline: Entry, entry: Entry, quantiles: Sequence[Quantile], error_rate: float
    ) -> list[Interval]:
        below, above = self.blocks[baseline.name], self.blocks[entry.name]
        if len(self.restart_blocks) < 2:
            return _block_intervals(below, above, quantiles, error_rate, self.settings)
        return [self._restart_interval(below, above, quantile, error_rate) for quantile in quantiles]

    def _restart_interval(
        self, below: Sequence[Sequence[int]], above: Sequence[Sequence[int]], quantile: Quantile, error_rate: float
    ) -> Interval:
        """Student's interval on the restarts' log ratios: processes differ, so the process is what is repeated."""
        logs, first = [], 0
        for block_count in self.restart_blocks:
            sides = (Pool.of(side[first : first + block_count]).values for side in (above, below))
            values = [order_statistic(side, quantile) for side in sides if side]
            if len(values) == 2:
                logs.append(math.log(values[0] / values[1]))
            first += block_count
        if len(logs) < 2:
            return _block_intervals(below, above, [quantile], error_rate, self.settings)[0]
        return mean_interval_of_logs(logs, error_rate)


def _block_intervals(
    below: Sequence[Sequence[int]],
    above: Sequence[Sequence[int]],
    quantiles: Sequence[Quantile],
    error_rate: float,
    settings: AnalysisSettings,
) -> list[Interval]:
    seed = f"{settings.seed}:bootstrap"
    return ratio_intervals(
        Pool.of(below), Pool.of(above), quantiles, error_rate=error_rate, seed=seed, draws=settings.draws
    )


def refused(quantile: Quantile, samples: Sequence[Sample]) -> str:
    """Why a quantile of these calls is not shown; "" if it is."""
    ok_count = sum(sample.code == OK for sample in samples)
    if ok_count < quantile.calls_needed:
        return f"{quantile.label} needs {quantile.calls_needed:,} calls, has {ok_count:,}"
    share = censored_from(samples)
    if quantile.numerator / quantile.denominator > share:
        return f"{quantile.label} is beyond the deadline: {100 * (1 - share):.0f} % of the calls met it"
    return ""


def summarise(entry: Entry, samples: Sequence[Sample], overloaded: bool = False) -> Summary:
    """The figures of one variant. One that could not keep up has no quantiles."""
    answered = sorted(
        (sample for sample in samples if sample.code == OK), key=lambda s: (s.latency_ns, s.block, s.run, s.index)
    )
    latencies = [sample.latency_ns for sample in answered]
    # Calls that met their deadline rank above all others: the quantile is the one of answered and censored together.
    censored_count = round(len(answered) / censored_from(samples)) - len(answered) if answered else 0
    values = []
    for quantile in QUANTILES:
        refusal = "could not keep up" if overloaded else refused(quantile, samples)
        place = quantile.rank(len(answered) + censored_count) if answered else 0
        sample = None if refusal or place > len(answered) else answered[place - 1]
        values.append(QuantileValue(quantile, sample, refusal))
    return Summary(
        entry=entry,
        call_count=len(samples),
        ok_count=len(answered),
        code_counts=dict(sorted(codes(samples).items())),
        min_ns=latencies[0] if latencies else None,
        max_ns=latencies[-1] if latencies else None,
        mean_ns=math.fsum(latencies) / len(latencies) if latencies else None,
        quantiles=tuple(values),
        service_median_ns=(
            order_statistic(sorted(sample.service_ns for sample in answered), MEDIAN) if answered else None
        ),
        slowest=answered[-1] if answered else None,
    )

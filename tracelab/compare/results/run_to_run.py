"""Run against run: by each run's own control, because machines differ from one minute to the next more than code does.

Pure. Every run contains the control, UserService/GetUser on one channel. A variant is compared by its ratio to the
control of its own run; directly, half of all pairs of equal runs would look different.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tracelab.compare.question.method_call import SERVER_KEY
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.statistics import verdict as verdicts
from tracelab.compare.statistics.analysis import ERROR_RATE
from tracelab.compare.statistics.quantiles import (
    MEDIAN,
    MIN_BLOCKS,
    Interval,
    Pool,
    block_draws,
    order_statistic,
    t_quantile,
    widened,
)
from tracelab.compare.statistics.sample import Role, of_entry, ranked_latencies
from tracelab.compare.statistics.verdict import Verdict

_COMPARED = (Role.BASELINE, Role.VARIANT)


@dataclass(frozen=True, slots=True)
class RunToRun:
    """One variant now against then. `now_ns` and `then_ns` are medians as measured; the interval is by the controls."""

    variant: str
    now_ns: float
    then_ns: float
    interval: Interval | None
    verdict: Verdict


def compare_runs(now: Sequence[ComparisonRun], then: Sequence[ComparisonRun]) -> list[RunToRun]:
    """Compare the variants that all runs have. With two runs or more a side, runs are what is repeated."""
    names = _shared_names([*now, *then])
    reason = _why_not_comparable([*now, *then])
    if not names:
        reason = reason or "the runs have no variant in common"
    error_rate = ERROR_RATE / max(1, len(names))
    return [_compare(name, now, then, error_rate, reason) for name in names]


def why_not_comparable(now: ComparisonRun, then: ComparisonRun) -> str:
    """Why two runs cannot be compared; "" if they can."""
    return _why_not_comparable([now, then]) or ("" if _shared_names([now, then]) else "no variant in common")


def _shared_names(runs: Sequence[ComparisonRun]) -> list[str]:
    first, *others = ([entry.name for entry in run.measurement.entries if entry.role in _COMPARED] for run in runs)
    return [name for name in first if all(name in other for other in others)]


def _why_not_comparable(runs: Sequence[ComparisonRun]) -> str:
    first = runs[0]
    for run in runs:
        if _control(run) is None:
            return "a run has no control"
        differing = first.environment.why_not_comparable(run.environment)
        if differing:
            return differing
        if run.measurement.block_count < MIN_BLOCKS:
            return f"a run has {run.measurement.block_count} blocks, an interval needs {MIN_BLOCKS}"
    return ""


def _compare(
    name: str, now: Sequence[ComparisonRun], then: Sequence[ComparisonRun], error_rate: float, reason: str
) -> RunToRun:
    mean_now, mean_then = (math.exp(_mean([math.log(_median_ns(run, name)) for run in runs])) for runs in (now, then))
    for run in (*now, *then):
        differing = _asked(now[0], name) != _asked(run, name)
        reason = reason or (f"{name} was measured with other options" if differing else "")
    if reason:
        return RunToRun(name, mean_now, mean_then, None, verdicts.not_comparable(reason))
    if len(now) >= 2 and len(then) >= 2:
        interval = _by_runs(
            [_log_to_control(run, name) for run in now], [_log_to_control(run, name) for run in then], error_rate
        )
        block_count = len(now) + len(then)
    else:
        interval = _by_blocks(now[0], then[0], name, error_rate)
        block_count = min(now[0].measurement.block_count, then[0].measurement.block_count)
    verdict = verdicts.judge(interval, block_count, now[0].settings.analysis.criteria)
    return RunToRun(name, mean_now, mean_then, interval, verdict)


def _by_blocks(now: ComparisonRun, then: ComparisonRun, name: str, error_rate: float) -> Interval:
    """The interval from one run a side: blocks of each run are drawn on their own."""
    estimate = _log_to_control(now, name) - _log_to_control(then, name)
    drawn_now, drawn_then = (_drawn_logs(run, name, side) for run, side in ((now, "now"), (then, "then")))
    drawn = [one - other for one, other in zip(drawn_now, drawn_then, strict=True)]
    block_count = min(now.measurement.block_count, then.measurement.block_count)
    low, high = widened(estimate, drawn, error_rate=error_rate, block_count=block_count)
    return Interval(math.exp(estimate), math.exp(low), math.exp(high), error_rate)


def _by_runs(now: Sequence[float], then: Sequence[float], error_rate: float) -> Interval:
    """Welch's interval of the difference of mean log ratios."""
    estimate = _mean(now) - _mean(then)
    parts = [_variance(side) / len(side) for side in (now, then)]
    spread = sum(parts)
    if spread == 0:
        return Interval(math.exp(estimate), math.exp(estimate), math.exp(estimate), error_rate)
    by_degrees = sum(part**2 / (len(side) - 1) for part, side in zip(parts, (now, then), strict=True))
    reach = t_quantile(1 - error_rate / 2, max(1, math.floor(spread**2 / by_degrees))) * math.sqrt(spread)
    return Interval(math.exp(estimate), math.exp(estimate - reach), math.exp(estimate + reach), error_rate)


def _drawn_logs(run: ComparisonRun, name: str, side: str) -> list[float]:
    own, control = _pool(run, name), _pool(run, _control_name(run))
    settings = run.settings.analysis
    generator = random.Random(f"{settings.seed}:{side}")
    logs = []
    for draw in block_draws(run.measurement.block_count, settings.draws, generator):
        above, below = own.quantiles_of_draw(draw, [MEDIAN]), control.quantiles_of_draw(draw, [MEDIAN])
        logs.append(math.log(above[0] / below[0]) if above and below else 0.0)
    return logs


def _log_to_control(run: ComparisonRun, name: str) -> float:
    return math.log(_median_ns(run, name) / _median_ns(run, _control_name(run)))


def _median_ns(run: ComparisonRun, name: str) -> float:
    values = _pool(run, name).values
    return float(order_statistic(values, MEDIAN)) if values else math.nan


def _pool(run: ComparisonRun, name: str) -> Pool:
    measurement = run.measurement
    return Pool.of(ranked_latencies(of_entry(measurement.samples, name), measurement.block_count))


def _control(run: ComparisonRun) -> str | None:
    return next((entry.name for entry in run.measurement.entries if entry.role is Role.CONTROL), None)


def _control_name(run: ComparisonRun) -> str:
    name = _control(run)
    assert name is not None
    return name


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    mean = _mean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def run_to_run_to_json(results: Sequence[RunToRun], now: str, then: str) -> dict[str, object]:
    """The comparison of runs for programs."""
    return {
        "schema": "tracelab.compare.runs/1",
        "now": now,
        "then": then,
        "variants": [
            {
                "variant": one.variant,
                "now_ns": one.now_ns,
                "then_ns": one.then_ns,
                "ratio": one.interval.estimate if one.interval else None,
                "low": one.interval.low if one.interval else None,
                "high": one.interval.high if one.interval else None,
                "verdict": one.verdict.kind.value,
                "text": one.verdict.text,
            }
            for one in results
        ],
    }


def _asked(run: ComparisonRun, name: str) -> Mapping[str, str]:
    """The options of a variant but for where its server ran: each run may start it elsewhere."""
    return {key: value for key, value in run.options.get(name, {}).items() if key != SERVER_KEY}

"""What a reader has to know beside the figures: each a sentence, none where all is well. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tracelab.compare.explanation.decomposition import MIN_TAIL_CALLS
from tracelab.compare.explanation.milliseconds import short_ms
from tracelab.compare.measurement.block_design import StopReason
from tracelab.compare.measurement.pace import BUSY_CEILING
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.statistics.sample import Role

_LAG_SHARE = 0.10
"""A lag of the generator is worth a word from this share of the median latency on."""


def notes_of(run: ComparisonRun) -> tuple[str, ...]:
    """The sentences that belong under a run."""
    return tuple(_notes(run))


def _notes(run: ComparisonRun) -> Iterator[str]:
    measurement = run.measurement
    analysis = run.analyse()
    if measurement.stop_reason is StopReason.INTERRUPTED:
        yield f"cut short after {measurement.block_count} blocks: nothing of it is saved"
    if run.environment.crowded:
        load, cores = run.environment.load_before, run.environment.core_count
        yield f"the machine was busy before the run: load {load:.1f} on {cores} cores"
    if not measurement.warm_up.settled and measurement.stop_reason is not StopReason.INTERRUPTED:
        yield f"the variants had not settled after {measurement.warm_up.duration_s:.0f} s of warming up"
    if analysis.disturbed:
        yield "disturbed: the baseline differs from its twin; repeat the run before you believe it"
    yield from _notes_on_the_generator(run)
    yield from _notes_on_traces(run)


def _notes_on_the_generator(run: ComparisonRun) -> Iterator[str]:
    analysis = run.analyse()
    for entry in run.measurement.entries:
        pace = run.measurement.pace.get(entry.name)
        if pace is None or entry.role in (Role.TWIN, Role.CONTROL):
            continue
        median_ns = analysis.summary_of(entry.name).service_median_ns
        if run.settings.load_of(entry).rate_per_s and median_ns and pace.lag_p99_ns > _LAG_SHARE * median_ns:
            yield f"calls of {entry.name} started late by up to {short_ms(pace.lag_p99_ns)} ms (p99): the client lags"
        elif pace.busy_share > BUSY_CEILING:
            share = min(1.0, pace.busy_share) * 100
            yield f"the client itself was busy for {share:.0f} % of {entry.name}'s runs: it is the bottleneck"


def _notes_on_traces(run: ComparisonRun) -> Iterator[str]:
    untraced = [
        entry.name
        for entry in run.measurement.entries
        if entry.role in (Role.BASELINE, Role.VARIANT)
        and run.options.get(entry.name, {}).get("instrumentation") == "off"
    ]
    if untraced:
        yield f"{' and '.join(untraced)} left no traces (instrumentation off), so there is no breakdown of it"
    if silent := run.silent_servers:
        names, them = " and ".join(silent), "it" if len(silent) == 1 else "them"
        yield f"no spans of {names} came, so no breakdown reaches into {them}: --run or ./lab run traces a server"
    short = [
        entry.name
        for entry in run.measurement.entries
        if run.by_tail and entry.role in (Role.BASELINE, Role.VARIANT) and not run.band(entry).samples
    ]
    if short:
        least = MIN_TAIL_CALLS * 20
        yield f"{' and '.join(short)} made fewer than {least} calls, so there is no breakdown of the slowest 5 %"
    for one in run.decompositions():
        if one.incomplete_count:
            calls = one.baseline_calls + one.variant_calls + one.incomplete_count
            yield (
                f"{one.incomplete_count} of {calls} {one.band_label} calls of {one.baseline} and {one.variant} have no "
                "whole trace, and are left out of the breakdown"
            )

"""The screen of a comparison: verdicts, table, breakdown, sentence, plot, and the traces to look at.

Built from the run alone and printed by a console that is passed in.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from rich.console import Console, RenderableType
from rich.text import Text

from clients.screen import palette
from clients.screen.glyphs import Glyphs, glyphs_for
from clients.screen.tables import Cell, Column, PlainTable
from clients.screen.text import fit, plain, typed_path
from tracelab.compare.explanation.decomposition import Decomposition, Row
from tracelab.compare.explanation.milliseconds import NS_PER_MS, decimals_for, short_ms, written_ms
from tracelab.compare.explanation.prediction import Prediction
from tracelab.compare.explanation.rounded_breakdown import shown
from tracelab.compare.explanation.sentence import sentence
from tracelab.compare.explanation.trace_parts import PartKey, TraceParts
from tracelab.compare.measurement.block_design import StopReason
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.results.curves import DRAWN_ROLES
from tracelab.compare.results.run_to_run import RunToRun
from tracelab.compare.statistics.analysis import ERROR_RATE, Analysis, Comparison, QuantileValue, Summary
from tracelab.compare.statistics.outliers import find_outliers
from tracelab.compare.statistics.quantiles import MEDIAN, P95, P99, Interval
from tracelab.compare.statistics.sample import OK, Role, of_entry
from tracelab.compare.statistics.verdict import VerdictKind
from tracelab.compare.views.cumulative_plot import CumulativePlot
from tracelab.compare.views.quantile_plot import QuantilePlot, mark_of, style_of

_BAR_CELLS = 10
_NAME_CELLS = 18
_VERDICT_STYLES = {VerdictKind.FASTER: palette.FASTER, VerdictKind.SLOWER: palette.SLOWER}
_SHOWN = (MEDIAN, P95, P99)


def print_run(console: Console, run: ComparisonRun, *, cumulative: bool = False) -> None:
    """Print the whole screen; with the cumulative plot too, if that is asked for."""
    glyphs = glyphs_for(ascii_only=console.options.ascii_only)
    for part in _parts(run, run.analyse(), glyphs, cumulative=cumulative):
        console.print(part)


def _parts(run: ComparisonRun, analysis: Analysis, glyphs: Glyphs, *, cumulative: bool) -> Iterator[RenderableType]:
    yield Text(plain(run.question, glyphs), palette.STRONG)
    yield Text()
    for comparison in analysis.headlines:
        yield verdict_line(comparison, analysis, glyphs)
    yield Text(plain(_protocol_line(run), glyphs), palette.QUIET)
    if len(analysis.headlines) > 1:
        level = (1 - ERROR_RATE / len(analysis.headlines)) * 100
        yield Text(
            plain(f"intervals of {level:.1f} % each, so that all hold together with 95 %", glyphs), palette.QUIET
        )
    if analysis.twin is not None:
        yield Text(plain(_twin_line(run, analysis.twin), glyphs), palette.QUIET)
    yield Text()
    yield _table(run, analysis, glyphs)
    yield from (Text(plain(line, glyphs), palette.QUIET) for line in _refusals(analysis))
    for one in run.decompositions():
        yield Text()
        yield from _breakdown(one, analysis, glyphs)
    yield from (Text(plain(line, glyphs)) for line in _predicted(run.what_if))
    yield Text()
    yield QuantilePlot(run)
    if cumulative:
        yield Text()
        yield CumulativePlot(run)
    yield from (Text(plain(line, glyphs)) for line in _traces(run, analysis))
    if run.notes:
        yield Text()
    for note in run.notes:
        yield Text(f"{glyphs.warning} {plain(note, glyphs)}", palette.WARNING)


def verdict_line(comparison: Comparison, analysis: Analysis, glyphs: Glyphs) -> Text:
    """One variant's verdict; in brackets where the run was disturbed."""
    assert comparison.verdict is not None
    text = comparison.verdict.text
    text = f"({text}) in a disturbed run: repeat it" if analysis.disturbed else text
    by = "" if comparison.quantile == MEDIAN else f" at {comparison.quantile.label}"
    line = Text(plain(f"{comparison.variant} against {comparison.baseline}{by}: ", glyphs))
    line.append(plain(text.replace("Δ", "diff") if glyphs.is_ascii else text, glyphs), _style(comparison, analysis))
    return line


def _style(comparison: Comparison, analysis: Analysis) -> str:
    kind = comparison.verdict.kind if comparison.verdict else VerdictKind.NOT_RESOLVED
    return palette.STRONG if analysis.disturbed else f"bold {_VERDICT_STYLES.get(kind, '')}".strip()


def _protocol_line(run: ComparisonRun) -> str:
    measurement = run.measurement
    calls = f"{measurement.block_count} blocks of {measurement.run_calls} calls each"
    if measurement.dropped_per_run:
        calls += f" ({measurement.dropped_per_run} dropped)"
    workers = sorted({load.concurrency for load in run.settings.loads.values()})
    if workers[-1:] > [1]:
        calls += f" by each of up to {workers[-1]} workers"
    if len(measurement.restart_blocks) > 1:
        calls = f"{len(measurement.restart_blocks)} restarts, {calls}"
    if any(load.rate_per_s for load in run.settings.loads.values()):
        calls = f"{measurement.block_count} blocks of {run.settings.slice_s:g} s"
    stopped = "cut short" if measurement.stop_reason is StopReason.INTERRUPTED else measurement.stop_reason.value
    if measurement.stop_reason is StopReason.PRECISE:
        stopped = f"every interval within ±{run.settings.analysis.criteria.precision * 100:g} %"
    return f"{calls}, {measurement.duration_s:.1f} s, seed {run.settings.analysis.seed}; stopped: {stopped}"


def _twin_line(run: ComparisonRun, twin: Interval) -> str:
    found = f"{twin.estimate:.3f} [{twin.low:.3f}, {twin.high:.3f}]"
    meaning = "it differs, so the run was disturbed" if twin.excludes(1) else "which includes 1, as it should"
    return f"noise of this run: {_baseline(run)} against itself {found}, {meaning}"


def _baseline(run: ComparisonRun) -> str:
    return next(entry.name for entry in run.measurement.entries if entry.role is Role.BASELINE)


def _drawn(analysis: Analysis) -> list[Summary]:
    return [summary for summary in analysis.summaries if summary.entry.role in DRAWN_ROLES]


def _table(run: ComparisonRun, analysis: Analysis, glyphs: Glyphs) -> PlainTable:
    summaries = _drawn(analysis)
    medians = [value.sample.latency_ns for summary in summaries if (value := summary.value_of(MEDIAN)).sample]
    decimals = decimals_for(min(medians, default=NS_PER_MS))
    is_open = any(load.rate_per_s for load in run.settings.loads.values())
    columns = [
        Column(""),
        Column("variant", is_flexible=True),
        Column("calls", is_number=True, give_up=2),
        Column("failed", is_number=True, give_up=1),
        Column("min ms", is_number=True, give_up=6),
        Column("median ms", is_number=True),
        Column("", give_up=5),
        Column("p95 ms", is_number=True),
        Column("p99 ms", is_number=True, give_up=3),
        Column("max ms", is_number=True, give_up=4),
        Column("mean ms", is_number=True, give_up=7),
        *([Column("service ms", is_number=True)] if is_open else []),
        Column("ratio", is_number=True),
    ]
    rows = [
        _table_row(place, summary, analysis, decimals, max(medians, default=0), is_open, glyphs)
        for place, summary in enumerate(summaries)
    ]
    return PlainTable(columns, rows)


def _table_row(
    place: int, summary: Summary, analysis: Analysis, decimals: int, longest_ns: int, is_open: bool, glyphs: Glyphs
) -> list[Cell | str]:
    median, p95, p99 = (_value(summary.value_of(quantile), decimals) for quantile in _SHOWN)
    sample = summary.value_of(MEDIAN).sample
    bar = max(1, round(_BAR_CELLS * sample.latency_ns / longest_ns)) if sample and longest_ns else 0
    failed = summary.call_count - summary.ok_count
    return [
        Cell(mark_of(place, ascii_only=glyphs.is_ascii), style_of(place)),
        summary.entry.name,
        f"{summary.call_count:,}",
        Cell(f"{failed:,}", palette.ERROR) if failed else "0",
        _number(summary.min_ns, decimals),
        Cell(median, palette.STRONG),
        Cell(("=" if glyphs.is_ascii else "▇") * bar, style_of(place)),
        p95,
        p99,
        _number(summary.max_ns, decimals),
        _number(summary.mean_ns, decimals),
        *([_number(summary.service_median_ns, decimals)] if is_open else []),
        _ratio(summary, analysis),
    ]


def _value(value: QuantileValue, decimals: int) -> str:
    return written_ms(value.sample.latency_ns, decimals) if value.sample else "–"  # noqa: RUF001  # the sign for none


def _number(value_ns: float | None, decimals: int) -> str:
    return "–" if value_ns is None else written_ms(value_ns, decimals)  # noqa: RUF001  # the sign for none


def _ratio(summary: Summary, analysis: Analysis) -> str:
    for comparison in analysis.headlines:
        if comparison.variant == summary.entry.name and comparison.interval:
            interval = comparison.interval
            return f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
    return "1" if summary.entry.role is Role.BASELINE else ""


def _refusals(analysis: Analysis) -> Iterator[str]:
    """Why a column has no number, once for each reason; and how calls failed."""
    seen: dict[str, None] = {}
    for summary in _drawn(analysis):
        for quantile in (P95, P99):
            refusal = summary.value_of(quantile).refusal
            if refusal and refusal != "could not keep up":
                seen.setdefault(refusal)
    yield from seen
    for summary in _drawn(analysis):
        failed = {code: count for code, count in summary.code_counts.items() if code != OK}
        if failed:
            counts = ", ".join(f"{count:,} {code}" for code, count in failed.items())
            yield f"{summary.entry.name}: {counts} of {summary.call_count:,} calls"
    others = [comparison for comparison in analysis.comparisons if comparison.verdict is None and comparison.interval]
    for comparison in others:
        interval = comparison.interval
        assert interval is not None
        yield (
            f"{comparison.quantile.label} of {comparison.variant} / {comparison.baseline}: "
            f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
        )


def _breakdown(one: Decomposition, analysis: Analysis, glyphs: Glyphs) -> Iterator[RenderableType]:
    medians = []
    for name, typical_ns in ((one.baseline, one.baseline_ns), (one.variant, one.variant_ns)):
        sample = analysis.summary_of(name).value_of(MEDIAN).sample
        median = f"median {short_ms(sample.latency_ns)}, " if sample else ""
        medians.append(f"{name} {median}{one.band_label} {short_ms(typical_ns)}")
    yield Text(plain(sentence(one, analysis.finds_difference(one.variant)), glyphs), palette.STRONG)
    band = "40th to 60th percentile" if one.band_label == "typical" else "from p95 up"
    calls = f"mean of {one.baseline_calls} and {one.variant_calls} calls, {band}"
    yield Text(plain(f"where it went, in ms ({'; '.join(medians)}; {calls})", glyphs), palette.QUIET)
    columns = [
        Column("service", give_up=1),
        Column("operation", is_flexible=True),
        Column("calls", is_number=True),
        Column(_short(one.baseline, glyphs), is_number=True),
        Column(_short(one.variant, glyphs), is_number=True),
        Column("difference", is_number=True),
        Column("95 %", is_number=True, give_up=2),
    ]
    yield PlainTable(columns, list(_breakdown_rows(one, glyphs)))


def _short(name: str, glyphs: Glyphs) -> str:
    return fit(plain(name.rpartition("/")[2], glyphs), _NAME_CELLS, glyphs)


def _breakdown_rows(one: Decomposition, glyphs: Glyphs) -> Iterator[list[Cell | str]]:
    breakdown = shown(one)
    decimals = breakdown.decimals
    for line in breakdown.rows:
        row = line.row
        yield [
            Cell(row.key.service_name, palette.service_style(row.key.service_name)),
            row.key.label,
            _counts(row, glyphs),
            written_ms(breakdown.nanoseconds(line.baseline), decimals),
            written_ms(breakdown.nanoseconds(line.variant), decimals),
            _signed(breakdown.nanoseconds(line.difference), decimals, glyphs),
            _limits(row, decimals, glyphs),
        ]
    yield [
        Cell("sum", palette.STRONG),
        "",
        "",
        written_ms(breakdown.nanoseconds(breakdown.baseline), decimals),
        written_ms(breakdown.nanoseconds(breakdown.variant), decimals),
        _signed(breakdown.nanoseconds(breakdown.difference), decimals, glyphs),
        "",
    ]


def _counts(row: Row, glyphs: Glyphs) -> str:
    if not row.baseline_count and not row.variant_count:
        return ""
    below, above = f"x{float(row.baseline_count):.3g}", f"x{float(row.variant_count):.3g}"
    return below if below == above else f"{below} {'->' if glyphs.is_ascii else '→'} {above}"


def _signed(value_ns: Fraction, decimals: int, glyphs: Glyphs) -> Cell:
    text = written_ms(abs(value_ns), decimals)
    if not value_ns:
        return Cell(text)
    sign = glyphs.minus if value_ns < 0 else "+"
    return Cell(f"{sign}{text}", palette.FASTER if value_ns < 0 else palette.SLOWER)


def _limits(row: Row, decimals: int, glyphs: Glyphs) -> str:
    if row.low_ns is None or row.high_ns is None:
        return ""
    low, high = (written_ms(value, decimals) for value in (row.low_ns, row.high_ns))
    return plain(f"[{low}, {high}]", glyphs)


def _predicted(predictions: tuple[Prediction, ...]) -> Iterator[str]:
    for one in predictions:
        yield ""
        yield (
            f"what if {one.operation} took {one.factor:g}x its time in {one.variant}: typical calls would take "
            f"{short_ms(one.predicted_ns)} ms instead of {short_ms(one.typical_ns)}, if nothing else contends"
        )
        if one.measured_ns is not None:
            error = (one.predicted_ns / one.measured_ns - 1) * 100
            yield (
                f"  checked in a second run, beside each other: with that change they took "
                f"{short_ms(one.measured_ns)} ms, so the prediction is {error:+.1f} % off"
            )


def _traces(run: ComparisonRun, analysis: Analysis) -> Iterator[str]:
    drawn = _drawn(analysis)
    width = max(len(summary.entry.name) for summary in drawn)
    lines = [line for summary in drawn for line in _trace_lines(run, summary, width)]
    if lines:
        yield ""
        store = f" --store {typed_path(Path(run.store_file))}" if run.store_file else ""
        yield f"traces to look at: ./lab trace ID{store}"
        yield from lines


def _trace_lines(run: ComparisonRun, summary: Summary, width: int) -> Iterator[str]:
    name = summary.entry.name
    places = [(value.quantile.label, value.sample) for value in summary.quantiles if value.quantile in _SHOWN]
    for label, sample in [*places, ("slowest", summary.slowest)]:
        if sample is not None and sample.trace_id:
            yield f"  {name:<{width}}  {label:<7}  {short_ms(sample.latency_ns):>6} ms  {sample.trace_id}"
    found = find_outliers(of_entry(run.measurement.samples, name))
    if found is None or not found.count:
        return
    calls = f"{found.count} call{'' if found.count == 1 else 's'}"
    yield f"  {name}: {calls} above {short_ms(found.fence_ns)} ms (Q3 + 3 IQR), none left out; the worst:"
    median = summary.value_of(MEDIAN).sample
    usual = run.traces.get(median.trace_id) if median else None
    for sample in found.worst:
        where = _most_extra(run.traces.get(sample.trace_id), usual, sample.latency_ns)
        yield f"    {short_ms(sample.latency_ns):>6} ms  {sample.trace_id}  {where}".rstrip()


def _most_extra(outlier: TraceParts | None, usual: TraceParts | None, latency_ns: int) -> str:
    """The operation with the most critical time that the median call does not have."""
    if outlier is None or usual is None:
        return ""
    before = {key: part.critical_ns for key, part in usual.parts}
    extra: dict[PartKey, int] = {key: part.critical_ns - before.get(key, 0) for key, part in outlier.parts}
    extra[PartKey("", "outside the trace", "")] = latency_ns - outlier.root_duration_ns
    key = max(extra, key=lambda one: extra[one])
    return f"+{short_ms(extra[key])} ms in {key.label}"


def print_run_to_run(console: Console, results: list[RunToRun], now: str, then: str) -> None:
    """Print each variant now against then, by the runs' controls."""
    glyphs = glyphs_for(ascii_only=console.options.ascii_only)
    console.print(Text(plain(f"{now} against {then}, each by its own control", glyphs), palette.STRONG))
    for one in results:
        line = Text(plain(f"{one.variant}: ", glyphs))
        text = one.verdict.text.replace("Δ", "diff") if glyphs.is_ascii else one.verdict.text
        line.append(plain(text, glyphs), f"bold {_VERDICT_STYLES.get(one.verdict.kind, '')}".strip())
        line.append(plain(f"  (as measured: {short_ms(one.then_ns)} ms then, {short_ms(one.now_ns)} ms now)", glyphs))
        console.print(line)

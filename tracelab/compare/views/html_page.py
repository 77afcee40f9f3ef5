"""A comparison as one self-contained page: the screen's numbers, charts as inline SVG, readable offline and in print.

No script and nothing from elsewhere; dark and light by the reader's system. Each chart has its data as a table below.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from html import escape

from tracelab.compare.explanation.decomposition import Decomposition
from tracelab.compare.explanation.milliseconds import NS_PER_MS, decimals_for, short_ms, written_ms
from tracelab.compare.explanation.rounded_breakdown import shown
from tracelab.compare.explanation.sentence import sentence
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.results.curves import DRAWN_ROLES, block_medians, drawn_entries
from tracelab.compare.statistics.analysis import Analysis, QuantileValue, Summary
from tracelab.compare.statistics.quantiles import QUANTILES, Interval
from tracelab.compare.views import svg_charts

TRACE_PAGE = "http://127.0.0.1:16686/trace/"
_NONE = "–"  # noqa: RUF001  # the sign for none
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--quiet:#5b6675;--line:#d5dae1;--paper:#fff;--v0:#0b6bcb;--v1:#b45309;
--v2:#8e24aa;--v3:#15803d;--v4:#475569;--v5:#be123c;--saved:#15803d;--added:#b91c1c}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--quiet:#a3adba;--line:#394351;--paper:#12161c;--v0:#6db3ff;
--v1:#f5a742;--v2:#d58cf0;--v3:#5fd38a;--v4:#b0bac8;--v5:#ff8fa3;--saved:#5fd38a;--added:#ff8a80}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.4rem;line-height:1.25}h2{font-size:1.1rem;margin-top:2rem}.verdict{font-size:1.25rem;font-weight:600}
.quiet,figcaption,desc{color:var(--quiet)}a{color:var(--v0)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid var(--line)}
th:first-child,td:first-child,td.text,th.text{text-align:left}td code{font-size:.8rem}
code{overflow-wrap:anywhere}
.wide{overflow-x:auto}figure{margin:1rem 0}svg{width:100%;height:auto;font:12px system-ui,sans-serif}
svg.key{width:14px;height:14px;vertical-align:-2px}svg text{fill:var(--ink)}
.grid,.axis{stroke:var(--line)}.curve{fill:none;stroke-width:2}.dash1{stroke-dasharray:7 3}.dash2{stroke-dasharray:2 3}
.band{opacity:.18}.limit{stroke:var(--ink)}.saved{fill:var(--saved)}.added{fill:var(--added)}
.mark{stroke:var(--paper)}
@media print{details>*{display:block}body{max-width:none;margin:0}figure{break-inside:avoid}}
"""
_VARIANT_STYLE = "".join(
    f".curve.v{n}{{stroke:var(--v{n})}}.mark.v{n},.band.v{n}{{fill:var(--v{n})}}\n" for n in range(6)
)


def page_of(run: ComparisonRun, trace_page: str = TRACE_PAGE) -> str:
    """The whole page; `trace_page` is what a trace's address begins with."""
    analysis = run.analyse()
    parts = "\n".join(_parts(run, analysis, trace_page))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(run.question)}</title><style>{_STYLE}{_VARIANT_STYLE}</style></head>\n<body><main>{parts}</main></body></html>\n"
    )


def _parts(run: ComparisonRun, analysis: Analysis, trace_page: str) -> Iterator[str]:
    yield f"<h1>{escape(run.question)}</h1>"
    for comparison in analysis.headlines:
        text = comparison.verdict.text if comparison.verdict else ""
        text = f"({text}) in a disturbed run: repeat it" if analysis.disturbed else text
        head = f"{comparison.variant} against {comparison.baseline}"
        yield f'<p class="verdict">{escape(head)}: {escape(text)}</p>'
    yield f'<p class="quiet">{escape(_how(run, analysis))}</p>'
    yield from (f"<p>{escape(note)}</p>" for note in run.notes)
    yield "<h2>Latencies in milliseconds</h2>"
    yield _summary_table(analysis, trace_page)
    yield _figure(svg_charts.quantile_chart(run, lambda trace_id: f"{trace_page}{trace_id}"), "", _legend(run))
    yield _figure(svg_charts.cumulative_chart(run), "", _legend(run))
    yield _figure(svg_charts.drift_chart(run), _drift_table(run), _legend(run))
    for one in run.decompositions():
        yield f"<h2>{escape(sentence(one, analysis.finds_difference(one.variant)))}</h2>"
        yield _figure(svg_charts.breakdown_chart(one), _breakdown_table(one), "")
    yield "<h2>How to look at a trace</h2>"
    command = escape(f"./lab up --only backend --store {shlex.quote(run.store_file)}")
    yield f"<p>Start the backend on this run's store, then follow any link: <code>{command}</code></p>"
    yield "<h2>Where and how</h2>"
    yield _environment_table(run)


def _how(run: ComparisonRun, analysis: Analysis) -> str:
    measurement = run.measurement
    twin = f"; the baseline against itself {_interval(analysis.twin)}" if analysis.twin else ""
    return (
        f"{measurement.block_count} blocks of {measurement.run_calls} calls, in random order, "
        f"{measurement.dropped_per_run} dropped from each run, {measurement.duration_s:.1f} s, "
        f"stopped: {measurement.stop_reason.value}{twin}"
    )


def _interval(interval: Interval) -> str:
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _legend(run: ComparisonRun) -> str:
    names = enumerate(drawn_entries(run))
    return " ".join(f"<span>{svg_charts.mark(place)} {escape(name)}</span>" for place, name in names)


def _figure(svg: str, table: str, legend: str) -> str:
    if not svg:
        return ""
    title = svg.partition("<title")[2].partition(">")[2].partition("<")[0]
    details = f"<details><summary>the same as a table</summary>{table}</details>" if table else ""
    return f"<figure><figcaption>{title} {legend}</figcaption>{svg}{details}</figure>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """A table; the first `texts` columns are text. Cells are HTML already."""
    titles = "".join(f'<th scope="col"{_text(place, texts)}>{escape(title)}</th>' for place, title in enumerate(head))
    lines = "".join(
        "<tr>" + "".join(f"<td{_text(place, texts)}>{cell}</td>" for place, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>'


def _text(place: int, texts: int) -> str:
    return ' class="text"' if place < texts else ""


def _summary_table(analysis: Analysis, trace_page: str) -> str:
    drawn = [summary for summary in analysis.summaries if summary.entry.role in DRAWN_ROLES]
    medians = [value.sample.latency_ns for summary in drawn if (value := summary.quantiles[0]).sample]
    decimals = decimals_for(min(medians, default=NS_PER_MS))
    head = ["variant", "calls", "failed", "min", *(quantile.label for quantile in QUANTILES), "max", "mean", "ratio"]
    ratios = {one.variant: _interval(one.interval) for one in analysis.headlines if one.interval}
    rows = [
        [
            f"{svg_charts.mark(place)} {escape(summary.entry.name)}",
            f"{summary.call_count:,}",
            f"{summary.call_count - summary.ok_count:,}",
            _number(summary.min_ns, decimals),
            *(_quantile(value, decimals, trace_page) for value in summary.quantiles),
            _slowest(summary, decimals, trace_page),
            _number(summary.mean_ns, decimals),
            ratios.get(summary.entry.name, ""),
        ]
        for place, summary in enumerate(drawn)
    ]
    return _table(head, rows)


def _quantile(value: QuantileValue, decimals: int, trace_page: str) -> str:
    if value.sample is None:
        return f'<span title="{escape(value.refusal, quote=True)}">{_NONE}</span>'
    return _link(written_ms(value.sample.latency_ns, decimals), value.sample.trace_id, trace_page)


def _slowest(summary: Summary, decimals: int, trace_page: str) -> str:
    if summary.slowest is None:
        return _NONE
    return _link(written_ms(summary.slowest.latency_ns, decimals), summary.slowest.trace_id, trace_page)


def _link(text: str, trace_id: str, trace_page: str) -> str:
    return f'<a href="{escape(trace_page + trace_id, quote=True)}">{text}</a>' if trace_id else text


def _number(value_ns: float | None, decimals: int) -> str:
    return _NONE if value_ns is None else written_ms(value_ns, decimals)


def _drift_table(run: ComparisonRun) -> str:
    names = drawn_entries(run)
    medians = [dict(block_medians(run, name)) for name in names]
    rows = [
        [str(block + 1), *(short_ms(own[block]) if block in own else _NONE for own in medians)]
        for block in range(run.measurement.block_count)
    ]
    return _table(["block", *names], rows)


def _breakdown_table(one: Decomposition) -> str:
    breakdown = shown(one)

    def written(*units: int) -> list[str]:
        return [written_ms(breakdown.nanoseconds(one), breakdown.decimals) for one in units]

    rows = [
        [
            escape(line.row.key.service_name),
            escape(line.row.key.label),
            f"{float(line.row.baseline_count):.3g}",
            f"{float(line.row.variant_count):.3g}",
            *written(line.baseline, line.variant, line.difference),
        ]
        for line in breakdown.rows
    ]
    rows.append(["sum", "", "", "", *written(breakdown.baseline, breakdown.variant, breakdown.difference)])
    calls = [f"spans, {one.baseline}", f"spans, {one.variant}"]
    times = [f"{one.baseline} ms", f"{one.variant} ms", "difference ms"]
    return _table(["service", "operation", *calls, *times], rows, texts=2)


def _environment_table(run: ComparisonRun) -> str:
    environment = run.environment
    rows = {
        "command": run.command_line,
        "started": run.started_time,
        "seed": str(run.settings.analysis.seed),
        "machine": f"{environment.cpu_model}, {environment.core_count} cores, {environment.os}",
        "load before and after": f"{_load(environment.load_before)} and {_load(environment.load_after)}",
        "versions": f"Python {environment.python}, grpcio {environment.grpcio}, OpenTelemetry "
        f"{environment.opentelemetry}, lab {environment.lab or environment.commit}",
        "store": run.store_file,
    }
    return _table(["", ""], [[escape(key), escape(value)] for key, value in rows.items()], texts=2)


def _load(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1f}"

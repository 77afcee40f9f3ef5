"""The charts of the page as inline SVG: quantiles, cumulative shares, block medians over time, and breakdown bars.

Pure text. Each has a title and a description for screen readers; colours come from the page's style sheet, and every
variant has a mark of its own.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from tracelab.compare.explanation.decomposition import Decomposition
from tracelab.compare.explanation.milliseconds import NS_PER_MS, short_ms, written_ms
from tracelab.compare.explanation.rounded_breakdown import shown
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.results.curves import (
    QUANTILE_TICKS,
    answered_samples,
    block_medians,
    depth_of,
    nice_ticks,
    places,
    quantile_curve,
    span_of,
    tick_text,
)
from tracelab.compare.statistics.quantiles import Pool, Quantile, block_draws, linear_percentile
from tracelab.compare.statistics.sample import of_entry, ranked_latencies

_WIDTH, _HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 16, 44
_BAND_DRAWS = 300
_BAND_POINTS = 24
_MOST_POINTS = 400
_MARKS = ("circle", "triangle", "square", "diamond")
_ROW = 26


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def at(self, value: float) -> float:
        """Where a value lies."""
        low, high = (math.log(self.low), math.log(self.high)) if self.is_log else (self.low, self.high)
        place = math.log(value) if self.is_log else value
        share = (place - low) / (high - low) if high > low else 0.5
        return self.start + (self.end - self.start) * share


def quantile_chart(run: ComparisonRun, link: Callable[[str], str]) -> str:
    """Latency by percentile, with the 95 % band of each curve; the quantile dots link to their traces."""
    marks = places(run)
    curves = {name: quantile_curve(run, name) for name in marks}
    if not curves:
        return ""
    x = Axis(0, max(curve[-1].depth for curve in curves.values()), _LEFT, _WIDTH - _RIGHT)
    y = _latency_axis([point.latency_ns for curve in curves.values() for point in curve])
    body = [_grid_y(y), _depth_ticks(x)]
    for name, curve in curves.items():
        place = marks[name]
        body.append(_band(run, name, x, y, place))
        points = _thinned([(x.at(point.depth), y.at(point.latency_ns)) for point in curve])
        body.append(_polyline(points, place))
    analysis = run.analyse()
    for name, place in marks.items():
        summary = analysis.summary_of(name)
        for value in summary.quantiles:
            if value.sample is None:
                continue
            depth = depth_of(value.quantile.numerator, value.quantile.denominator)
            label = f"{name} {value.quantile.label} {short_ms(value.sample.latency_ns)} ms"
            mark = _mark(min(x.at(depth), x.end), y.at(value.sample.latency_ns), place, label)
            body.append(_linked(mark, link(value.sample.trace_id) if value.sample.trace_id else "", label))
    counts = ", ".join(f"{name} n = {len(curve):,}" for name, curve in curves.items())
    return _svg("Latency by percentile", f"Both axes logarithmic; shaded: 95 % band. {counts}.", body, "percentile")


def cumulative_chart(run: ComparisonRun) -> str:
    """The share of calls that took no longer than so many milliseconds."""
    marks = places(run)
    curves = {marks[name]: answered_samples(run, name) for name in marks}
    if not curves:
        return ""
    latencies = [sample.latency_ns for samples in curves.values() for sample in samples]
    x = Axis(*span_of(latencies), _LEFT, _WIDTH - _RIGHT, is_log=True)
    y = Axis(0, 1, _HEIGHT - _BOTTOM, _TOP)
    ticks = nice_ticks(x.low / NS_PER_MS, x.high / NS_PER_MS)
    body = [_horizontal(y.at(share), f"{share * 100:.0f} %") for share in (0, 0.25, 0.5, 0.75, 1)]
    body += [_vertical(x.at(tick * NS_PER_MS), tick_text(tick)) for tick in ticks]
    for place, samples in curves.items():
        points = [(x.at(sample.latency_ns), y.at((rank + 1) / len(samples))) for rank, sample in enumerate(samples)]
        thinned = _thinned(points)
        body.append(_polyline(thinned, place))
        body += [_mark(*thinned[len(thinned) // 2], place, "")]
    return _svg("Share of calls by latency", "Latency on a logarithmic axis.", body, "latency in ms")


def drift_chart(run: ComparisonRun) -> str:
    """The median of each block in the order of measuring: what drifts is seen."""
    marks = places(run)
    curves = {marks[name]: block_medians(run, name) for name in marks}
    if not curves:
        return ""
    x = Axis(0, max(1, run.measurement.block_count - 1), _LEFT, _WIDTH - _RIGHT)
    y = _latency_axis([value for medians in curves.values() for _, value in medians])
    body = [_grid_y(y)]
    step = max(1, run.measurement.block_count // 10)
    body += [_vertical(x.at(block), str(block + 1)) for block in range(0, run.measurement.block_count, step)]
    for place, medians in curves.items():
        points = [(x.at(block), y.at(value)) for block, value in medians]
        body.append(_polyline(points, place))
        body += [_mark(*point, place, "") for point in points]
    return _svg(
        "Median of each block over time", "In the order of measuring; a slope or a step is drift.", body, "block"
    )


def breakdown_chart(one: Decomposition) -> str:
    """Each operation's part of the difference as a bar to the left (saved) or right (added), with its 95 % limits."""
    ends = [float(value) for row in one.rows for value in (row.difference_ns, row.low_ns or 0, row.high_ns or 0)]
    widest = max(1.0, *(abs(end) for end in ends))
    label_width = 330
    x = Axis(-widest, widest, label_width, _WIDTH - 76)
    breakdown = shown(one)
    height = _ROW * len(one.rows) + 16
    zero = x.at(0)
    body = [f'<line class="axis" x1="{zero:.1f}" x2="{zero:.1f}" y1="4" y2="{height - 12}"/>']
    for place, line in enumerate(breakdown.rows):
        row = line.row
        middle = 8 + _ROW * place + _ROW / 2
        end = x.at(float(row.difference_ns))
        kind = "saved" if row.difference_ns < 0 else "added"
        sign = "+" if line.difference > 0 else ""
        value = f"{sign}{written_ms(breakdown.nanoseconds(line.difference), breakdown.decimals)}"
        body.append(
            f'<text x="{label_width - 90}" y="{middle + 4:.1f}" text-anchor="end">{escape(_cut(row.key.label))}</text>'
        )
        body.append(
            f'<rect class="{kind}" x="{min(zero, end):.1f}" y="{middle - 8:.1f}" '
            f'width="{max(1.0, abs(end - zero)):.1f}" height="16"/>'
        )
        if row.low_ns is not None and row.high_ns is not None:
            body.append(
                f'<line class="limit" x1="{x.at(row.low_ns):.1f}" x2="{x.at(row.high_ns):.1f}" '
                f'y1="{middle:.1f}" y2="{middle:.1f}"/>'
            )
        body.append(f'<text x="{_WIDTH - 4}" y="{middle + 4:.1f}" text-anchor="end">{value} ms</text>')
    title = f"Where {one.variant} differs from {one.baseline}"
    description = "Bars to the left are time saved, to the right time added; thin lines are 95 % limits."
    return _svg(title, description, body, "", height)


def _band(run: ComparisonRun, name: str, x: Axis, y: Axis, place: int) -> str:
    """The pointwise 95 % band of a quantile curve, by the bootstrap over blocks."""
    block_count = run.measurement.block_count
    pool = Pool.of(ranked_latencies(of_entry(run.measurement.samples, name), block_count))
    if block_count < 2 or len(pool.values) < 2:
        return ""
    deepest = math.log10(len(pool.values))
    depths = [deepest * step / _BAND_POINTS for step in range(_BAND_POINTS)]
    grid = [Quantile("", round((1 - 10**-depth) * 10_000), 10_000) for depth in depths]
    draws = block_draws(block_count, _BAND_DRAWS, random.Random(f"{run.settings.analysis.seed}:band"))
    drawn = [found for draw in draws if (found := pool.quantiles_of_draw(draw, grid))]
    columns = [sorted(values) for values in zip(*drawn, strict=True)]
    lower = [
        (x.at(depth), y.at(linear_percentile(values, 0.025))) for depth, values in zip(depths, columns, strict=True)
    ]
    upper = [
        (x.at(depth), y.at(linear_percentile(values, 0.975))) for depth, values in zip(depths, columns, strict=True)
    ]
    return f'<polygon class="band v{place % 6}" points="{_points([*lower, *reversed(upper)])}"/>'


def _latency_axis(values_ns: Sequence[float]) -> Axis:
    return Axis(*span_of(values_ns), _HEIGHT - _BOTTOM, _TOP, is_log=True)


def _grid_y(y: Axis) -> str:
    ticks = nice_ticks(y.low / NS_PER_MS, y.high / NS_PER_MS)
    return "".join(_horizontal(y.at(tick * NS_PER_MS), f"{tick_text(tick)} ms") for tick in ticks)


def _depth_ticks(x: Axis) -> str:
    shown = [quantile for quantile in QUANTILE_TICKS if depth_of(quantile.numerator, quantile.denominator) <= x.high]
    return "".join(
        _vertical(x.at(depth_of(quantile.numerator, quantile.denominator)), quantile.label) for quantile in shown
    )


def _horizontal(y: float, label: str) -> str:
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    )


def _vertical(x: float, label: str) -> str:
    bottom = _HEIGHT - _BOTTOM
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>'
        f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{label}</text>'
    )


def _polyline(points: Iterable[tuple[float, float]], place: int) -> str:
    return f'<polyline class="curve v{place % 6} dash{place % 3}" points="{_points(points)}"/>'


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most some hundred points; the last ones, where the tail is, all stay."""
    if len(points) <= _MOST_POINTS:
        return points
    step = -(-len(points) // _MOST_POINTS)
    return [*points[:-50:step], *points[-50:]]


def mark(place: int) -> str:
    """The mark of a variant as a small picture, for legends."""
    return f'<svg class="key" width="14" height="14" aria-hidden="true">{_mark(7, 7, place, "")}</svg>'


def _mark(x: float, y: float, place: int, title: str) -> str:
    shape = _MARKS[place % len(_MARKS)]
    inner = f"<title>{escape(title)}</title>" if title else ""
    style = f'class="mark v{place % 6}"'
    if shape == "circle":
        return f'<circle {style} cx="{x:.1f}" cy="{y:.1f}" r="4">{inner}</circle>'
    all_corners: dict[str, list[tuple[float, float]]] = {
        "triangle": [(0, -5), (5, 4), (-5, 4)],
        "square": [(-4, -4), (4, -4), (4, 4), (-4, 4)],
        "diamond": [(0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)],
    }
    corners = all_corners[shape]
    return f'<polygon {style} points="{_points((x + dx, y + dy) for dx, dy in corners)}">{inner}</polygon>'


def _linked(inner: str, address: str, label: str) -> str:
    if not address:
        return inner
    return f'<a href="{escape(address, quote=True)}" aria-label="{escape(label, quote=True)}, its trace">{inner}</a>'


def _cut(text: str, letters: int = 42) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _svg(title: str, description: str, body: Iterable[str], x_label: str, height: int = _HEIGHT) -> str:
    name = "".join(letter for letter in title.lower() if letter.isalnum())
    axis = (
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{height - 8}" text-anchor="middle">{x_label}</text>'
        if x_label
        else ""
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="{name}-t {name}-d">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(description)}</desc>'
        f"{''.join(body)}{axis}</svg>"
    )

"""The generated sentence above a breakdown: how much, in which operation, and by how many calls. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tracelab.compare.explanation.decomposition import OUTSIDE, Decomposition
from tracelab.compare.explanation.milliseconds import written_ms
from tracelab.compare.explanation.rounded_breakdown import ShownBreakdown, ShownRow, shown

_MAIN_SHARE = 0.5
"""An operation with at least this share of the difference explains it alone."""


@dataclass(frozen=True, slots=True)
class _Contribution:
    """A part of the difference in units of the digits shown, and in words where it is."""

    difference: int
    where: str


def sentence(decomposition: Decomposition, is_difference: bool = True) -> str:
    """Say where the difference between typical calls went, e.g. "batch saves 28.1 ms: 26.0 of it in ...".

    The numbers are those of the printed breakdown. Where the verdict found no difference, none is explained.
    """
    breakdown = shown(decomposition)
    total = breakdown.difference
    amount = f"{_ms(breakdown, total)} ms"
    if not is_difference or not total:
        pair = f"{decomposition.baseline} and {decomposition.variant}"
        return f"nothing to explain: {decomposition.band_label} calls of {pair} are {amount} apart."
    verb = "saves" if total < 0 else "costs"
    head = f"{decomposition.variant} {verb} {amount}"
    found = _contributions(breakdown)
    if not found:
        return f"{head}."
    head = f"{head}: {_ms(breakdown, found[0].difference)} of it {found[0].where}"
    if found[0].difference / total >= _MAIN_SHARE or len(found) == 1:
        return f"{head}."
    return f"{head}, {_ms(breakdown, found[1].difference)} {found[1].where}."


def _ms(breakdown: ShownBreakdown, units: int) -> str:
    return written_ms(breakdown.nanoseconds(abs(units)), breakdown.decimals)


def _contributions(breakdown: ShownBreakdown) -> list[_Contribution]:
    """What pulls in the direction of the whole, the strongest first."""
    rows: dict[str, list[ShownRow]] = {}
    for one in breakdown.rows:
        if one.row.key.kind or one.row.key == OUTSIDE:
            rows.setdefault(one.row.key.operation, []).append(one)
    found = [contribution for own in rows.values() for contribution in _of_operation(own)]
    pulling = [one for one in found if one.difference * breakdown.difference > 0]
    return sorted(pulling, key=lambda one: (-abs(one.difference), one.where))


def _of_operation(rows: list[ShownRow]) -> list[_Contribution]:
    """One contribution of calls that only one side makes, both sides of the wire together; else one for each row."""
    by_kind = {one.row.key.kind: one.row for one in rows}
    counted = by_kind.get("client") or by_kind.get("server") or rows[0].row
    change = round(counted.variant_count) - round(counted.baseline_count)
    if not change:
        return [_Contribution(one.difference, _where(one)) for one in rows]
    calls = f"{abs(change)} call{'' if abs(change) == 1 else 's'} to {_short(rows[0])}"
    where = f"in {calls} that it does not make" if change < 0 else f"in {calls} that only it makes"
    return [_Contribution(sum(one.difference for one in rows), where)]


def _where(one: ShownRow) -> str:
    if one.row.key == OUTSIDE:
        return "outside the trace, in the client"
    return f"in {one.row.key.part} of {_short(one)}" if one.row.key.part else f"in {_short(one)}"


def _short(one: ShownRow) -> str:
    return one.row.key.operation.rpartition("/")[2]

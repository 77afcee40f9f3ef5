"""A trace as a forest: who called whom, whatever is missing, doubled or tangled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from otel.analysis.model import Span, Trace


@dataclass(frozen=True, slots=True)
class Forest:
    """The spans of one trace, each once, as trees.

    Different spans may have been sent under one id. All are kept, as the store and Jaeger keep them: the first has the
    id, with its children, and the others `ID_1`, `ID_2`, which is how Jaeger UI tells them apart.

    `roots` have no parent; `orphans` name a parent that was not received, or one that would close a circle. Children
    and heads are ordered by start time, then span id.
    """

    spans: tuple[Span, ...]
    by_id: Mapping[str, Span]
    children: Mapping[str, tuple[Span, ...]]
    parents: Mapping[str, Span]
    roots: tuple[Span, ...]
    orphans: tuple[Span, ...]

    @property
    def heads(self) -> tuple[Span, ...]:
        """Every span that starts a tree: roots and orphans, by start time."""
        return tuple(sorted((*self.roots, *self.orphans), key=start_order))

    def children_of(self, span: Span) -> tuple[Span, ...]:
        """The spans whose parent is `span`."""
        return self.children.get(span.span_id, ())

    def parent_of(self, span: Span) -> Span | None:
        """The parent in this forest; None for a root and for an orphan."""
        return self.parents.get(span.span_id)

    def subtree(self, head: Span) -> Iterator[tuple[Span, int]]:
        """Give `head` and its descendants, depth first, each with its depth below `head`."""
        stack = [(head, 0)]
        while stack:
            span, depth = stack.pop()
            yield span, depth
            stack.extend((child, depth + 1) for child in reversed(self.children_of(span)))

    def depth_first(self) -> Iterator[tuple[Span, int]]:
        """Give every span in the order in which a waterfall shows it, with its depth."""
        for head in self.heads:
            yield from self.subtree(head)


def start_order(span: Span) -> tuple[int, str]:
    """Sort key: start time, then span id, so that the order of arrival never matters."""
    return span.start_time_unix_nano, span.span_id


def forest_of(trace: Trace) -> Forest:
    """Build the forest of `trace`.

    Of spans with one id the earliest, then the longest is the first; spans of one id, start and name are one span that
    was sent again. A circle of parents is opened at its earliest span.
    Pure and iterative; O(n log n).
    """
    by_id = {span.span_id: span for span in _each_once(trace.spans)}
    children: dict[str, list[Span]] = {}
    roots: list[Span] = []
    orphans: list[Span] = []
    for span in by_id.values():
        if not span.parent_span_id:
            roots.append(span)
        elif span.parent_span_id in by_id:
            children.setdefault(span.parent_span_id, []).append(span)
        else:
            orphans.append(span)
    for head in _circle_heads(by_id, children, (*roots, *orphans)):
        children[head.parent_span_id].remove(head)
        orphans.append(head)
    ordered = {parent_id: tuple(sorted(spans, key=start_order)) for parent_id, spans in children.items() if spans}
    return Forest(
        spans=tuple(sorted(by_id.values(), key=start_order)),
        by_id=by_id,
        children=ordered,
        parents={child.span_id: by_id[parent_id] for parent_id, spans in ordered.items() for child in spans},
        roots=tuple(sorted(roots, key=start_order)),
        orphans=tuple(sorted(orphans, key=start_order)),
    )


def _each_once(spans: Iterable[Span]) -> Iterator[Span]:
    def order(span: Span) -> tuple[int, int, str, int, str]:
        return span.start_time_unix_nano, -span.end_time_unix_nano, span.name, span.kind, span.parent_span_id

    seen = set[tuple[str, int, str]]()
    counts = Counter[str]()
    for span in sorted(spans, key=order):
        identity = (span.span_id, span.start_time_unix_nano, span.name)
        if identity in seen:
            continue
        seen.add(identity)
        count = counts[span.span_id]
        counts[span.span_id] += 1
        yield replace(span, span_id=f"{span.span_id}_{count}") if count else span


def _circle_heads(
    by_id: Mapping[str, Span], children: Mapping[str, list[Span]], heads: Iterable[Span]
) -> Iterator[Span]:
    reached = set[str]()
    _reach(heads, children, reached)
    for span in sorted(by_id.values(), key=start_order):
        if span.span_id in reached:
            continue
        circle: dict[str, Span] = {}
        while span.span_id not in circle:
            circle[span.span_id] = span
            span = by_id[span.parent_span_id]
        on_circle = list(circle.values())[list(circle).index(span.span_id) :]
        _reach(on_circle, children, reached)
        yield min(on_circle, key=start_order)


def _reach(heads: Iterable[Span], children: Mapping[str, list[Span]], reached: set[str]) -> None:
    stack = list(heads)
    while stack:
        span = stack.pop()
        if span.span_id not in reached:
            reached.add(span.span_id)
            stack.extend(children.get(span.span_id, ()))

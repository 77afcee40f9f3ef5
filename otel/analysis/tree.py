"""A trace as a forest: who called whom, whatever is missing, doubled or tangled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from otel.analysis.model import LogRecord, Span, SpanKind, Trace, start_order


@dataclass(frozen=True, slots=True)
class Forest:
    """The spans of one trace, each once, as trees.

    Different spans may have been sent under one id. All are kept, as the store and Jaeger keep them: the first has the
    id, with its children, and the others `ID_1`, `ID_2`, which is how Jaeger UI tells them apart. A client's and a
    server's span of one id are the two sides of one call, as Zipkin's libraries and Envoy send it: the client has the
    id, the server is its child, and what names the id as its parent is the server's, unless it is of the client's
    service alone.

    `roots` have no parent; `orphans` name a parent that was not received, or one that would close a circle, and those
    of them that do are the `circles`. Children and heads are in `start_order`.
    """

    spans: tuple[Span, ...]
    by_id: Mapping[str, Span]
    children: Mapping[str, tuple[Span, ...]]
    parents: Mapping[str, Span]
    roots: tuple[Span, ...]
    orphans: tuple[Span, ...]
    circles: tuple[Span, ...]
    renamed: Mapping[tuple[str, str], Span]
    """Of the spans that are not the first of their id, the first of each service, by the id that was sent."""

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

    @property
    def orphans_outside_circles(self) -> tuple[Span, ...]:
        """The orphans whose parent was not received."""
        circle_ids = {span.span_id for span in self.circles}
        return tuple(span for span in self.orphans if span.span_id not in circle_ids)

    def span_of(self, record: LogRecord) -> Span | None:
        """Give the span in which `record` was written, of several of one id that of its service; None if missing."""
        first = self.by_id.get(record.span_id)
        if first is None or first.service_name == record.service_name:
            return first
        return self.renamed.get((record.span_id, record.service_name), first)

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


def forest_of(trace: Trace) -> Forest:
    """Build the forest of `trace`.

    Of spans with one id the earliest, then the longest is the first; spans of one id, start, name and kind are one span
    that was sent again. A circle of parents is opened at its earliest span.
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
    circles = list(_circle_heads(by_id, children, (*roots, *orphans)))
    for head in circles:
        children[head.parent_span_id].remove(head)
    ordered = {parent_id: tuple(sorted(spans, key=start_order)) for parent_id, spans in children.items() if spans}
    return Forest(
        spans=tuple(sorted(by_id.values(), key=start_order)),
        by_id=by_id,
        children=ordered,
        parents={child.span_id: by_id[parent_id] for parent_id, spans in ordered.items() for child in spans},
        roots=tuple(sorted(roots, key=start_order)),
        orphans=tuple(sorted((*orphans, *circles), key=start_order)),
        circles=tuple(sorted(circles, key=start_order)),
        renamed=_renamed(by_id.values()),
    )


def _renamed(spans: Iterable[Span]) -> dict[tuple[str, str], Span]:
    found: dict[tuple[str, str], Span] = {}
    for span in spans:
        sent_id, underscore, _ = span.span_id.rpartition("_")
        if underscore:
            found.setdefault((sent_id, span.service_name), span)
    return found


def _each_once(spans: Iterable[Span]) -> Iterator[Span]:
    groups = _by_sent_id(spans)
    sides = {span_id: sides for span_id, group in groups.items() if (sides := _sides(group))}
    for span_id, group in groups.items():
        for count, span in enumerate(group):
            own_id = f"{span_id}_{count}" if count else span_id
            parent_id = span.parent_span_id
            if span_id in sides and span.kind is SpanKind.SERVER:
                parent_id = span_id
            elif parent_id in sides and span.service_name not in sides[parent_id].client_services:
                parent_id = f"{parent_id}_{sides[parent_id].server_index}"
            same = own_id == span.span_id and parent_id == span.parent_span_id
            yield span if same else replace(span, span_id=own_id, parent_span_id=parent_id)


def _by_sent_id(spans: Iterable[Span]) -> dict[str, list[Span]]:
    def order(span: Span) -> tuple[int, int, str, int, str]:
        return span.start_time_unix_nano, -span.end_time_unix_nano, span.name, span.kind, span.parent_span_id

    seen = set[tuple[str, int, str, int]]()
    groups: dict[str, list[Span]] = {}
    for span in sorted(spans, key=order):
        identity = (span.span_id, span.start_time_unix_nano, span.name, span.kind)
        if identity not in seen:
            seen.add(identity)
            groups.setdefault(span.span_id, []).append(span)
    for group in groups.values():
        if len(group) > 1 and any(span.kind is SpanKind.SERVER for span in group):
            group.sort(key=lambda span: span.kind is not SpanKind.CLIENT)
    return groups


@dataclass(frozen=True, slots=True)
class _Sides:
    """A call whose two sides have one span id: where its server's span stands, and whose children stay the client's."""

    server_index: int
    client_services: frozenset[str]


def _sides(group: list[Span]) -> _Sides | None:
    if len(group) == 1 or group[0].kind is not SpanKind.CLIENT:
        return None
    servers = [index for index, span in enumerate(group) if span.kind is SpanKind.SERVER]
    if not servers:
        return None
    return _Sides(servers[0], frozenset({group[0].service_name} - {group[index].service_name for index in servers}))


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

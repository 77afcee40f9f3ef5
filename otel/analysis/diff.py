"""Trace against trace: both folded into trees of paths, matched, and the difference in time shared out exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from otel.analysis.model import LogRecord, Span, SpanKind, StatusCode, start_order
from otel.analysis.operations import OperationKey, operation_key
from otel.analysis.reading import TraceReading
from otel.analysis.rpc import rpc_facts

Path = tuple[OperationKey, ...]
_KEPT_SHARE_PERCENT = 1
# What differs from one call to the next by nature.
_VOLATILE_ATTRIBUTES = frozenset(
    {"session.id", "tracelab.rpc.time_remaining_s", "tracelab.rpc.timeout_s", "network.peer.port"}
)


class RootsDifferError(ValueError):
    """Two traces of different operations were to be compared; `str()` names both."""


class Change(StrEnum):
    """What happened to a node between the traces."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Fold:
    """The spans of one path in one trace, together; sums in nanoseconds, `span_ids` by start time."""

    count: int = 0
    span_ids: tuple[str, ...] = ()
    duration_ns: int = 0
    self_time_ns: int = 0
    critical_time_ns: int = 0
    median_duration_ns: int = 0
    worst_status: str = ""


@dataclass(frozen=True, slots=True)
class SpanPair:
    """A span of each trace that stand at the same place, and what differs between them."""

    a_span_id: str
    b_span_id: str
    delta_ns: int
    differences: tuple[tuple[str, str, str], ...]
    """Attribute or status: key, value in A, value in B."""


@dataclass(frozen=True, slots=True)
class DiffNode:
    """One path of the union of both trees. `delta_ns`: critical self time in B less that in A.

    `worst_pair` is there where both sides have the same count; `moved` where the same key was removed in one place and
    added in another.
    """

    path: Path
    depth: int
    change: Change
    a: Fold
    b: Fold
    delta_ns: int
    moved: bool
    worst_pair: SpanPair | None

    @property
    def key(self) -> OperationKey:
        """Service, operation and kind."""
        return self.path[-1]


@dataclass(frozen=True, slots=True)
class TraceDiff:
    """Two traces compared, depth first: children by start in A, then the added. The deltas sum to `delta_ns`."""

    a_trace_id: str
    b_trace_id: str
    a_duration_ns: int
    b_duration_ns: int
    nodes: tuple[DiffNode, ...]
    log_counts: tuple[tuple[str, int, int], ...]
    """Event name, records in A, records in B; where they differ."""

    @property
    def delta_ns(self) -> int:
        """How much longer B's root took."""
        return self.b_duration_ns - self.a_duration_ns

    def main_nodes(self) -> tuple[DiffNode, ...]:
        """Give the nodes that changed by at least 1 % of the larger root, or in count or status, with those above."""
        least = max(self.a_duration_ns, self.b_duration_ns) * _KEPT_SHARE_PERCENT // 100
        kept: set[Path] = set()
        for node in self.nodes:
            if abs(node.delta_ns) >= max(1, least) or node.a.count != node.b.count or _status_differs(node):
                kept.update(node.path[: length + 1] for length in range(len(node.path)))
        return tuple(node for node in self.nodes if node.path in kept or node.depth == 0)


def diff_traces(a: TraceReading, b: TraceReading, *, force: bool = False) -> TraceDiff:
    """Compare trace `a` (before) with `b` (after) on the trees that their critical paths belong to.

    Raises RootsDifferError when the roots are different operations, unless `force`. Pure; O(n log n).
    """
    if a.root is None or b.root is None:
        raise RootsDifferError("a trace without spans can't be compared")
    if operation_key(a.root) != operation_key(b.root) and not force:
        both = " and ".join(_named(operation_key(root)) for root in (a.root, b.root))
        raise RootsDifferError(f"the traces are of different operations: {both}")
    # Forced: both roots stand for one node, named as in A.
    a_paths, b_paths = _paths(a, a.root, operation_key(a.root)), _paths(b, b.root, operation_key(a.root))
    nodes = [_node(a, b, path, a_paths.get(path, []), b_paths.get(path, [])) for path in _union(a_paths, b_paths)]
    return TraceDiff(
        a_trace_id=a.trace.trace_id,
        b_trace_id=b.trace.trace_id,
        a_duration_ns=max(0, a.root.duration_ns),
        b_duration_ns=max(0, b.root.duration_ns),
        nodes=tuple(_with_moves(nodes)),
        log_counts=tuple(_log_counts(a.logs, b.logs)),
    )


def _paths(reading: TraceReading, root: Span, root_key: OperationKey) -> dict[Path, list[Span]]:
    # One folded step at a time, so that the path of a span is its parent's with one key more, in order of first start.
    paths: dict[Path, list[Span]] = {(root_key,): [root]}
    stack: list[Path] = [(root_key,)]
    while stack:
        path = stack.pop()
        children = [child for span in paths[path] for child in reading.forest.children_of(span)]
        grown: list[Path] = []
        for child in sorted(children, key=start_order):
            longer = (*path, operation_key(child))
            if longer not in paths:
                grown.append(longer)
            paths.setdefault(longer, []).append(child)
        stack.extend(grown)
    return paths


def _union(a_paths: dict[Path, list[Span]], b_paths: dict[Path, list[Span]]) -> Iterator[Path]:
    children: dict[Path, list[Path]] = {}
    for path in [*a_paths, *(path for path in b_paths if path not in a_paths)]:
        children.setdefault(path[:-1], []).append(path)
    stack = list(reversed(children[()]))
    while stack:
        path = stack.pop()
        yield path
        stack.extend(reversed(children.get(path, [])))


def _node(a: TraceReading, b: TraceReading, path: Path, a_spans: list[Span], b_spans: list[Span]) -> DiffNode:
    a_fold, b_fold = _fold(a, a_spans), _fold(b, b_spans)
    change = Change.SAME if a_spans and b_spans else Change.ADDED if b_spans else Change.REMOVED
    return DiffNode(
        path=path,
        depth=len(path) - 1,
        change=change,
        a=a_fold,
        b=b_fold,
        delta_ns=b_fold.critical_time_ns - a_fold.critical_time_ns,
        moved=False,
        worst_pair=_worst_pair(a_spans, b_spans) if len(a_spans) == len(b_spans) else None,
    )


def _fold(reading: TraceReading, spans: list[Span]) -> Fold:
    if not spans:
        return Fold()
    durations = sorted(span.duration_ns for span in spans)
    return Fold(
        count=len(spans),
        span_ids=tuple(span.span_id for span in spans),
        duration_ns=sum(durations),
        self_time_ns=sum(reading.self_time_ns[span.span_id] for span in spans),
        critical_time_ns=sum(reading.critical_time_ns.get(span.span_id, 0) for span in spans),
        median_duration_ns=durations[(len(durations) - 1) // 2],
        worst_status=_status(max(spans, key=_badness)),
    )


def _worst_pair(a_spans: list[Span], b_spans: list[Span]) -> SpanPair:
    pairs = [_pair(a_span, b_span) for a_span, b_span in zip(a_spans, b_spans, strict=True)]
    return max(pairs, key=lambda pair: (abs(pair.delta_ns), len(pair.differences)))


def _pair(a_span: Span, b_span: Span) -> SpanPair:
    keys = sorted((a_span.attributes.keys() | b_span.attributes.keys()) - _VOLATILE_ATTRIBUTES)
    found = [(key, _shown(a_span, key), _shown(b_span, key)) for key in keys]
    differences = [difference for difference in found if difference[1] != difference[2]]
    if a_span.status_code is not b_span.status_code:
        differences.append(("status", a_span.status_code.name, b_span.status_code.name))
    delta_ns = b_span.duration_ns - a_span.duration_ns
    return SpanPair(a_span.span_id, b_span.span_id, delta_ns, tuple(differences))


def _shown(span: Span, key: str) -> str:
    value = span.attributes.get(key)
    return value if isinstance(value, str) else "" if value is None else repr(value)


def _with_moves(nodes: Iterable[DiffNode]) -> Iterator[DiffNode]:
    nodes = list(nodes)
    added = {node.key for node in nodes if node.change is Change.ADDED}
    removed = {node.key for node in nodes if node.change is Change.REMOVED}
    for node in nodes:
        moved = node.change is not Change.SAME and node.key in added & removed
        yield replace(node, moved=True) if moved else node


def _log_counts(a_logs: Iterable[LogRecord], b_logs: Iterable[LogRecord]) -> Iterator[tuple[str, int, int]]:
    a_counts, b_counts = Counter(map(_event, a_logs)), Counter(map(_event, b_logs))
    for name in sorted(a_counts.keys() | b_counts.keys()):
        if a_counts[name] != b_counts[name]:
            yield name, a_counts[name], b_counts[name]


def _event(record: LogRecord) -> str:
    return record.event_name or (record.body if isinstance(record.body, str) else "")


def _badness(span: Span) -> tuple[bool, bool]:
    return span.status_code is StatusCode.ERROR, _status(span) != "OK"


def _status(span: Span) -> str:
    facts = rpc_facts(span)
    return (facts.status_code if facts else "") or ("ERROR" if span.is_error else "OK")


def _status_differs(node: DiffNode) -> bool:
    return node.change is Change.SAME and node.a.worst_status != node.b.worst_status


def _named(key: OperationKey) -> str:
    kind = "" if key.kind is SpanKind.UNSPECIFIED else f" ({key.kind.name.lower()})"
    return f"{key.service_name} {key.operation}{kind}"

"""Finding traces by the segment index: newest first, and no further than the limit needs.

Segments are walked by their latest start. Postings narrow a segment to the spans that may match, columns check time,
duration, status and operation, and the spans found are looked at where a hash could have collided. The walk ends when
no later segment can hold a trace newer than those found: a trace never starts after any of its spans.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel.backend.codec.attribute_text import kind_number
from otel.backend.ports import TraceSearch
from otel.backend.stores.matching import (
    FALSE_TEXTS,
    RESOURCE_PREFIX,
    TRUE_TEXTS,
    span_matches,
    status_number,
    trace_matches,
)
from otel.backend.stores.sqlite.names import Names, Origin, StoredOperation
from otel.backend.stores.sqlite.segments import Columns, Postings, Segment
from otel.backend.stores.sqlite.span_reader import SpanReader
from otel.backend.stores.sqlite.tokens import operation_token, origin_token, tokens_of_text

STATUS_ERROR = 2
ALL_STATUSES = frozenset(range(256))
# Past so many alternatives, reading a column costs less than looking each one up.
MAX_ALTERNATIVES = 64
KEYS_PER_QUERY = 500
# So few spans of a segment are looked at in their blocks at once.
FEW_SPANS = 32
# So many spans of a segment are looked at before asking whether there are enough.
SPANS_PER_STEP = 128


@dataclass(frozen=True, slots=True)
class Plan:
    """A search in the index's words: each of `token_sets` must be met by one of its hashes; no operations mean any."""

    search: TraceSearch
    statuses: frozenset[int]
    operation_ids: frozenset[int] | None
    token_sets: tuple[frozenset[int], ...]
    must_verify: bool


def plan_of(search: TraceSearch, names: Names) -> Plan | None:
    """Turn a search into a plan; None where nothing stored can match."""
    statuses = ALL_STATUSES
    token_sets: list[frozenset[int]] = []
    kinds: set[int] | None = None
    must_verify = False
    for key, value in search.attributes.items():
        if key == "error":
            statuses &= _error_statuses(value)
        elif key == "span.status":
            statuses &= {status_number(value)}
        elif key == "span.kind":
            kinds = {kind_number(value)} if kinds is None else kinds & {kind_number(value)}
        else:
            must_verify = True
            token_sets.append(frozenset(_alternatives(key, value, names)))
    operation_ids = _operation_ids(search, kinds, names)
    if operation_ids is not None:
        must_verify |= any(names.operations[each].name is None for each in operation_ids if each in names.operations)
        if len(operation_ids) <= MAX_ALTERNATIVES:
            token_sets.append(frozenset(operation_token(each) for each in operation_ids))
    if not statuses or not all(token_sets) or (operation_ids is not None and not operation_ids):
        return None
    return Plan(search, statuses, operation_ids, tuple(token_sets), must_verify)


def newest_matches(
    plan: Plan, segments: Iterable[Segment], connection: sqlite3.Connection, reader: SpanReader
) -> list[int]:
    """Return the keys of the traces that match, newest start first, at most the search's limit."""
    search = plan.search
    found: list[tuple[int, int]] = []
    matched: set[int] = set()
    looker = _Looker(plan, connection, reader)
    in_range = [
        segment
        for segment in segments
        if segment.min_start <= search.start_max_unix_nano and segment.max_start >= search.start_min_unix_nano
    ]

    def is_complete(latest_start: int) -> bool:
        return len(found) >= search.limit and -found[search.limit - 1][0] >= latest_start

    for segment in sorted(in_range, key=lambda each: -each.max_start):
        if is_complete(segment.max_start):
            break
        for latest_start, candidates in looker.candidates(segment):
            if is_complete(latest_start):
                break
            for start, key in _starts_of(candidates.keys() - matched, connection):
                if looker.matches(key, segment, candidates[key]):
                    matched.add(key)
                    found.append((-start, key))
            found.sort()
            del found[search.limit :]
    return [key for _, key in found]


class _Looker:
    """Finds the spans of a segment that may match, and looks at them where that is needed."""

    def __init__(self, plan: Plan, connection: sqlite3.Connection, reader: SpanReader) -> None:
        self._plan = plan
        self._connection = connection
        self._reader = reader
        self._resources: dict[int, Resource] = {}
        self._scopes: dict[int, InstrumentationScope] = {}

    def candidates(self, segment: Segment) -> Iterator[tuple[int, dict[int, list[int]]]]:
        """Yield numbers of spans that may match, by the key of their trace, and when the latest of them began.

        The latest come first.
        """
        postings: list[Postings] = []
        for tokens in self._plan.token_sets:
            found = segment.postings(self._connection, tokens)
            if found.is_empty:
                return
            if self._plan.must_verify and not found.set_ids and len(found.numbers) <= FEW_SPANS:
                by_place = self._keys_by_place(segment, found.numbers)
                if by_place is not None:
                    yield segment.max_start, by_place
                    return
            postings.append(found)
        columns = segment.columns(self._connection)
        if columns is not None:
            yield from _keys_in_columns(self._plan, columns, postings)

    def matches(self, trace_key: int, segment: Segment, numbers: Iterable[int]) -> bool:
        """Say whether one of the spans really matches; an older segment knows their trace only."""
        if not self._plan.must_verify:
            return True
        for number in numbers:
            place = segment.place(number)
            if place is None:
                trace = self._reader.trace(self._connection, trace_key)
                return trace is not None and trace_matches(trace, self._plan.search)
            block = self._reader.block(self._connection, place[0])
            if block is not None and self._span_matches(*block.span(place[1])):
                return True
        return False

    def _keys_by_place(self, segment: Segment, numbers: Iterable[int]) -> dict[int, list[int]] | None:
        """Read the traces of a few spans from their blocks, which are looked at anyway: the columns cost far more."""
        keys: dict[int, list[int]] = {}
        for number in numbers:
            place = segment.place(number)
            if place is None:
                return None
            block = self._reader.block(self._connection, place[0])
            if block is not None:
                keys.setdefault(block.trace_key(place[1]), []).append(number)
        return keys

    def _span_matches(self, resource_id: int, scope_id: int, body: bytes) -> bool:
        resource = self._resources.get(resource_id)
        if resource is None:
            content = self._reader.origin_body(self._connection, resource_id)
            resource = self._resources[resource_id] = ResourceSpans.FromString(content).resource
        scope = self._scopes.get(scope_id)
        if scope is None:
            content = self._reader.origin_body(self._connection, scope_id)
            scope = self._scopes[scope_id] = ScopeSpans.FromString(content).scope
        return span_matches(Span.FromString(body), resource, scope, self._plan.search)


def _keys_in_columns(
    plan: Plan, columns: Columns, postings: Sequence[Postings]
) -> Iterator[tuple[int, dict[int, list[int]]]]:
    search = plan.search
    earliest, latest = search.start_min_unix_nano, search.start_max_unix_nano
    shortest, longest = search.duration_min_ns, search.duration_max_ns
    starts, durations = columns.starts, columns.durations
    numbers = sorted(_numbers_in_columns(plan, columns, postings), key=starts.__getitem__, reverse=True)
    for begin in range(0, len(numbers), SPANS_PER_STEP):
        keys: dict[int, list[int]] = {}
        for number in numbers[begin : begin + SPANS_PER_STEP]:
            if not earliest <= starts[number] <= latest:
                continue
            if shortest and durations[number] < shortest:
                continue
            if longest and durations[number] > longest:
                continue
            keys.setdefault(columns.keys_above[number] + columns.lowest_key, []).append(number)
        yield starts[numbers[begin]], keys


def _numbers_in_columns(plan: Plan, columns: Columns, postings: Sequence[Postings]) -> list[int]:
    """Return the spans whose set is one that the plan takes and that each posting has, by its set or by itself."""
    taken = {
        set_id
        for set_id, (operation_id, status) in enumerate(columns.sets)
        if status in plan.statuses and (plan.operation_ids is None or operation_id in plan.operation_ids)
    }
    set_ids = columns.set_ids
    if any(each.numbers for each in postings):
        known = min((each.numbers for each in postings if not each.set_ids), key=len, default=range(len(set_ids)))
        return [
            number
            for number in known
            if set_ids[number] in taken
            and all(set_ids[number] in each.set_ids or number in each.numbers for each in postings)
        ]
    for each in postings:
        taken &= each.set_ids
    is_taken = [set_id in taken for set_id in range(len(columns.sets))]
    return list(compress(range(len(set_ids)), map(is_taken.__getitem__, set_ids))) if taken else []


def _starts_of(keys: Collection[int], connection: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    listed = list(keys)
    for begin in range(0, len(listed), KEYS_PER_QUERY):
        part = listed[begin : begin + KEYS_PER_QUERY]
        marks = ",".join("?" * len(part))
        yield from connection.execute(
            f"SELECT min_start, key FROM trace WHERE key IN ({marks})",  # noqa: S608  # only question marks
            part,
        )


def _error_statuses(text: str) -> frozenset[int]:
    if text in TRUE_TEXTS:
        return frozenset({STATUS_ERROR})
    return ALL_STATUSES - {STATUS_ERROR} if text in FALSE_TEXTS else frozenset()


def _operation_ids(search: TraceSearch, kinds: set[int] | None, names: Names) -> frozenset[int] | None:
    if not search.service and not search.operation and kinds is None:
        return None

    def matches(operation: StoredOperation) -> bool:
        return (
            (not search.service or operation.service == search.service)
            and (not search.operation or operation.name in (search.operation, None))
            and (kinds is None or operation.kind in kinds)
        )

    return frozenset(each.operation_id for each in list(names.operations.values()) if matches(each))


def _alternatives(key: str, value: str, names: Names) -> Iterator[int]:
    origins = list(names.origins.values())
    if key in ("scope.name", "scope.version"):
        yield from (origin_token(each.origin_id) for each in origins if each.is_scope and _scope_has(each, key, value))
        return
    resource_only = key.startswith(RESOURCE_PREFIX)
    tokens = set(tokens_of_text(key.removeprefix(RESOURCE_PREFIX) if resource_only else key, value))
    if not resource_only:
        yield from tokens
    for origin in origins:
        if not tokens.isdisjoint(origin.tokens) and not (resource_only and origin.is_scope):
            yield origin_token(origin.origin_id)


def _scope_has(origin: Origin, key: str, value: str) -> bool:
    return (origin.scope_name if key == "scope.name" else origin.scope_version) == value

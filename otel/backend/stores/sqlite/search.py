"""Finding traces by the segment index: newest first, and no further than the limit needs.

Segments are walked by their latest start. Postings narrow a segment to the spans that may match, columns check time,
duration, status and operation, and the traces found are looked at whole where a hash could have collided. The walk ends
when no later segment can hold a trace newer than those found: a trace never starts after any of its spans.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel.backend.codec.attribute_text import kind_number
from otel.backend.ports import TraceSearch
from otel.backend.stores.matching import (
    FALSE_TEXTS,
    RESOURCE_PREFIX,
    TRUE_TEXTS,
    status_number,
    trace_matches,
)
from otel.backend.stores.sqlite.names import Names, Origin, StoredOperation
from otel.backend.stores.sqlite.segments import Columns, Segment
from otel.backend.stores.sqlite.tokens import attribute_token, operation_token, origin_token

STATUS_ERROR = 2
ALL_STATUSES = frozenset(range(256))
# Past so many alternatives, reading a column costs less than looking each one up.
MAX_ALTERNATIVES = 64
KEYS_PER_QUERY = 500


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
    plan: Plan,
    segments: Iterable[Segment],
    connection: sqlite3.Connection,
    trace_of: Callable[[int], TracesData | None],
) -> list[int]:
    """Return the keys of the traces that match, newest start first, at most the search's limit."""
    search = plan.search
    found: list[tuple[int, int]] = []
    seen: set[int] = set()
    in_range = [
        segment
        for segment in segments
        if segment.min_start <= search.start_max_unix_nano and segment.max_start >= search.start_min_unix_nano
    ]
    for segment in sorted(in_range, key=lambda each: -each.max_start):
        if len(found) >= search.limit and -found[search.limit - 1][0] >= segment.max_start:
            break
        keys = _candidates(plan, segment, connection) - seen
        seen |= keys
        found += _verified(plan, _starts_of(keys, connection), trace_of)
        found.sort()
        del found[search.limit :]
    return [key for _, key in found]


def _verified(
    plan: Plan,
    candidates: Iterable[tuple[int, int]],
    trace_of: Callable[[int], TracesData | None],
) -> list[tuple[int, int]]:
    """Return the newest candidates of one segment that really match, as (minus start, key)."""
    verified: list[tuple[int, int]] = []
    for start, key in sorted(candidates, reverse=True):
        if len(verified) >= plan.search.limit:
            break
        if plan.must_verify:
            trace = trace_of(key)
            if trace is None or not trace_matches(trace, plan.search):
                continue
        verified.append((-start, key))
    return verified


def _candidates(plan: Plan, segment: Segment, connection: sqlite3.Connection) -> set[int]:
    numbers: set[int] | None = None
    for tokens in plan.token_sets:
        having: set[int] = set()
        for token in tokens:
            having.update(segment.spans_with(connection, token))
        numbers = having if numbers is None else numbers & having
        if not numbers:
            return set()
    columns = segment.columns(connection)
    if columns is None:
        return set()
    walked = range(len(columns.statuses)) if numbers is None else numbers
    return set(_keys_in_columns(plan, columns, walked))


def _keys_in_columns(plan: Plan, columns: Columns, numbers: Iterable[int]) -> Iterator[int]:
    search = plan.search
    earliest, latest = search.start_min_unix_nano, search.start_max_unix_nano
    shortest, longest = search.duration_min_ns, search.duration_max_ns
    statuses = None if plan.statuses is ALL_STATUSES else plan.statuses
    operation_ids = plan.operation_ids
    starts, durations = columns.starts, columns.durations
    for number in numbers:
        if not earliest <= starts[number] <= latest:
            continue
        if shortest and durations[number] < shortest:
            continue
        if longest and durations[number] > longest:
            continue
        if statuses is not None and columns.statuses[number] not in statuses:
            continue
        if operation_ids is not None and columns.operation_ids[number] not in operation_ids:
            continue
        yield columns.trace_keys[number]


def _starts_of(keys: set[int], connection: sqlite3.Connection) -> Iterator[tuple[int, int]]:
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
    token = attribute_token(key.removeprefix(RESOURCE_PREFIX) if resource_only else key, value)
    if not resource_only:
        yield token
    for origin in origins:
        if token in origin.tokens and not (resource_only and origin.is_scope):
            yield origin_token(origin.origin_id)


def _scope_has(origin: Origin, key: str, value: str) -> bool:
    return (origin.scope_name if key == "scope.name" else origin.scope_version) == value

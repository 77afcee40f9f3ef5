"""The search index: segments of a few thousand spans, each with columns, sets and postings.

The newest segment grows in memory and is made again from its spans when a process starts; a full one is written once
and never changed, so ingestion never updates an index row. Columns hold what ranges filter: start, duration, trace.
Spans of one operation, status, resource and scope with the same common attributes share a set, and a span names its
set; so the attributes that every span has cost one number a span, not one each. Postings say, for a hash, which sets
have it, and which spans have it besides. They lie in 64 buckets by hash, so that looking one up reads one row of a few
kilobytes, and a filter in memory tells most segments that do not have it.

One thread adds; any thread may read while it does: a span's columns grow before its postings do.
"""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from otel.backend.stores.sqlite.tokens import AttributeTokens, operation_token, origin_token

SPANS_PER_SEGMENT = 8192
# An attribute that so many spans of a segment have is common.
COMMON_SPANS = 64
# Past so many common attributes they are learned anew: what was common long ago makes needless sets.
MAX_COMMON = 4096
IN_SEVERAL = -1

# Operation id, status, resource id, scope id.
Shared = tuple[int, int, int, int]
SetKey = tuple[Shared, tuple[int | None, ...]]


@dataclass(frozen=True, slots=True)
class Columns:
    """What is known of each span of a segment, by its number in it; `sets` has operation id and status of each set.

    A trace key is a span's number in `keys_above`, above the lowest.
    """

    starts: Sequence[int]
    durations: Sequence[int]
    lowest_key: int
    keys_above: Sequence[int]
    set_ids: Sequence[int]
    sets: Sequence[tuple[int, int]]


@dataclass(slots=True)
class Postings:
    """Which sets and which spans besides have one of some hashes."""

    set_ids: set[int] = field(default_factory=set)
    numbers: set[int] = field(default_factory=set)

    @property
    def is_empty(self) -> bool:
        """Whether no span has one."""
        return not self.set_ids and not self.numbers


class Segment(Protocol):
    """A part of the index, in memory or on disk."""

    @property
    def min_start(self) -> int:
        """The earliest start."""

    @property
    def max_start(self) -> int:
        """The latest start."""

    def columns(self, connection: sqlite3.Connection) -> Columns | None:
        """Return the columns; None where the segment has expired."""

    def postings(self, connection: sqlite3.Connection, tokens: Collection[int]) -> Postings:
        """Return what has one of the hashes."""

    def place(self, number: int) -> tuple[int, int] | None:
        """Return block id and position of a span; None where only its trace is known."""


class OpenSegment:
    """The segment that grows; `common` outlives it."""

    def __init__(self, first_block_id: int, tokens: AttributeTokens, common: dict[bytes, int]) -> None:
        self.first_block_id = first_block_id
        self.block_starts = array("H")
        self.starts = array("Q")
        self.durations = array("q")
        self.trace_keys = array("Q")
        self.set_ids = array("H")
        self.sets: list[tuple[int, int]] = []
        self.sets_with: dict[int, list[int]] = {}
        # The one span that has a hash; most values are rare, and a list for each would cost room and time.
        self.single: dict[int, int] = {}
        self.several: dict[int, list[int]] = {}
        self.min_start = 2**64 - 1
        self.max_start = 0
        self._set_ids: dict[SetKey, int] = {}
        self._tokens = tokens
        self._common = common

    def __len__(self) -> int:
        return len(self.set_ids)

    @property
    def last_block_id(self) -> int:
        """The block begun last; one less than the first where there is none."""
        return self.first_block_id + len(self.block_starts) - 1

    def begin_block(self) -> None:
        """Note that the spans to come lie in the next block."""
        self.block_starts.append(len(self.set_ids))

    def add(self, trace_key: int, start: int, duration: int, shared: Shared, attributes: Sequence[bytes]) -> None:
        """Index one span; one long loop on purpose, as most of what ingestion does is here.

        An attribute that many spans have becomes common.
        """
        common = tuple(map(self._common.get, attributes))
        set_key = (shared, common)
        set_id = self._set_ids.get(set_key)
        if set_id is None:
            set_id = self._add_set(set_key)
        number = len(self.set_ids)
        self.starts.append(start)
        self.durations.append(duration)
        self.trace_keys.append(trace_key)
        self.set_ids.append(set_id)
        if start < self.min_start:
            self.min_start = start
        if start > self.max_start:
            self.max_start = start
        index, rare_count = -1, common.count(None)
        single, several, tokens = self.single, self.several, self._tokens
        while rare_count:
            rare_count -= 1
            index = common.index(None, index + 1)
            content = attributes[index]
            token = tokens[content]
            first = single.setdefault(token, number)
            if first == IN_SEVERAL:
                numbers = several[token]
                if numbers[-1] != number:
                    numbers.append(number)
                if len(numbers) >= COMMON_SPANS:
                    self._make_common(content, token)
            elif first != number:
                several[token] = [first, number]
                single[token] = IN_SEVERAL

    def columns(self, _: sqlite3.Connection) -> Columns:
        """Return the columns up to the span added last."""
        count = len(self.set_ids)
        return Columns(
            self.starts[:count], self.durations[:count], 0, self.trace_keys[:count], self.set_ids[:count], self.sets[:]
        )

    def postings(self, _: sqlite3.Connection, tokens: Collection[int]) -> Postings:
        """Return what has one of the hashes."""
        found = Postings()
        for token in tokens:
            found.set_ids.update(self.sets_with.get(token, ()))
            number = self.single.get(token)
            if number == IN_SEVERAL:
                found.numbers.update(self.several[token][:])
            elif number is not None:
                found.numbers.add(number)
        return found

    def place(self, number: int) -> tuple[int, int]:
        """Return block id and position of a span."""
        return place_in(self.first_block_id, self.block_starts, number)

    def _make_common(self, content: bytes, token: int) -> None:
        if len(self._common) >= MAX_COMMON:
            self._common.clear()
        self._common[content] = token

    def _add_set(self, set_key: SetKey) -> int:
        (operation_id, status, resource_id, scope_id), common = set_key
        set_id = len(self.sets)
        self.sets.append((operation_id, status))
        shared_tokens = (operation_token(operation_id), origin_token(resource_id), origin_token(scope_id))
        for token in {*shared_tokens, *(token for token in common if token is not None)}:
            self.sets_with.setdefault(token, []).append(set_id)
        self._set_ids[set_key] = set_id
        return set_id


def place_in(first_block_id: int, block_starts: Sequence[int], number: int) -> tuple[int, int]:
    """Return block id and position of a span, given the number of each block's first span."""
    index = bisect_right(block_starts, number) - 1
    return first_block_id + index, number - block_starts[index]

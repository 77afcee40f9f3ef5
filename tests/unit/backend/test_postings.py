"""Postings of a sealed segment: all that has a hash is found, whatever hashes lie beside it, in older buckets too."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import resources

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel.backend.stores.sqlite import sealed_segment
from otel.backend.stores.sqlite.sealed_segment import SHORT_SHIFT, sealed_segments, write_segment
from otel.backend.stores.sqlite.segments import IN_SEVERAL, OpenSegment
from otel.backend.stores.sqlite.tokens import AttributeTokens
from tests.contract.older_store import bucket_of_version_4

# Hashes that begin with the same bits, others in their bucket, and any.
near = st.integers(0, 2 << SHORT_SHIFT)
hashes = st.one_of(near, st.integers(0, 2**26 - 1), st.integers(0, 2**32 - 1))
# What has a hash: spans by number, and sets.
holders = st.lists(st.integers(0, 300), min_size=1, max_size=3, unique=True).map(sorted)
postings = st.dictionaries(
    hashes, st.tuples(st.one_of(st.just([]), holders), st.one_of(st.just([]), holders)).filter(any)
)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(resources.files("otel.backend.sql").joinpath("spans.sql").read_text("utf-8"))
        yield connection


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("is_older", [False, True])
@given(has=postings)
def test_all_that_has_a_hash_is_found(
    connection: sqlite3.Connection,
    is_older: bool,
    has: dict[int, tuple[list[int], list[int]]],
) -> None:
    segment = OpenSegment(1, AttributeTokens(), {})
    segment.begin_block()
    segment.add(1, 5, 5, (1, 0, 1, 1), ())
    segment.sets_with.clear()
    for token, (numbers, set_ids) in has.items():
        if len(numbers) == 1:
            segment.single[token] = numbers[0]
        elif numbers:
            segment.single[token], segment.several[token] = IN_SEVERAL, numbers
        if set_ids:
            segment.sets_with[token] = set_ids
    with pytest.MonkeyPatch.context() as patched:
        if is_older:
            patched.setattr(sealed_segment, "_bucket", bucket_of_version_4)
        written = write_segment(segment, connection)
    assert sealed_segments(connection)[-1] == written
    for token, (numbers, set_ids) in has.items():
        found = written.postings(connection, [token])
        assert found.numbers >= set(numbers)
        assert found.set_ids >= set(set_ids)
        alike = [
            other for other in has if other == token or (not is_older and other >> SHORT_SHIFT == token >> SHORT_SHIFT)
        ]
        assert found.numbers == {number for other in alike for number in has[other][0]}
        assert found.set_ids == {set_id for other in alike for set_id in has[other][1]}

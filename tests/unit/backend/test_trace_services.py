"""The services of a trace as its row has them, as this version writes them and as those before did."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from otel.backend.stores.sqlite.trace_services import read_services, write_services

numbers = st.one_of(st.integers(0, 200), st.integers(0, 2**32 - 1))
services = st.dictionaries(numbers, st.tuples(numbers, numbers), max_size=9)


@given(services)
def test_services_are_read_as_they_were_written(counts: dict[int, tuple[int, int]]) -> None:
    assert {each: (spans, errors) for each, spans, errors in read_services(write_services(counts))} == counts


@given(services)
def test_services_of_older_files_are_read_as_they_were_written(counts: dict[int, tuple[int, int]]) -> None:
    body = b"".join(struct.pack("<III", each, *both) for each, both in counts.items())
    assert {each: (spans, errors) for each, spans, errors in read_services(body)} == counts


def test_four_services_take_thirteen_bytes() -> None:
    assert len(write_services(dict.fromkeys(range(4), (2, 0)))) == 13

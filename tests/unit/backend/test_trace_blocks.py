"""The blocks of a trace as its row has them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otel.backend.stores.sqlite.trace_blocks import read_blocks
from otel.backend.stores.sqlite.trace_rows import TraceState

block_ids = st.sets(st.one_of(st.integers(1, 300), st.integers(1, 2**62)), max_size=9).map(sorted)


def blocks_of(numbers: list[int]) -> bytes:
    state = TraceState(1, b"")
    for number in numbers:
        state.note_block(number)
    return state.blocks


@given(block_ids)
def test_blocks_are_read_as_they_were_noted(numbers: list[int]) -> None:
    assert read_blocks(blocks_of(numbers)) == numbers


def test_four_blocks_one_soon_after_the_other_take_six_bytes() -> None:
    assert len(blocks_of([20_000, 20_003, 20_050, 20_051])) == 6

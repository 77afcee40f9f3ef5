"""Page tokens lead on, belong to their query, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import InvalidFieldsError
from services.paging import MalformedTokenError, decode_page_token, encode_page_token, page_limit
from services.validation import Violations

positions = st.integers(0, 2**63)


@given(positions, st.text())
def test_a_token_leads_to_its_position(position: int, query: str) -> None:
    token = encode_page_token(position, query)
    assert decode_page_token(token, query) == position
    assert token
    assert token.isascii()
    assert not set(token) & set("+/=")


@given(positions, st.text(), st.text())
def test_a_token_of_another_query_is_refused(position: int, query: str, other: str) -> None:
    if query == other:
        return
    with pytest.raises(MalformedTokenError):
        decode_page_token(encode_page_token(position, query), other)


@given(positions, st.integers(0, 21), st.characters(codec="ascii"))
def test_a_mistyped_token_is_refused(position: int, index: int, letter: str) -> None:
    token = encode_page_token(position, "ListUsers")
    mistyped = token[:index] + letter + token[index + 1 :]
    if mistyped == token or (index == 21 and letter.isalnum()) or letter in "-_":
        return  # the last letter holds only two bits that count
    with pytest.raises(MalformedTokenError):
        decode_page_token(mistyped, "ListUsers")


@given(st.text())
def test_any_text_is_refused_or_a_token(text: str) -> None:
    with pytest.raises(MalformedTokenError):
        decode_page_token(text, "ListUsers")


@pytest.mark.parametrize(
    ("asked", "limit"), [(0, 100), (1, 1), (1_000, 1_000), (1_001, 1_000)], ids=["default", "one", "most", "too many"]
)
def test_a_page_size_is_taken_as_the_contract_says(asked: int, limit: int) -> None:
    assert page_limit(Violations(), asked) == limit


def test_a_negative_page_size_is_refused() -> None:
    violations = Violations()
    page_limit(violations, -1)
    with pytest.raises(InvalidFieldsError):
        violations.raise_if_any()

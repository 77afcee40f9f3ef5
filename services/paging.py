"""Pages of lists: how big one is, and the opaque token that leads to the next.

A token holds the position after which the next page starts and a checksum over that position and the query it belongs
to, so a token of another query (or a mistyped one) is refused instead of answering something else. It hides nothing and
proves nothing about who made it. Source: AIP-158.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.validation import Violations

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000
POSITION_BYTES = 8
CHECKSUM_BYTES = 8


class MalformedTokenError(ValueError):
    """A page token that was not made for this query."""


def encode_page_token(position: int, query: str) -> str:
    """Return the token for the page after `position` of `query`, any text that names the list and its filter."""
    head = position.to_bytes(POSITION_BYTES, "big")
    return base64.urlsafe_b64encode(head + _checksum(head, query)).rstrip(b"=").decode()


def decode_page_token(token: str, query: str) -> int:
    """Return the position of `token`; raise MalformedTokenError if it was not made for `query`."""
    if "+" in token or "/" in token:  # the same letters in the other alphabet, which the decoder takes, too
        raise MalformedTokenError("not a token")
    try:
        decoded = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise MalformedTokenError("not a token") from None
    head, checksum = decoded[:POSITION_BYTES], decoded[POSITION_BYTES:]
    if len(head) != POSITION_BYTES or checksum != _checksum(head, query):
        raise MalformedTokenError("a token of another query")
    return int.from_bytes(head, "big")


def _checksum(head: bytes, query: str) -> bytes:
    return hashlib.blake2b(head + query.encode(), digest_size=CHECKSUM_BYTES).digest()


def page_position(violations: Violations, token: str, query: str) -> int:
    """Return where the asked page starts, 0 for the first; note a violation for a bad token."""
    if not token:
        return 0
    try:
        return decode_page_token(token, query)
    except MalformedTokenError:
        violations.add("page_token", "must be empty or the next_page_token of the same list with the same filter")
        return 0


def page_limit(
    violations: Violations, page_size: int, field: str = "page_size", default: int = DEFAULT_PAGE_SIZE
) -> int:
    """Return how many to answer: 0 means the default, too many the maximum; note a violation for a negative one."""
    if page_size < 0:
        violations.add(field, f"must not be negative, is {page_size}")
    return min(page_size or default, MAX_PAGE_SIZE)


def next_page_token(position: int | None, query: str) -> str:
    """Return the token that leads on, or "" after the last page."""
    return "" if position is None else encode_page_token(position, query)

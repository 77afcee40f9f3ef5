"""PromQL's words: names, numbers, durations, strings and marks, each with its position. Pure, O(n)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from otel.backend.promql.syntax import DURATION_UNITS_MS, PromqlError


class TokenKind(Enum):
    """What a token is."""

    NAME = "name"
    NUMBER = "number"
    DURATION = "duration"
    STRING = "string"
    MARK = "mark"
    END = "end of input"


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a query; a string's text is what it means."""

    kind: TokenKind
    text: str
    position: int


_PATTERN = re.compile(
    r"(?P<space>\s+|\#[^\n]*)"
    r"|(?P<duration>(?:\d+(?:ms|[smhdwy]))+(?![A-Za-z0-9_.]))"
    r"|(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![A-Za-z0-9_.]))"
    r"|(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)"
    r"|(?P<string>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`[^`]*`)"
    r"|(?P<mark>=~|!~|!=|==|[-+*/(){}\[\],=])",
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_PLAIN_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_DURATION_PART = re.compile(r"(\d+)(ms|[smhdwy])")
# A hundred years; more means nothing and would only make numbers long.
MAX_DURATION_MS = 100 * DURATION_UNITS_MS["y"]


def tokens_of(query: str) -> Iterator[Token]:
    """Yield the tokens of a query, the end last; PromqlError at a character that begins none."""
    position = 0
    while position < len(query):
        found = _PATTERN.match(query, position)
        if found is None:
            raise PromqlError(position, f"unexpected character: {query[position]!r}")
        if found.lastgroup == "string":
            yield Token(TokenKind.STRING, _unquoted(found.group(), position), position)
        elif found.lastgroup != "space":
            yield Token(TokenKind(found.lastgroup), found.group(), position)
        position = found.end()
    yield Token(TokenKind.END, "", position)


def duration_ms(token: Token) -> int:
    """Return the length of a duration such as 5m or 1h30m."""
    if len(token.text) > 100:
        raise PromqlError(token.position, "the duration is too long")
    length = sum(int(number) * DURATION_UNITS_MS[unit] for number, unit in _DURATION_PART.findall(token.text))
    if not 0 < length <= MAX_DURATION_MS:
        raise PromqlError(token.position, "duration must be greater than 0 and at most 100 years")
    return length


def _unquoted(text: str, position: int) -> str:
    if text[0] == "`":
        return text[1:-1]

    def meaning(escape: re.Match[str]) -> str:
        code = escape[1] or escape[2]
        if code:
            return chr(int(code, 16))
        if escape[3] in "\\\"'":
            return escape[3]
        if escape[3] not in _PLAIN_ESCAPES:
            raise PromqlError(position + 1 + escape.start(), f"unknown escape sequence \\{escape[3]}")
        return _PLAIN_ESCAPES[escape[3]]

    return _ESCAPE.sub(meaning, text[1:-1])

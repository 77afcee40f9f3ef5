"""The part of regular expressions that panels use, matched in time that no pattern can make long.

Python's own matcher can take exponential time, Prometheus' cannot. Taken are text, `.`, `.*`, `.+`, alternatives,
groups without a quantifier, and escaped marks; the whole value must match. Source: prometheus.io/docs, "Querying
basics".
"""

from __future__ import annotations

from functools import lru_cache

MAX_ALTERNATIVES = 1000
MAX_PATTERN_CHARACTERS = 2000
SPECIAL = frozenset("[]^$?{}*+")
# Escaped, these stand for more than themselves.
CLASSES = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")

# An atom is one character, `.`: any one, or `*`: any number of any. Marks are tuples, so that text is never one.
ANY_ONE = ("any",)
ANY_NUMBER = ("any number",)
Atom = str | tuple[str]
Alternative = tuple[Atom, ...]


class Pattern:
    """A pattern; ValueError where it is outside the subset."""

    __slots__ = ("_alternatives",)

    def __init__(self, text: str) -> None:
        self._alternatives = _parsed(text)

    def matches(self, value: str) -> bool:
        """Say whether the whole of `value` matches; O(characters of the pattern · characters of the value)."""
        return any(_matches(alternative, value) for alternative in self._alternatives)


@lru_cache(256)
def _parsed(text: str) -> tuple[Alternative, ...]:
    if len(text) > MAX_PATTERN_CHARACTERS:
        raise ValueError(f"the regular expression is longer than {MAX_PATTERN_CHARACTERS} characters")
    alternatives, end = _alternatives(text, 0, 0)
    if end != len(text):
        raise ValueError("the regular expression has a ) too many")
    return tuple(dict.fromkeys(alternatives))


def _alternatives(text: str, position: int, depth: int) -> tuple[list[Alternative], int]:
    """Read alternatives up to a closing parenthesis or the end; groups are multiplied out."""
    done: list[Alternative] = []
    current: list[Alternative] = [()]
    while position < len(text) and text[position] != ")":
        character = text[position]
        if character == "|":
            done += current
            current = [()]
            position += 1
        elif character == "(":
            inner, position = _group(text, position, depth)
            current = [(*before, *after) for before in current for after in inner]
        else:
            atoms, position = _atoms(text, position)
            current = [(*before, *atoms) for before in current]
        if len(done) + len(current) > MAX_ALTERNATIVES:
            raise ValueError(f"the regular expression has more than {MAX_ALTERNATIVES} alternatives")
    return done + current, position


def _group(text: str, position: int, depth: int) -> tuple[list[Alternative], int]:
    if depth > 20:
        raise ValueError("the regular expression is nested too deep")
    begin = position + 3 if text.startswith("(?:", position) else position + 1
    if text.startswith("?", begin):
        raise ValueError("(? is not in the subset of regular expressions that is served here")
    inner, end = _alternatives(text, begin, depth + 1)
    if end >= len(text):
        raise ValueError("the regular expression lacks a )")
    return inner, _without_quantifier(text, end + 1)


def _atoms(text: str, position: int) -> tuple[Alternative, int]:
    character = text[position]
    if character == ".":
        following = text[position + 1 : position + 2]
        if following == "*":
            return (ANY_NUMBER,), _without_quantifier(text, position + 2)
        if following == "+":
            return (ANY_ONE, ANY_NUMBER), _without_quantifier(text, position + 2)
        return (ANY_ONE,), _without_quantifier(text, position + 1)
    if character == "\\":
        escaped = text[position + 1 : position + 2]
        if not escaped or escaped in CLASSES:
            raise ValueError(f"\\{escaped} is not in the subset of regular expressions that is served here")
        return (escaped,), _without_quantifier(text, position + 2)
    if character in SPECIAL:
        raise ValueError(f"{character} is not in the subset of regular expressions: text . .* .+ | ( )")
    return (character,), _without_quantifier(text, position + 1)


def _without_quantifier(text: str, position: int) -> int:
    if position < len(text) and text[position] in "*+?{":
        raise ValueError(f"{text[position]} is in the subset of regular expressions only as .* and .+")
    return position


def _matches(alternative: Alternative, value: str) -> bool:
    """Match as a file name's wildcards are: go back to the last `.*` only, which is enough."""
    atom = at = 0
    retry_atom, retry_at = -1, 0
    while at < len(value):
        if atom < len(alternative) and alternative[atom] == ANY_NUMBER:
            retry_atom, retry_at = atom, at
            atom += 1
        elif atom < len(alternative) and (alternative[atom] == value[at] or alternative[atom] == ANY_ONE):
            atom += 1
            at += 1
        elif retry_atom >= 0:
            retry_at += 1
            atom, at = retry_atom + 1, retry_at
        else:
            return False
    return all(rest == ANY_NUMBER for rest in alternative[atom:])

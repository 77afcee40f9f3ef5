"""The signs that drawings are made of, in Unicode and for terminals that have ASCII only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of signs. Every sign is one cell wide, `tee` and its kin two."""

    critical: str
    bar: str
    log: str
    warning: str
    error: str
    note: str
    tee: str
    corner: str
    pipe: str
    gap: str
    rule: str
    lifeline: str
    arrow_right: str
    arrow_left: str
    ellipsis: str
    separator: str
    minus: str
    micro: str
    is_ascii: bool


UNICODE = Glyphs(
    critical="━",
    bar="─",
    log="•",
    warning="!",
    error="✗",
    note="↳",
    tee="├ ",
    corner="└ ",
    pipe="│ ",
    gap="  ",
    rule="─",
    lifeline="│",
    arrow_right="▶",
    arrow_left="◀",
    ellipsis="…",
    separator="·",
    minus="−",  # noqa: RUF001  # the sign for negative numbers
    micro="µ",
    is_ascii=False,
)
ASCII = Glyphs(
    critical="=",
    bar="-",
    log="*",
    warning="!",
    error="x",
    note=">",
    tee="|-",
    corner="`-",
    pipe="| ",
    gap="  ",
    rule="-",
    lifeline="|",
    arrow_right=">",
    arrow_left="<",
    ellipsis="~",
    separator="|",
    minus="-",
    micro="u",
    is_ascii=True,
)


def glyphs_for(*, ascii_only: bool) -> Glyphs:
    """Choose the set."""
    return ASCII if ascii_only else UNICODE

"""How long something may take, as an option says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import typer

LONGEST_S: Final = 1_000_000.0  # eleven days; gRPC takes a deadline in some hundred years, or inf, for one that is over


def seconds(least_s: float) -> Callable[[str], float]:
    """Make a parser of seconds from `least_s` to LONGEST_S; typer.BadParameter for anything else, nan too."""

    def parse(text: str) -> float:
        try:
            value_s = float(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is no number") from None
        if not least_s <= value_s <= LONGEST_S:
            raise typer.BadParameter(f"{text!r} is no time within {least_s:g} and {LONGEST_S:,.0f} seconds")
        return value_s

    return parse

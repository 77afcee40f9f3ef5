"""Draw on a console that writes to memory, and compare with what was looked at and kept."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console, RenderableType

EXPECTED = Path(__file__).parent / "expected"


class AsciiStream(io.StringIO):
    encoding = "ascii"


def drawn(renderable: RenderableType, width: int = 80, *, ascii_only: bool = False, colour: bool = False) -> str:
    stream = AsciiStream() if ascii_only else io.StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=colour,
        color_system="truecolor" if colour else None,
        highlight=False,
        _environ={},
    )
    console.print(renderable)
    return stream.getvalue()


def expected(name: str) -> str:
    return (EXPECTED / f"{name}.txt").read_text(encoding="utf-8")

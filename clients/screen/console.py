"""A console for one stream: plain when piped, and without colour where nobody wants it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO

from rich.console import Console

PIPED_WIDTH = 100
"""Columns when the stream is no terminal, so that output does not depend on who reads it."""


def console_for(stream: IO[str], environ: Mapping[str, str], *, no_color: bool = False) -> Console:
    """Make the console for `stream`, judged by itself.

    No colour when piped, with `NO_COLOR` set to anything, with `TERM=dumb`, or by `no_color`. ASCII follows from the
    stream's encoding, and from `LC_ALL=C`, which Python itself takes for UTF-8.
    """
    is_terminal = stream.isatty()
    is_dumb = environ.get("TERM") in ("dumb", "unknown")
    colourless = no_color or bool(environ.get("NO_COLOR")) or is_dumb or not is_terminal
    kind = _AsciiConsole if environ.get("LC_ALL") in ("C", "POSIX") else Console
    return kind(
        file=stream,
        force_terminal=is_terminal and not is_dumb,
        no_color=colourless,
        width=None if is_terminal else PIPED_WIDTH,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=False,
    )


class _AsciiConsole(Console):
    @property
    def encoding(self) -> str:
        """What the person's system can show."""
        return "ascii"

"""Foreign text made safe for a terminal, and cut or padded by cells, not by characters."""

from __future__ import annotations

import shlex
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clients.screen.glyphs import Glyphs, glyphs_for

_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def plain(text: str, glyphs: Glyphs) -> str:
    """Show what text says without letting it act: control and invisible characters become escapes.

    Where the terminal has ASCII only, so does everything beyond it, but for the micro sign of µs.
    """
    if text.isascii() and text.isprintable():
        return text
    if glyphs.is_ascii:
        text = text.replace("µ", glyphs.micro)
    return "".join(_safe(character, ascii_only=glyphs.is_ascii) for character in text)


def fit(text: str, width: int, glyphs: Glyphs) -> str:
    """Cut to at most `width` cells; what was cut shows as an ellipsis."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + glyphs.ellipsis if width > 0 else ""


def left(text: str, width: int, glyphs: Glyphs) -> str:
    """Cut or pad on the right to exactly `width` cells."""
    return set_cell_size(fit(text, width, glyphs), width)


def right(text: str, width: int, glyphs: Glyphs) -> str:
    """Cut, or pad on the left, to exactly `width` cells."""
    fitted = fit(text, width, glyphs)
    return " " * (width - cell_len(fitted)) + fitted


def wrap_words(words: list[str], width: int, glyphs: Glyphs) -> list[str]:
    """Fill lines of at most `width` cells with whole words; a word that is longer is cut."""
    lines: list[str] = []
    for word in (fit(word, max(1, width), glyphs) for word in words):
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


@dataclass(frozen=True, slots=True)
class Sentence:
    """A renderable text, filled line by line without a space at any end."""

    text: str
    style: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw at the console's width."""
        glyphs = glyphs_for(ascii_only=options.ascii_only)
        for line in wrap_words(plain(self.text, glyphs).split(" "), options.max_width, glyphs):
            yield Text(line, self.style)


def _safe(character: str, *, ascii_only: bool) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if unicodedata.category(character) == "Zs":
        return " "
    code = ord(character)
    # Not printable: escapes, bidirectional overrides, invisible and unassigned characters, lone surrogates.
    if character.isprintable() and not (ascii_only and code > 126):
        return character
    if code < 256:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def typed_path(path: Path) -> str:
    """A path as a shell takes it, and as it is shortest to type: from here, if it is below here."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))

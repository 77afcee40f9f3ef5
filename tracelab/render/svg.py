"""What a terminal showed, as an SVG picture: for the README and for reports.

Shows itself: `python -m tracelab.render.svg > picture.svg`.
"""

from __future__ import annotations

import io
import re
import sys

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, RenderableType
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from otel.analysis.example import example_trace
from otel.analysis.reading import TraceReading
from tracelab.render.waterfall import Waterfall


def svg_of(renderable: RenderableType, *, title: str, width: int = 100) -> str:
    """Draw anything that a console can print as one SVG document. The same input gives the same bytes."""
    console = Console(
        record=True, file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor", highlight=False
    )
    console.print(renderable)
    # The fonts would come from somebody else's server; the reader's own monospaced one will do.
    code_format = re.sub(r"@font-face\s*\{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title=title, theme=SVG_EXPORT_THEME, unique_id="trace-lab", code_format=code_format)


def svg_of_capture(ansi_text: str, *, title: str, width: int = 100) -> str:
    """Draw what a command printed, colours as ANSI escapes included."""
    return svg_of(Text.from_ansi(ansi_text.rstrip("\n")), title=title, width=width)


def main() -> None:
    """Write a picture of the example's waterfall to standard output."""
    sys.stdout.write(svg_of(Waterfall(TraceReading(*example_trace())), title="./lab demo"))


if __name__ == "__main__":
    main()

"""What a person sees on standard error while a comparison runs: one line that changes, or some that stay when piped."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from clients.screen.glyphs import glyphs_for
from clients.screen.text import plain
from tracelab.compare.measurement.block_design import Progress
from tracelab.compare.measurement.watcher import Watcher


class ProgressLine(Watcher):
    """Shows stage, blocks and how far each interval has narrowed. A context manager; `quiet` shows nothing."""

    def __init__(self, console: Console, precision: float, quiet: bool = False) -> None:
        self._console = console
        self._precision = precision
        self._quiet = quiet
        self._status: Status | None = None
        self._shown_look: object = None

    def __enter__(self) -> Self:
        if not self._quiet and self._console.is_terminal:
            self._status = self._console.status(Text("starting"), spinner="line")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def stage(self, text: str) -> None:
        """Something else begins."""
        self._show(text, stays=True)

    def measuring(self, progress: Progress) -> None:
        """A block more is measured, or a round of warming up."""
        if progress.warming_up:
            self._show(f"warming up, {progress.elapsed_s:.1f} s")
            return
        text = f"{progress.block_count} blocks, {progress.elapsed_s:.0f} s"
        widths = ", ".join(
            f"{name} ±{interval.half_width * 100:.1f} %" for name, interval in progress.intervals.items()
        )
        wanted = f"wanted ±{self._precision * 100:g} %"
        is_look = bool(progress.intervals) and progress.intervals is not self._shown_look
        self._shown_look = progress.intervals
        self._show(f"{text}: {widths} ({wanted})" if widths else f"{text} (intervals from block 20 on)", stays=is_look)

    def reading(self, done: int, wanted: int) -> None:
        """A trace more is read."""
        self._show(f"reading traces, {done} of {wanted}")

    def _show(self, text: str, *, stays: bool = False) -> None:
        safe = plain(text, glyphs_for(ascii_only=self._console.options.ascii_only))
        if self._status is not None:
            self._status.update(Text(safe))
        elif stays and not self._quiet:
            self._console.print(Text(safe))

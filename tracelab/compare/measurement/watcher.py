"""Who hears how far a comparison is while it runs."""

from __future__ import annotations

from tracelab.compare.measurement.block_design import Progress


class Watcher:
    """Hears how far a session is; this one says nothing."""

    def stage(self, text: str) -> None:
        """Something else begins, in a few words."""

    def measuring(self, progress: Progress) -> None:
        """A block more is measured."""

    def reading(self, done: int, wanted: int) -> None:
        """A trace more is read."""

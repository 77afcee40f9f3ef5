"""What the tests counted, kept for the end of the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tracelab.chaos.experiment import Count
from tracelab.chaos.report import BROKEN, HELD


@dataclass
class Told:
    """Counts by the name of what was done."""

    tables: dict[str, tuple[Count, ...]] = field(default_factory=dict)

    def seen(self, name: str, *counts: Count) -> None:
        """Keep and print them, whatever they are."""
        self.tables[name] = counts
        print(f"\n{_table(name, counts)}", flush=True)

    def counted(self, name: str, *counts: Count) -> None:
        """Keep and print them; AssertionError with those that are not as promised."""
        self.seen(name, *counts)
        assert all(count.held is not False for count in counts), _table(name, counts)

    def text(self) -> str:
        """All tables."""
        return "\n".join(_table(name, counts) for name, counts in self.tables.items())

    def document(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            name: {count.name: {"value": count.value, "held": count.held} for count in counts}
            for name, counts in self.tables.items()
        }


def _table(name: str, counts: tuple[Count, ...]) -> str:
    marks = {None: " ", True: HELD, False: BROKEN}
    return "\n".join([name, *(f"  {marks[count.held]} {count.value:>10,}  {count.name}" for count in counts)])

"""What a number of calls came to, whoever makes them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """How the calls so far ended, by status code. Its callers stop once `is_over`."""

    codes: Counter[str] = field(default_factory=Counter)
    is_over: bool = False

    @property
    def sent_count(self) -> int:
        """How many came to an end."""
        return self.codes.total()

    @property
    def refused_count(self) -> int:
        """How many did not end OK."""
        return self.codes.total() - self.codes["OK"]

"""Deadlines travel: a service passes on what is left of its caller's, never more.

Take one `Deadline` when a call begins and ask it again before each call further on. A caller without a deadline gets
`DEFAULT_TIMEOUT_S`, so that no call of ours ever lacks one: an abandoned stream ends by nothing else.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import grpc

DEFAULT_TIMEOUT_S = 30.0  # longer than any call of these services takes, shorter than a person waits


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock."""

    at_monotonic_s: float

    @classmethod
    def of(cls, context: grpc.aio.ServicerContext[Any, Any], default_s: float = DEFAULT_TIMEOUT_S) -> Deadline:
        """Return the caller's deadline, or one `default_s` from now if it set none."""
        # Unlike the stub says, grpc.aio gives None where the caller set no deadline.
        left_s: float | None = context.time_remaining()
        return cls(time.monotonic() + (default_s if left_s is None else left_s))

    def left_s(self) -> float:
        """Return the seconds that are left, 0 when it has passed: what to pass as a stub's `timeout`."""
        return max(self.at_monotonic_s - time.monotonic(), 0.0)

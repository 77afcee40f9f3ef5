"""Deadlines travel: a service passes on what is left of its caller's, never more.

Take one `Deadline` when a call begins and ask it again before each call further on. A caller without a deadline gets
`DEFAULT_TIMEOUT_S`, so that no call of ours ever lacks one: an abandoned stream ends by nothing else.

What a stub is given as `timeout` is not what its callee is told. gRPC's core writes the header `grpc-timeout` with
three digits, rounded up, and where a timeout that it sent before on the same connection is less than 3 % longer it
sends that one again, because its header is already compressed. Both together made 20.1 s of 19.4 s. So a service
passes on less than what is left, by as much as core may add. Source: grpc core, `timeout_encoding.cc` and
`hpack_encoder.cc`; seen with grpcio 1.85.1.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import grpc

DEFAULT_TIMEOUT_S = 30.0  # longer than any call of these services takes, shorter than a person waits
# Three digits rounded up are at most 1 % more, an earlier timeout is at most 1/0.97 of that: 0.96 * 1.01 / 0.97 < 1.
PASSED_ON_RATIO = 0.96
# Core counts in whole milliseconds and rounds twice, both times up.
ROUNDED_UP_S = 0.002


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
        """Return the seconds that are left, 0 when it has passed."""
        return max(self.at_monotonic_s - time.monotonic(), 0.0)

    def timeout_s(self) -> float:
        """Return what to give a stub as `timeout`, so that its callee is told no more than what is left."""
        return passed_on_s(self.left_s())


def passed_on_s(left_s: float) -> float:
    """Return the timeout whose `grpc-timeout` header is at most `left_s`, whatever was sent before; 0 for 2 ms."""
    return max(left_s * PASSED_ON_RATIO - ROUNDED_UP_S, 0.0)

"""Which calls begin: not one whose deadline has passed, and no more at once than a service can have in hand.

A call past its deadline has nobody left who waits for it, so working on it only takes time from others. Calls past the
bound are refused at once with RESOURCE_EXHAUSTED and told when to come again (`grpc-retry-pushback-ms`, gRFC A6), so
that those in hand stay quick. Streams that the service sends are not counted: a watcher waits, it does not work.
"""

from __future__ import annotations

import grpc

from services.errors import DomainError

# Far more than a service of this kind has in hand while it keeps up, little enough to hold in memory.
DEFAULT_MAX_CONCURRENT_CALLS = 512
# About what a full house of calls takes to be answered.
PUSHBACK_MS = 100


class Admission:
    """Counts the calls in hand of one server; one thread, or under its owner's lock."""

    def __init__(self, max_concurrent_calls: int) -> None:
        self._max_concurrent_calls = max_concurrent_calls
        self.in_hand_count = 0

    def begin(self, left_s: float | None) -> None:
        """Count a call in hand, of whose deadline `left_s` is left (None: none was set); who was let in must `end`.

        Raises DomainError if it may not begin.
        """
        self.check_deadline(left_s)
        if self.in_hand_count >= self._max_concurrent_calls:
            raise overloaded(self._max_concurrent_calls)
        self.in_hand_count += 1

    def check_deadline(self, left_s: float | None) -> None:
        """Raise DomainError if nothing is left of the deadline."""
        if left_s is not None and left_s <= 0.0:
            raise deadline_passed()

    def end(self) -> None:
        """Take note that a call is no longer in hand."""
        self.in_hand_count -= 1


def deadline_passed() -> DomainError:
    """Say that a call came too late to begin; only its span and its log line are there to hear it."""
    return DomainError(
        grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_PASSED", "the deadline had passed before the call began"
    )


def overloaded(max_concurrent_calls: int) -> DomainError:
    """Say that as many calls are in hand as there may be."""
    return DomainError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "OVERLOADED",
        f"{max_concurrent_calls} calls are in hand, as many as this service takes at once; call again in a moment",
        {"max_concurrent_calls": str(max_concurrent_calls)},
        pushback_ms=PUSHBACK_MS,
    )

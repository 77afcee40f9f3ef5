"""The requests of consecutive calls: a list, gone through again and again, the same for every variant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from google.protobuf.message import Message

CallRequests: TypeAlias = Sequence[Message]
"""The messages of one call: one, or those of a client's stream."""


class RequestSequence:
    """Gives the requests of one call after another. One task."""

    def __init__(self, requests: Sequence[CallRequests]) -> None:
        self._requests = requests
        self._place = 0

    def start_at(self, place: int) -> None:
        """Let the next call be that of `place`, which may lie before the first and past the last."""
        self._place = place % len(self._requests)

    def following(self) -> CallRequests:
        """The requests of the next call."""
        requests = self._requests[self._place]
        self._place = (self._place + 1) % len(self._requests)
        return requests

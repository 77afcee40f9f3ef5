"""When this process's server begins to cancel calls, and which servicers work on for nobody then."""

from __future__ import annotations

import threading
import time
from typing import Final, Protocol

from otel.instrument.endings import DEADLINE_SLACK_S

NEVER: Final = float("inf")


class OutlivedCall(Protocol):
    """A call that is over while its servicer works on in a thread of its own."""

    def end_now(self) -> None:
        """End the span without waiting for the servicer."""


class ServerStop:
    """When the server cancels calls: shared by `Telemetry.server_stopping` and its interceptors; safe in any thread."""

    def __init__(self) -> None:
        self._begins_s = NEVER
        self._lock = threading.Lock()
        self._outlived: set[OutlivedCall] = set()

    def begin(self, grace_s: float) -> None:
        """Say that the server stops now and cancels what still runs after `grace_s`."""
        self._begins_s = min(self._begins_s, time.monotonic() + grace_s - DEADLINE_SLACK_S)

    @property
    def is_cancelling(self) -> bool:
        """Say whether a call cancelled at this moment was cancelled by the server itself."""
        return self._begins_s is not NEVER and time.monotonic() >= self._begins_s

    def outlived(self, call: OutlivedCall) -> None:
        """Keep a call whose servicer works on, so that its span can end before the process does."""
        with self._lock:
            self._outlived.add(call)

    def left(self, call: OutlivedCall) -> None:
        """Forget a call whose servicer has been left at last."""
        with self._lock:
            self._outlived.discard(call)

    def end_outlived(self) -> None:
        """End the spans of all calls that are over: what their servicers still do is nobody's any more."""
        with self._lock:
            calls, self._outlived = self._outlived, set()
        for call in calls:
            call.end_now()

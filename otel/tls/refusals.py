"""One log line for handshakes that fail: what was wrong, and how often, without letting a stranger fill the log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from otel.tls.reasons import reason_for_server

EVENT: Final = "tls.refused"
QUIET_S: Final = 10.0
"""How long the same reason is only counted after it was said."""
_MOST_REASONS: Final = 32


class RefusalLog:
    """Tells of failed handshakes by `warn(event, reason=…, count=…)`. Any thread."""

    def __init__(self, warn: Callable[..., object], clock: Callable[[], float] = time.monotonic) -> None:
        self._warn = warn
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._said_s: dict[str, float] = {}

    def failed(self, text: str) -> None:
        """Note one failed handshake, as the library tells it; say it, unless the same was said a moment ago."""
        reason = reason_for_server(text)[:200]
        with self._lock:
            if reason not in self._counts and len(self._counts) >= _MOST_REASONS:
                reason = "for other reasons"
            self._counts[reason] = self._counts.get(reason, 0) + 1
            now_s = self._clock()
            if now_s - self._said_s.get(reason, -QUIET_S) < QUIET_S:
                return
            self._said_s[reason] = now_s
            count, self._counts[reason] = self._counts[reason], 0
        self._warn(EVENT, reason=reason, count=count)

"""What gRPC's core makes of a timeout on its way to the header `grpc-timeout`: a model, and the header itself.

Source: grpc core, `timeout_encoding.cc` (three digits, rounded up, in steps of 1, 10 and 100 of a unit) and
`hpack_encoder.cc` (an earlier timeout of the connection is sent again if it is less than 3 % longer).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

MS = 1
SECOND = 1_000 * MS
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
# Below each of these a duration is written in steps of the value beside it.
STEPS_MS = (
    (1_000 * MS, MS),
    (10 * SECOND, 10 * MS),
    (100 * SECOND, 100 * MS),
    (1_000 * SECOND, SECOND),
    (10_000 * SECOND, 10 * SECOND),
    (100_000 * SECOND, 100 * SECOND),
    (10_000 * MINUTE, 10 * MINUTE),
    (100_000 * MINUTE, 100 * MINUTE),
)
LONGEST_MS = 27_000 * HOUR
REPEATED_RATIO = 0.97
UNITS_MS = {b"m": MS, b"S": SECOND, b"M": MINUTE, b"H": HOUR}
EMPTY_SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


def written_ms(remaining_ms: int) -> int:
    """Return what core writes for a duration on a new connection."""
    step = next((step for bound, step in STEPS_MS if remaining_ms < bound), HOUR)
    return min(-(-max(remaining_ms, 0) // step) * step, LONGEST_MS)


def longest_sent_ms(remaining_ms: int) -> float:
    """Return the longest that core may send for a duration: an earlier timeout that is almost 3 % longer."""
    return written_ms(remaining_ms) / REPEATED_RATIO


@contextmanager
def header_reader() -> Iterator[HeaderReader]:
    """Yield a server that reads the first call's header of each connection, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield HeaderReader(listener)


class HeaderReader:
    """Accepts connections in the thread that asks."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.address = "{}:{}".format(*listener.getsockname())

    def timeout_ms(self, within_s: float) -> int:
        """Return the `grpc-timeout` of the next connection's first call."""
        self._listener.settimeout(within_s)
        connection, _ = self._listener.accept()
        received = b""
        with connection, suppress(ConnectionResetError):
            connection.settimeout(within_s)
            connection.sendall(EMPTY_SETTINGS)
            while (found := re.search(rb"grpc-timeout.(\d+)([mSMH])", received, re.DOTALL)) is None:
                more = connection.recv(65_536)
                if not more:
                    break
                received += more
            else:
                return int(found[1]) * UNITS_MS[found[2]]
        raise AssertionError("the connection ended without a call")

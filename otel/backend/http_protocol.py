"""uvicorn's HTTP over llhttp, bounded: what is read of a request before its body, or after it, must be short.

llhttp parses in C, at half the processor time of an answer from memory; unlike h11 it keeps a head of any length.
"""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# As h11 has it. What came at once, at most some 256 KiB, is parsed before it is counted.
MAX_HEAD_BYTES: Final = 64 * 1024


class BoundedHttp(HttpToolsProtocol):
    """One connection, on its event loop; a head that goes on for too long is answered with 400, and closed."""

    _head_bytes = 0
    _is_in_head = False

    def data_received(self, data: bytes) -> None:
        """Parse what came, and count what was no body and ended no request: a head, or the trailers of a body."""
        self._is_in_head = True
        super().data_received(data)
        self._head_bytes = self._head_bytes + len(data) if self._is_in_head else 0
        if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The head of the request is longer than {MAX_HEAD_BYTES} bytes.")

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._is_in_head = False
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._is_in_head = False
        super().on_message_complete()

"""A TCP proxy on loopback that counts bytes and can freeze: it sees what no interceptor and no span can."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

_CHUNK_BYTES = 64 * 1024


class TcpProxy:
    """Forwards connections from a free port to `target` (`host:port`). One event loop; use as an async context manager.

    `bytes_to_server` and `bytes_to_client` count what was forwarded. `freeze()` stops forwarding without closing
    anything, as a peer does that lost its network: to both ends the connection looks alive and silent.
    """

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.bytes_to_server = 0
        self.bytes_to_client = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def address(self) -> str:
        """Where clients connect to."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    def freeze(self) -> None:
        """Forward nothing more until `thaw`."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Forward again what came in the meantime, too."""
        self._thawed.set()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: of one that asyncio made here, Python 3.11 reports the cancel as an error.
        connection = asyncio.create_task(self._forward_both(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _forward_both(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_writer: asyncio.StreamWriter | None = None
        try:
            onward_reader, onward_writer = await asyncio.open_connection(self._host, self._port)
            async with asyncio.TaskGroup() as directions:
                directions.create_task(self._forward(reader, onward_writer, to_server=True))
                directions.create_task(self._forward(onward_reader, writer, to_server=False))
        except (OSError, ExceptionGroup):
            pass  # an end that vanished ends its connection, which is all that a proxy has to say
        finally:
            writer.close()
            if onward_writer is not None:  # left open, it would keep a server that stops waiting for it
                onward_writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_server: bool) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            await self._thawed.wait()
            writer.write(chunk)
            await writer.drain()
            if to_server:
                self.bytes_to_server += len(chunk)
            else:
                self.bytes_to_client += len(chunk)
        with suppress(OSError):
            writer.write_eof()

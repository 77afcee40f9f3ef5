"""The proxy between a lesson's client and server: it counts, freezes, and closes in silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tracelab.learn.tcp_proxy import TcpProxy


@pytest.fixture(name="echo")
async def _echo() -> AsyncIterator[str]:
    """A server that gives back what it is sent; its `host:port`."""

    async def give_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(1000):
            writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(give_back, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"{host}:{port}"
    server.close()
    await server.wait_closed()


async def connected(proxy: TcpProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = proxy.address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def test_what_is_forwarded_is_counted_both_ways(echo: str) -> None:
    async with TcpProxy(echo) as proxy:
        reader, writer = await connected(proxy)
        writer.write(b"four")
        writer.write_eof()
        assert await reader.read() == b"four"
        assert (proxy.bytes_to_server, proxy.bytes_to_client) == (4, 4)
        writer.close()


async def test_frozen_it_forwards_nothing_and_thawed_what_came_in_the_meantime(echo: str) -> None:
    async with TcpProxy(echo) as proxy:
        reader, writer = await connected(proxy)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
        proxy.freeze()
        writer.write(b"b")
        answer = asyncio.create_task(reader.readexactly(1))
        await asyncio.wait([answer], timeout=0.05)
        assert (answer.done(), proxy.bytes_to_server) == (False, 1)
        proxy.thaw()
        assert await answer == b"b"
        writer.close()


async def test_closed_with_a_connection_open_it_ends_it_and_reports_nothing(echo: str) -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    async with TcpProxy(echo) as proxy:
        reader, writer = await connected(proxy)
        writer.write(b"a")
        assert await reader.readexactly(1) == b"a"
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert reported == []


async def test_a_server_that_is_not_there_ends_the_connection() -> None:
    async with TcpProxy("127.0.0.1:1") as proxy:
        reader, writer = await connected(proxy)
        assert await reader.read() == b""
        writer.close()

"""Run in a network of its own: a database by TCP, cut off as by a dead switch: nothing answers and nothing refuses.

Arguments: the path of the server's socket, the API. Prints a word for what happened to each call.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import threading
from typing import Final, cast

from services.errors import StoreUnavailableError
from services.options import ApiName
from services.stores.ports import UserDraft
from services.stores.postgres import USER_SCRIPTS, PostgresUserStore
from services.stores.postgres_database import PostgresDatabase
from tests.contract.record_stores import new_schema
from tests.postgres_server import USER

_SET_FLAGS: Final = 0x8914  # SIOCSIFFLAGS of Linux
_IFF_UP: Final = 1


def set_loopback(flags: int) -> None:
    with socket.socket() as device:
        fcntl.ioctl(device, _SET_FLAGS, struct.pack("16sH14x", b"lo", flags))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


def relay(listener: socket.socket, path: str) -> None:
    """Take connections by TCP to where the server listens: a socket in a folder, which networks do not divide."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(path)
        await asyncio.gather(copy(reader, to_server), copy(from_server, writer), return_exceptions=True)

    async def serve() -> None:
        await (await asyncio.start_server(connect, sock=listener)).serve_forever()

    asyncio.run(serve())


async def call(store: PostgresUserStore, user_id: str) -> str:
    try:
        return "served" if await store.get(user_id) else "lost"
    except StoreUnavailableError:
        return "refused"


async def main(path: str, api: ApiName) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=relay, args=(listener, path), daemon=True).start()
    url = f"postgresql://{USER}@127.0.0.1:{listener.getsockname()[1]}/postgres"
    async with PostgresDatabase.opened(url, new_schema(), USER_SCRIPTS, api=api) as database:
        store = PostgresUserStore(database)
        user_id = (await store.create(UserDraft("Alice", "a@b"))).record.user_id
        set_loopback(0)
        print(await call(store, user_id))
        set_loopback(_IFF_UP)
        print(await call(store, user_id))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], cast("ApiName", sys.argv[2])))

"""How many calls gRPC's core has in its hands, by its own books (channelz): also those that no handler has begun.

Nothing else tells of these. The functions are private to grpcio; what they answer is the JSON of channelz.proto, and
`tests/inprocess/services/test_stop_gate.py` holds them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from grpc._cython import cygrpc

PAGE: Final = 500
# A look takes some 0.1 ms for each connection, in which nothing else runs.
MOST_CONNECTIONS: Final = 1_000


def open_stream_count(port: int) -> int:
    """Return how many calls are open on connections to a server of this process that listens on `port`.

    A call counts from the moment at which its headers were read until its end is written, so one that has just been
    answered may still count. 0 where channelz was turned off; of many connections the oldest 1,000 count. Any thread.
    """
    return sum(_open_streams(socket) for socket in _sockets(port))


def _open_streams(socket: Mapping[str, Any]) -> int:
    counts = socket["data"]
    return int(counts["streamsStarted"]) - int(counts["streamsSucceeded"]) - int(counts["streamsFailed"])


def _sockets(port: int) -> Iterator[Mapping[str, Any]]:
    for server in json.loads(cygrpc.channelz_get_servers(0)).get("server", ()):
        for socket_id in islice(_socket_ids(int(server["ref"]["serverId"])), MOST_CONNECTIONS):
            with suppress(ValueError):  # it was closed meanwhile
                socket = json.loads(cygrpc.channelz_get_socket(socket_id))["socket"]
                if socket["local"].get("tcpipAddress", {}).get("port") != port:
                    break  # a server of ours has one port, and all of its connections have it
                yield socket


def _socket_ids(server_id: int) -> Iterator[int]:
    start, is_last = 0, False
    while not is_last:
        try:
            answer = json.loads(cygrpc.channelz_get_server_sockets(server_id, start, PAGE))
        except ValueError:  # the server is gone
            return
        ids = [int(each["socketId"]) for each in answer.get("socketRef", ())]
        yield from ids
        is_last = bool(answer.get("end")) or not ids
        start = ids[-1] + 1 if ids else 0

"""Addresses as gRPC writes them, taken apart: a channel's target and a servicer context's peer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from otel.instrument import semconv

# Connections of one process; the cache is by connection, so that each is parsed once.
PEER_CACHE_SIZE: Final = 512
_DIRECT_SCHEMES: Final = ("ipv4:", "ipv6:")


def target_attributes(target: str) -> Mapping[str, str | int]:
    """Return `server.address` and, where the target names a port, `server.port`.

    Understands `host:port`, `[::1]:port`, `dns:host:port`, `dns:///host:port`, `ipv4:` and `ipv6:`. Anything else (a
    socket path, several addresses, another resolver) is the address as a whole, without a port.
    """
    host, port = _host_and_port(_without_scheme(target))
    if not host or port is None:
        return {semconv.SERVER_ADDRESS: target}
    return {semconv.SERVER_ADDRESS: host, semconv.SERVER_PORT: port}


@lru_cache(maxsize=PEER_CACHE_SIZE)
def peer_attributes(peer: str) -> Mapping[str, str | int]:
    """Return `network.peer.address` and `network.peer.port` of `ipv4:127.0.0.1:50`, `ipv6:%5B::1%5D:50` or `unix:path`.

    A peer in another form (`unknown`, an in-process one) gives nothing rather than a guess.
    """
    if peer.startswith(_DIRECT_SCHEMES):
        host, port = _host_and_port(unquote(peer[5:].split(",", 1)[0]))
        if host and port is not None:
            return {semconv.NETWORK_PEER_ADDRESS: host, semconv.NETWORK_PEER_PORT: port}
    if peer.startswith("unix:") and len(peer) > len("unix:"):
        return {semconv.NETWORK_PEER_ADDRESS: unquote(peer[5:])}
    return {}


def _without_scheme(target: str) -> str:
    if target.startswith(_DIRECT_SCHEMES):
        return target[5:]
    if target.startswith("dns:"):
        rest = target[4:]
        return rest.split("/", 3)[3] if rest.startswith("//") and rest.count("/") >= 3 else rest
    return target


def _host_and_port(text: str) -> tuple[str, int | None]:
    host, colon, port = text.rpartition(":")
    is_port = bool(colon) and port.isascii() and port.isdigit() and int(port) <= 65535
    if not is_port or "," in host or "/" in host:
        return text, None
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    return (host, int(port)) if ":" not in host else (text, None)

"""Keeps what a process sends to its own machine away from an HTTP proxy.

gRPC, like most HTTP clients, asks the proxy that the environment names for loopback addresses too, and a proxy
elsewhere can't reach them. Source: gRPC's doc/environment_variables.md, `no_proxy`.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Final

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_PROXIES: Final = ("grpc_proxy", "http_proxy", "https_proxy", "all_proxy")


def bypass_proxies(environ: MutableMapping[str, str]) -> None:
    """Add loopback to `no_proxy` in a process's environment, if it names a proxy; for a `main()`, before any channel.

    gRPC reads `no_grpc_proxy` in its place where that is set, and never upper case, which other clients do.
    """
    if not any(environ.get(name) or environ.get(name.upper()) for name in _PROXIES):
        return
    exempt = environ.get("no_proxy") or environ.get("NO_PROXY", "")
    environ["no_proxy"] = _with_loopback(exempt)
    if "no_grpc_proxy" in environ:
        environ["no_grpc_proxy"] = _with_loopback(environ["no_grpc_proxy"])


def _with_loopback(exempt: str) -> str:
    listed = [host.strip() for host in exempt.split(",") if host.strip()]
    return ",".join([*listed, *(host for host in LOOPBACK if host not in listed)])

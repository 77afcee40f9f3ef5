"""The guard against DNS rebinding: a backend on a loopback address answers only to names that mean this machine.

Without it a page of another origin could point its own name at 127.0.0.1 and read traces through the browser. Where
the backend is bound to another address on purpose, whoever bound it decides who reaches it, and any name is accepted.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from otel.tls.reach import is_loopback


class HostCheck:
    """Refuses with 403 what was asked for by a name that is not this machine's."""

    def __init__(self, app: ASGIApp, bound_host: str) -> None:
        self._app = app
        self._bound_host = bound_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or refuse it."""
        if scope["type"] == "http" and is_loopback(self._bound_host):
            host = host_name(Headers(scope=scope).get("host", ""))
            if host and host != self._bound_host and not is_loopback(host):
                text = f"403 the host '{host[:80]}' is not this machine; ask for 127.0.0.1 or localhost\n"
                await Response(text, status_code=403, media_type="text/plain")(scope, receive, send)
                return
        await self._app(scope, receive, send)


def host_name(header: str) -> str:
    """Return the name in a Host header, without port and brackets, in lower case."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].rstrip(".").lower()

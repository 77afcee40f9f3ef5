"""gRPC's health service, whose watches end when the server stops.

The library's own watches never end by themselves, so one client with health checking would make every graceful stop
last its whole grace. They hear NOT_SERVING first and are ended later, with the server: a client whose watch ends asks
again at once, and again. Everything else is the library's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health_aio

from services.grpc_api.aio import AIO
from services.grpc_api.ports import Api

if TYPE_CHECKING:
    from services.behaviors import Context

Status = health_pb2.HealthCheckResponse


class EndingHealthServicer(health_aio.HealthServicer):  # type: ignore[misc]  # the library has no types
    """Says NOT_SERVING to each watch when the shutdown begins, and ends them all when it is told to."""

    def __init__(self, api: Api = AIO) -> None:
        super().__init__()
        self._api = api
        self._changed = api.event()
        self._is_ended = False

    async def Watch(  # noqa: N802 - the contract's name
        self,
        request: health_pb2.HealthCheckRequest,
        context: Context,  # noqa: ARG002
    ) -> AsyncGenerator[health_pb2.HealthCheckResponse, None]:
        """Send the status of a service now and whenever it changes; an unknown one is SERVICE_UNKNOWN."""
        last: Any = None
        while True:
            changed = self._changed
            status = self._server_status.get(request.service, Status.SERVICE_UNKNOWN)
            if status != last:
                last = status
                yield Status(status=status)
            if self._is_ended:
                return
            await changed.wait()

    async def set(self, service: str, status: Any) -> None:
        """Set the status of a service; ignored once the shutdown has begun."""
        await super().set(service, status)
        self._tell_watches()

    async def enter_graceful_shutdown(self) -> None:
        """Set every service to NOT_SERVING for good and tell every watch."""
        await super().enter_graceful_shutdown()
        self._tell_watches()

    def end_watches(self) -> None:
        """End every watch, and each new one once it has heard its status."""
        self._is_ended = True
        self._tell_watches()

    def _tell_watches(self) -> None:
        changed, self._changed = self._changed, self._api.event()
        changed.set()

"""The stubs of the three services on traced channels, opened when they are first used."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc.aio

import generated
from clients.call_traces import CallTraces
from generated import order_pb2_grpc, report_pb2_grpc, user_pb2_grpc
from otel.instrument import Telemetry
from otel.tls.credentials import channel_credentials
from otel.tls.files import NO_TLS, TlsFiles

SERVICE_CONFIG_FILE = Path(generated.__file__).with_name("service_config.json")
MOST_RECEIVED_BYTES = 64 * 1024 * 1024  # a page of orders with long notes is larger than gRPC's 4 MiB


class ServiceStubs:
    """One client's stubs. Belongs to the event loop that enters it, and closes its channels when it leaves.

    Raises TlsError for files that TLS can't be spoken with.
    """

    def __init__(self, telemetry: Telemetry, addresses: Mapping[str, str], tls: TlsFiles = NO_TLS) -> None:
        self.traces = CallTraces()
        self._telemetry = telemetry
        self._addresses = addresses
        self._credentials = channel_credentials(tls)
        self._channels: list[grpc.aio.Channel] = []

    @cached_property
    def user(self) -> user_pb2_grpc.UserServiceAsyncStub:
        """UserService."""
        return user_pb2_grpc.UserServiceStub(self._channel("user"))

    @cached_property
    def order(self) -> order_pb2_grpc.OrderServiceAsyncStub:
        """OrderService."""
        return order_pb2_grpc.OrderServiceStub(self._channel("order"))

    @cached_property
    def report(self) -> report_pb2_grpc.ReportServiceAsyncStub:
        """ReportService."""
        return report_pb2_grpc.ReportServiceStub(self._channel("report"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for channel in self._channels:
            await channel.close()

    def _channel(self, service: str) -> grpc.aio.Channel:
        options = [
            ("grpc.service_config", SERVICE_CONFIG_FILE.read_text(encoding="utf-8")),
            ("grpc.max_receive_message_length", MOST_RECEIVED_BYTES),
        ]
        channel = self._telemetry.channel(
            self._addresses[service], self._credentials, options=options, interceptors=self.traces.interceptors()
        )
        self._channels.append(channel)
        return channel

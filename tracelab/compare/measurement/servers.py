"""What answers the calls of a comparison, behind one port: our own services, or servers that are not ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from otel.tls.files import TlsFiles
from tracelab.compare.measurement.client_tracing import ClientTracing
from tracelab.compare.measurement.rpc_variant import RpcVariant
from tracelab.compare.question.variant_options import Load


class Subject(Protocol):
    """What one variant calls, and how hard: a value."""

    @property
    def load(self) -> Load:
        """How hard it is called."""

    @property
    def instrumentation(self) -> str:
        """How the client is traced: corrected, stock or off."""

    @property
    def sampling(self) -> float | None:
        """The share of calls that are traced; None traces all."""

    @property
    def is_tried(self) -> bool:
        """Whether one call may be made beforehand, to see whether it is understood."""

    def in_words(self) -> Mapping[str, str]:
        """Every setting as text, by name."""


class Servers(Protocol):
    """The servers of a comparison, which exist as long as their context. Used from one thread."""

    @property
    def otlp_endpoint(self) -> str:
        """Where telemetry goes."""

    @property
    def query_url(self) -> str:
        """Where traces are read."""

    @property
    def query_token(self) -> str:
        """What reading them takes; "" for nothing."""

    @property
    def query_tls(self) -> TlsFiles:
        """By which files they are read, and sent; NO_TLS for a plain connection."""

    @property
    def store_file(self) -> str:
        """The file that a reader of the traces has to name; "" for none."""

    async def variant(
        self, name: str, subject: Subject, tracing: ClientTracing, restart: int, stage: Callable[[str], None]
    ) -> RpcVariant:
        """Get a variant ready to be called, on servers of that restart's own; 0 where nothing is started anew.

        `stage` hears what takes time. Raises CompareError, StackError and LabError.
        """

    def stop_services(self) -> None:
        """End what was started, so that the next variant starts it anew."""

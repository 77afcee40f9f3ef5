"""Our services as the servers of a comparison: a set for each way of instrumenting, filled with users and orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import grpc.aio

from clients.discovery.defaults import SERVICES
from otel.tls.files import NO_TLS, TlsFiles
from tracelab.compare.measurement.client_tracing import ClientTracing
from tracelab.compare.measurement.population import Population, PopulationSize, populate
from tracelab.compare.measurement.request_sequence import RequestSequence
from tracelab.compare.measurement.rpc_variant import RpcVariant
from tracelab.compare.measurement.servers import Subject
from tracelab.compare.measurement.stack_set import StackSet
from tracelab.compare.question.errors import CompareError
from tracelab.compare.question.rpcs import RPCS, read_requests
from tracelab.compare.question.variant_options import VariantOptions, population_in_words
from tracelab.own.target import Target


@dataclass(slots=True)
class LabServers:
    """Calls `VariantOptions` on the services of a set of stacks, which its owner ends; on some of them, if told so."""

    stack_set: StackSet
    services: tuple[str, ...] = SERVICES
    _populations: dict[tuple[str, PopulationSize], Population] = field(init=False, default_factory=dict)

    @property
    def otlp_endpoint(self) -> str:
        """Where telemetry goes."""
        return self.stack_set.otlp_endpoint

    @property
    def query_url(self) -> str:
        """Where traces are read."""
        return self.stack_set.query_url

    @property
    def query_token(self) -> str:
        """What reading them takes: nothing."""
        return ""

    @property
    def query_tls(self) -> TlsFiles:
        """Our own stack speaks none."""
        return NO_TLS

    @property
    def store_file(self) -> str:
        """The backend's file."""
        return str(self.stack_set.store_file)

    async def variant(
        self, name: str, subject: Subject, tracing: ClientTracing, restart: int, stage: Callable[[str], None]
    ) -> RpcVariant:
        """Start the services of a variant, make its data, and give the variant. Raises CompareError and StackError."""
        assert isinstance(subject, VariantOptions), "our services are called by our options"
        services = _services_of(subject)
        services = _folder_name(f"{services}-{restart}-{name}" if restart else services)
        addresses = self.stack_set.addresses(services, subject.instrumentation, subject.api, self.services)
        key = (services, PopulationSize.of(subject))
        if key not in self._populations:
            stage(f"making {population_in_words(subject)}")
            try:
                self._populations[key] = await populate(addresses, key[1])
            except grpc.aio.AioRpcError as error:
                raise CompareError(f"the data could not be made: {error.details()}") from error
        rpc = RPCS[subject.rpc]
        requests = read_requests(rpc, self._populations[key].request(subject, name), name)
        target = Target(addresses[rpc.service])
        return RpcVariant(subject, rpc, RequestSequence([requests]), target, tracing, fault=subject.fault)

    def stop_services(self) -> None:
        """End every set of services; the next variant starts its own, and makes its data."""
        self.stack_set.stop_services()
        self._populations.clear()


def _services_of(options: VariantOptions) -> str:
    """The name of the set of services that a variant calls."""
    return options.instrumentation if options.api == "aio" else f"{options.instrumentation}-{options.api}"


def _folder_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in name)

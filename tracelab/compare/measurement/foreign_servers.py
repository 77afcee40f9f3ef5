"""Servers that are not ours: those that run, and those that a comparison starts; beside them our own as the control."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

import grpc

from clients.errors import LabError
from otel.tls.files import NO_TLS, TlsFiles
from tracelab.compare.measurement.client_tracing import ClientTracing
from tracelab.compare.measurement.foreign_program import ForeignProgram
from tracelab.compare.measurement.lab_servers import LabServers
from tracelab.compare.measurement.request_sequence import CallRequests, RequestSequence
from tracelab.compare.measurement.rpc_variant import RpcVariant
from tracelab.compare.measurement.servers import Subject
from tracelab.compare.question.errors import UsageError
from tracelab.compare.question.method_call import NUMBER, MethodCall
from tracelab.compare.question.rpcs import Rpc
from tracelab.own.contract import Contract, Method, service_and_method
from tracelab.own.errors import ContractError, RequestDataError
from tracelab.own.reflected import reflected_contract
from tracelab.own.request_data import request_messages
from tracelab.own.session import reflection_failure
from tracelab.own.target import Target

REFLECTION_S = 10.0
_Error = TypeVar("_Error", bound=LabError)


@dataclass(frozen=True, slots=True)
class TelemetryPlace:
    """A backend that the servers send to already. `store_file` is what its readers have to name; "" for nothing."""

    otlp_endpoint: str
    query_url: str
    query_token: str = ""
    store_file: str = ""
    tls: TlsFiles = NO_TLS


@dataclass(slots=True)
class ForeignServers:
    """Calls `MethodCall`s on servers that run or that it starts, and `VariantOptions` on ours. A context manager.

    Their telemetry goes to `place`, or to the backend of `control` where that is None.
    """

    control: LabServers
    environ: Mapping[str, str]
    place: TelemetryPlace | None = None
    _programs: dict[str, ForeignProgram] = field(init=False, default_factory=dict)
    _targets: dict[str, Target] = field(init=False, default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop_programs()

    @property
    def otlp_endpoint(self) -> str:
        """Where telemetry goes."""
        return self.place.otlp_endpoint if self.place else self.control.otlp_endpoint

    @property
    def query_url(self) -> str:
        """Where traces are read."""
        return self.place.query_url if self.place else self.control.query_url

    @property
    def query_token(self) -> str:
        """What reading them takes."""
        return self.place.query_token if self.place else ""

    @property
    def query_tls(self) -> TlsFiles:
        """By which files they are read, and sent."""
        return self.place.tls if self.place else NO_TLS

    @property
    def store_file(self) -> str:
        """The file that a reader of the traces has to name."""
        return self.place.store_file if self.place else self.control.store_file

    async def variant(
        self, name: str, subject: Subject, tracing: ClientTracing, restart: int, stage: Callable[[str], None]
    ) -> RpcVariant:
        """Start what has to be started, ask what it offers, and give the variant.

        Raises CompareError, StackError, and the LabErrors of `tracelab.own` with the server's name in front.
        """
        if not isinstance(subject, MethodCall):
            return await self.control.variant(name, subject, tracing, restart, stage)
        try:
            target = await self._target(name, subject, restart, stage)
            method, contract = await _method(subject, target)
            sequence = RequestSequence(_requests(subject, method, contract))
        except LabError as error:
            raise _of_server(subject.server.name, error) from error
        return RpcVariant(subject, _rpc(method), sequence, target, tracing, metadata=subject.metadata)

    def stop_services(self) -> None:
        """End what was started; the next variant starts its own."""
        self._stop_programs()
        self.control.stop_services()

    async def _target(self, name: str, subject: MethodCall, restart: int, stage: Callable[[str], None]) -> Target:
        server = subject.server
        if not server.command:
            return Target(server.address, subject.tls)
        # With restarts the twin is a process of its own, as every variant is: processes differ.
        key = name if restart else server.name
        if key not in self._targets:
            stage(f"starting {key}")
            folder = self.control.stack_set.home / f"{len(self._programs)}-{restart}"
            self._programs[key] = ForeignProgram.start(
                server, subject.service or "server", self.environ, self.otlp_endpoint, folder
            )
            target = await self._programs[key].target(subject.tls)
            self._refuse_one_address_for_two(key, target)
            self._targets[key] = target
        return self._targets[key]

    def _refuse_one_address_for_two(self, key: str, target: Target) -> None:
        for other, taken in self._targets.items():
            if taken.address == target.address:
                # Python's servers share a port without a word, and its calls go to either.
                hint = "give each a port of its own; with port 0 each finds one"
                raise UsageError(f"{other} and {key} both listen at {target.address}", hint)

    def _stop_programs(self) -> None:
        for program in self._programs.values():
            program.stop()
        self._programs.clear()
        self._targets.clear()


async def _method(subject: MethodCall, target: Target) -> tuple[Method, Contract]:
    contract = subject.contract or await _reflected(subject, target)
    service, name = service_and_method(subject.method, contract.service_names)
    if not name:
        names = ", ".join(method.full_name.rpartition("/")[2] for method in contract.methods_of(service))
        raise ContractError(f"--call: '{subject.method}' names no method", f"{service} has {names}")
    return contract.method(service, name), contract


async def _reflected(subject: MethodCall, target: Target) -> Contract:
    channel = target.channel()
    try:
        return await reflected_contract(channel, target.address, subject.method, REFLECTION_S, subject.metadata)
    except grpc.aio.AioRpcError as error:
        raise reflection_failure(error, target) from error
    finally:
        await channel.close()


def _requests(subject: MethodCall, method: Method, contract: Contract) -> list[CallRequests]:
    requests: list[CallRequests] = []
    for line, text in subject.data.calls:
        filled = text if subject.number is None else text.replace(NUMBER, str(subject.number))
        try:
            requests.append(request_messages(filled, method, contract))
        except RequestDataError as error:
            if not line:
                raise
            # Each line is read for itself, so that the reader's own count of lines is always 1.
            text = str(error).removesuffix(" in line 1")
            raise RequestDataError(f"{subject.data.source}, line {line}: {text}", error.hint) from error
    return requests


def _rpc(method: Method) -> Rpc:
    service, _, name = method.full_name.rpartition("/")
    return Rpc(
        name=f"{service.rpartition('.')[2]}/{name}",
        service=service,
        path=method.path,
        request_class=method.request_type,
        response_class=method.response_type,
        client_streams=method.takes_a_stream,
        server_streams=method.answers_with_a_stream,
    )


def _of_server(name: str, error: _Error) -> _Error:
    return type(error)(f"{name}: {error}", error.hint)

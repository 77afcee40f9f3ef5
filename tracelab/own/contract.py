"""What a service offers, from descriptors that came by reflection or from files: services, methods, message types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodOptions
from google.protobuf.descriptor_pool import Default, DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tracelab.own.errors import ContractError


class RpcKind(StrEnum):
    """Which sides of a call stream."""

    UNARY = "unary"
    SERVER_STREAMING = "server streaming"
    CLIENT_STREAMING = "client streaming"
    BIDIRECTIONAL = "bidirectional"


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a service, with the classes of its messages."""

    full_name: str
    """`pkg.Service/Method`."""
    kind: RpcKind
    request_type: type[Message]
    response_type: type[Message]
    has_no_side_effects: bool = False
    """Whether its contract says so: `idempotency_level = NO_SIDE_EFFECTS`."""

    @property
    def path(self) -> str:
        """The path on the wire, `/pkg.Service/Method`."""
        return f"/{self.full_name}"

    @property
    def takes_a_stream(self) -> bool:
        """Whether the client sends any number of messages."""
        return self.kind in (RpcKind.CLIENT_STREAMING, RpcKind.BIDIRECTIONAL)

    @property
    def answers_with_a_stream(self) -> bool:
        """Whether the server sends any number of messages."""
        return self.kind in (RpcKind.SERVER_STREAMING, RpcKind.BIDIRECTIONAL)


@dataclass(frozen=True, slots=True)
class Contract:
    """The services that were found, by full name, in the pool that knows their types."""

    pool: DescriptorPool
    service_names: tuple[str, ...]

    def methods_of(self, service_name: str) -> tuple[Method, ...]:
        """Give the methods of a service, in the order of its file; none where it is named and nobody described it."""
        try:
            return tuple(_method(method) for method in self.pool.FindServiceByName(service_name).methods)
        except KeyError:
            return ()

    def method(self, service_name: str, method_name: str) -> Method:
        """Find a method; ContractError names the nearest where there is none."""
        service = self._service(service_name)
        method = service.methods_by_name.get(method_name)
        if method is None:
            names = [each.name for each in service.methods]
            raise ContractError(f"{service_name} has no method {method_name!r}", _nearest(method_name, names))
        return _method(method)

    def _service(self, name: str) -> ServiceDescriptor:
        try:
            return self.pool.FindServiceByName(name)
        except KeyError:
            raise ContractError(f"there is no service {name!r}", _nearest(name, self.service_names)) from None


def service_and_method(name: str, service_names: Iterable[str]) -> tuple[str, str]:
    """Read what a person wrote: `pkg.Service/Method`, `pkg.Service.Method`, or a service alone, whose method is "".

    The package may be left out where one service alone is called so. ContractError for what is unknown or unclear.
    """
    known = tuple(service_names)
    written = name.strip().strip("/")
    service_name, slash, method_name = written.partition("/")
    if slash or _called(written, known):
        return _only(service_name, known), method_name
    before, _, last = written.rpartition(".")
    return (_only(before, known), last) if _called(before, known) else (_only(written, known), "")


def _called(name: str, known: tuple[str, ...]) -> list[str]:
    return [name] if name in known else [each for each in known if name and each.endswith(f".{name}")]


def _only(name: str, known: tuple[str, ...]) -> str:
    found = _called(name, known)
    if len(found) > 1:
        raise ContractError(f"several services are called {name!r}", f"name one of {', '.join(found)}")
    if not found:
        raise ContractError(f"there is no service {name!r}", _nearest(name, known))
    return found[0]


def pool_of(files: Mapping[str, FileDescriptorProto]) -> DescriptorPool:
    """Make a pool of its own of files that may come in any order; ContractError for what cannot be linked.

    A well-known import that nobody sent (`google/protobuf/…`) is taken from here.
    """
    known: dict[str, FileDescriptorProto | None] = dict(files)
    for name in _imports(files.values()) - files.keys():
        known[name] = _well_known(name)
    pool = DescriptorPool()
    try:
        order = TopologicalSorter({name: file.dependency if file else () for name, file in known.items()})
        for name in order.static_order():
            file = known.get(name) or _well_known(name)
            if file:
                pool.Add(file)
    except CycleError as error:
        raise ContractError(f"the descriptors do not fit together: {error.args[1][0]} imports itself") from error
    except TypeError as error:  # protobuf's word for a file that does not link
        reason = " ".join(str(error).removeprefix("Couldn't build proto file into descriptor pool: ").split())
        raise ContractError(f"the descriptors do not fit together: {reason}") from error
    return pool


def _imports(files: Iterable[FileDescriptorProto]) -> set[str]:
    return {name for file in files for name in file.dependency}


def _well_known(name: str) -> FileDescriptorProto | None:
    try:
        file = Default().FindFileByName(name)
    except KeyError:
        return None
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    return proto


def _method(method: MethodDescriptor) -> Method:
    kinds = {
        (False, False): RpcKind.UNARY,
        (False, True): RpcKind.SERVER_STREAMING,
        (True, False): RpcKind.CLIENT_STREAMING,
        (True, True): RpcKind.BIDIRECTIONAL,
    }
    return Method(
        full_name=f"{method.containing_service.full_name}/{method.name}",
        kind=kinds[bool(method.client_streaming), bool(method.server_streaming)],
        request_type=GetMessageClass(method.input_type),
        response_type=GetMessageClass(method.output_type),
        has_no_side_effects=method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS,
    )


def _nearest(name: str, known: Iterable[str]) -> str:
    choices = list(known)
    near = get_close_matches(name, choices, n=1, cutoff=0.4)
    if near:
        return f"did you mean {near[0]}?"
    return f"there are {', '.join(choices)}" if choices else ""

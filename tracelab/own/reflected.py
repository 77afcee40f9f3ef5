"""The contract of a server by reflection: `grpc.reflection.v1`, then `v1alpha`.

Servers differ in what they send: some a file with all that it imports, others that file alone, so what is missing is
asked for. Each question is a call of its own with one message, which looks the same on the wire as a stream of one:
where a server refuses a stream at once, `grpc.aio` may say INTERNAL for the status that it got, since a later write
failed. Source: gRPC reflection.proto; its messages are the same in both versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from tracelab.own.contract import Contract, pool_of, service_and_method
from tracelab.own.errors import ContractError, TargetError

VERSIONS: Final = ("grpc.reflection.v1", "grpc.reflection.v1alpha")
NO_REFLECTION_HINT: Final = "name its contract: --proto FILE.proto, or --protoset FILE of protoc --descriptor_set_out"
# Past this a server sends imports without end, or sends ours in circles.
MOST_FILES: Final = 2_000

Metadata = Sequence[tuple[str, str | bytes]]


async def reflected_contract(
    channel: grpc.aio.Channel, target: str, wanted: str, timeout_s: float, metadata: Metadata = ()
) -> Contract:
    """Ask the server behind `channel` for its contract: of the service of the method `wanted`, or of all with "".

    Raises TargetError where it has no reflection, ContractError where it lacks the service, and what the call raises.
    """
    for version in VERSIONS:
        ask = _Asking(channel, version, timeout_s, metadata)
        try:
            names = await _service_names(ask)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            continue
        services = [service_and_method(wanted, names)[0]] if wanted else names
        return Contract(pool_of(await _files(ask, services)), tuple(services))
    raise TargetError(f"{target} does not say what it offers: it has no reflection", NO_REFLECTION_HINT)


class _Asking:
    def __init__(self, channel: grpc.aio.Channel, version: str, timeout_s: float, metadata: Metadata) -> None:
        self._method: Any = channel.unary_unary(
            f"/{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=ServerReflectionRequest.SerializeToString,
            response_deserializer=ServerReflectionResponse.FromString,
        )
        self._timeout_s = timeout_s
        self._metadata = tuple(metadata)

    async def __call__(self, **question: str) -> ServerReflectionResponse:
        call = self._method(ServerReflectionRequest(**question), timeout=self._timeout_s, metadata=self._metadata)
        answer = await call
        if not isinstance(answer, ServerReflectionResponse):  # the library's None for what could not be parsed
            raise ContractError("the server's reflection sent what is no answer")
        return answer


async def _service_names(ask: _Asking) -> list[str]:
    answer = await ask(list_services="*")
    return sorted(service.name for service in answer.list_services_response.service)


async def _files(ask: _Asking, services: Sequence[str]) -> dict[str, FileDescriptorProto]:
    files: dict[str, FileDescriptorProto] = {}
    for service in services:
        answer = await ask(file_containing_symbol=service)
        if answer.HasField("error_response"):
            if len(services) > 1:
                continue  # a server may list what it cannot describe; the others can be called all the same
            raise ContractError(f"the server names {service}, and cannot describe it", NO_REFLECTION_HINT)
        _take(answer, files)
    asked: set[str] = set()
    while missing := {name for file in files.values() for name in file.dependency} - files.keys() - asked:
        for name in sorted(missing):
            asked.add(name)
            _take(await ask(file_by_filename=name), files)
        if len(asked) > MOST_FILES:
            raise ContractError(f"the server's contract has more than {MOST_FILES:,} files")
    return files


def _take(answer: ServerReflectionResponse, files: dict[str, FileDescriptorProto]) -> None:
    for body in answer.file_descriptor_response.file_descriptor_proto:
        try:
            file = FileDescriptorProto.FromString(body)
        except DecodeError as error:
            raise ContractError("the server's reflection sent what is no file descriptor") from error
        files.setdefault(file.name, file)

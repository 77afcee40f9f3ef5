"""Contracts by reflection from servers that differ: one version, one file at a time, none, or nonsense."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import Default
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

from services.reflection import enable_reflection
from tracelab.own.contract import Contract
from tracelab.own.errors import ContractError, TargetError
from tracelab.own.reflected import reflected_contract

ORDER = "tracelab.order.v1.OrderService"
TIMEOUT_S = 5.0
Enable = Callable[[grpc.aio.Server], None]


@asynccontextmanager
async def asked(enable: Enable, wanted: str = "") -> AsyncIterator[Callable[[], Awaitable[Contract]]]:
    server = grpc.aio.server()
    enable(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield lambda: reflected_contract(channel, "here", wanted, TIMEOUT_S)
    await server.stop(None)


class OneFileEach(reflection.aio.ReflectionServicer):  # type: ignore[misc]  # the library is untyped
    """Answers with the file that was asked for alone, as C++ servers do."""

    async def ServerReflectionInfo(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        async for answer in super().ServerReflectionInfo(request_iterator, context):
            if answer.HasField("file_descriptor_response"):
                del answer.file_descriptor_response.file_descriptor_proto[1:]
            yield answer


def both(server: grpc.aio.Server) -> None:
    enable_reflection(server, (ORDER,))


def alpha_only(server: grpc.aio.Server) -> None:
    reflection.enable_server_reflection((ORDER, reflection.SERVICE_NAME), server)


def one_file_each(server: grpc.aio.Server) -> None:
    servicer = OneFileEach((ORDER,))
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)


def undescribed(server: grpc.aio.Server) -> None:
    reflection.enable_server_reflection((ORDER, "acme.Nothing"), server)


@pytest.mark.parametrize("enable", [both, alpha_only, one_file_each, undescribed])
@pytest.mark.parametrize("wanted", ["", "OrderService/GetOrder", ORDER, f"{ORDER}.GetOrder"])
async def test_the_contract_comes_from_every_kind_of_server(enable: Enable, wanted: str) -> None:
    async with asked(enable, wanted) as ask:
        contract = await ask()
    assert ORDER in contract.service_names
    method = contract.method(ORDER, "GetOrder")
    made = method.response_type(order={"order_id": "o1"})
    assert method.response_type.FromString(made.SerializeToString()) == made


async def test_a_server_without_reflection_is_told_from_one_that_does_not_answer() -> None:
    async with asked(lambda server: None) as ask:
        with pytest.raises(TargetError, match="here does not say what it offers: it has no reflection") as caught:
            await ask()
    assert "--proto" in caught.value.hint


async def test_a_service_that_is_named_and_not_described_is_said() -> None:
    async with asked(undescribed, "acme.Nothing/Do") as ask:
        with pytest.raises(ContractError, match=r"the server names acme\.Nothing, and cannot describe it"):
            await ask()


async def test_an_unknown_service_is_refused_with_the_nearest() -> None:
    async with asked(both, "OrdreService/GetOrder") as ask:
        with pytest.raises(ContractError) as caught:
            await ask()
    assert caught.value.hint == f"did you mean {ORDER}?"


def answering(*answers: reflection_pb2.ServerReflectionResponse) -> Enable:
    """A server that gives these answers, whatever is asked, and ends."""

    waiting = iter(answers)

    class Scripted(reflection_pb2_grpc.ServerReflectionServicer):  # type: ignore[misc]  # the library is untyped
        async def ServerReflectionInfo(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
            async for _ in request_iterator:
                answer = next(waiting, None)
                if answer is None:
                    return
                yield answer

    return lambda server: reflection_pb2_grpc.add_ServerReflectionServicer_to_server(Scripted(), server)


def listing(*names: str) -> reflection_pb2.ServerReflectionResponse:
    services = [reflection_pb2.ServiceResponse(name=name) for name in names]
    return reflection_pb2.ServerReflectionResponse(
        list_services_response=reflection_pb2.ListServiceResponse(service=services)
    )


def files(*bodies: bytes) -> reflection_pb2.ServerReflectionResponse:
    return reflection_pb2.ServerReflectionResponse(
        file_descriptor_response=reflection_pb2.FileDescriptorResponse(file_descriptor_proto=bodies)
    )


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        pytest.param([listing(ORDER), files(b"\xff\xff")], "no file descriptor", id="no descriptor"),
        pytest.param(
            [listing(ORDER), files(FileDescriptorProto(name="a", dependency=["b"]).SerializeToString()), files()],
            "do not fit together",
            id="an import that it has not",
        ),
    ],
)
async def test_nonsense_is_refused_in_a_sentence(
    answers: list[reflection_pb2.ServerReflectionResponse], said: str
) -> None:
    async with asked(answering(*answers)) as ask:
        with pytest.raises(ContractError, match=said):
            await ask()


def test_our_own_pool_is_left_as_it_is() -> None:
    assert Default().FindServiceByName(ORDER).full_name == ORDER

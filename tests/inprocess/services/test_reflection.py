"""Reflection, asked as tools of other languages ask it: both versions, and the symbols of methods."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from tests.inprocess.services.shop import TIMEOUT_S, Shop

VERSIONS = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]
SERVICES = {"user": "tracelab.user.v1.UserService", "order": "tracelab.order.v1.OrderService"}
NOT_FOUND = 5
TOOL_TIMEOUT_S = 30


async def answer_of(
    shop: Shop, service: str, version: str, request: ServerReflectionRequest
) -> ServerReflectionResponse:
    async def ask() -> AsyncIterator[ServerReflectionRequest]:
        yield request

    call: grpc.aio.StreamStreamCall[ServerReflectionRequest, ServerReflectionResponse] = shop.channels[
        service
    ].stream_stream(
        f"/{version}/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )(ask(), timeout=TIMEOUT_S)
    (answer,) = [each async for each in call]
    return answer


async def files_with(shop: Shop, version: str, symbol: str, service: str = "order") -> DescriptorPool:
    """A pool with the files that the answer brought, as a client builds it: what is missing cannot be added."""
    answer = await answer_of(shop, service, version, ServerReflectionRequest(file_containing_symbol=symbol))
    assert not answer.HasField("error_response"), answer.error_response
    files = [FileDescriptorProto.FromString(body) for body in answer.file_descriptor_response.file_descriptor_proto]
    pool = DescriptorPool()
    for file in reversed(files):
        pool.Add(file)
    return pool


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("service", SERVICES)
async def test_the_services_are_named_in_both_versions(shop: Shop, service: str, version: str) -> None:
    answer = await answer_of(shop, service, version, ServerReflectionRequest(list_services="*"))
    assert [each.name for each in answer.list_services_response.service] == [
        "grpc.health.v1.Health",
        *VERSIONS,
        SERVICES[service],
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "symbol",
    [
        "tracelab.order.v1.OrderService",
        "tracelab.order.v1.OrderService.StreamOrders",
        "tracelab.order.v1.Order",
        "tracelab.order.v1.Order.user_id",
    ],
    ids=["a service", "a method", "a message", "a field"],
)
async def test_a_symbol_of_any_kind_brings_its_file(shop: Shop, version: str, symbol: str) -> None:
    pool = await files_with(shop, version, symbol)
    assert pool.FindServiceByName("tracelab.order.v1.OrderService").methods_by_name["StreamOrders"].server_streaming


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("listed", ["grpc.health.v1.Health", *VERSIONS])
async def test_every_service_that_is_named_can_be_described(shop: Shop, version: str, listed: str) -> None:
    assert (await files_with(shop, version, listed)).FindServiceByName(listed).full_name == listed


async def test_the_method_of_reflection_itself_takes_messages_of_its_own_version(shop: Shop) -> None:
    pool = await files_with(shop, VERSIONS[0], "grpc.reflection.v1.ServerReflection.ServerReflectionInfo")
    method = pool.FindServiceByName(VERSIONS[0]).methods_by_name["ServerReflectionInfo"]
    assert method.input_type.full_name == "grpc.reflection.v1.ServerReflectionRequest"
    assert method.client_streaming
    assert method.server_streaming


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "symbol", ["tracelab.order.v1.OrderService.Nothing", "nobody.Service.Method", "Nothing", "", ".", "a..b"]
)
async def test_a_symbol_that_nobody_defines_is_not_found(shop: Shop, version: str, symbol: str) -> None:
    request = ServerReflectionRequest(file_containing_symbol=symbol)
    answer = await answer_of(shop, "order", version, request)
    assert (answer.error_response.error_code, answer.original_request) == (NOT_FOUND, request)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_file_is_found_by_its_name(shop: Shop, version: str) -> None:
    name = "grpc/reflection/v1/reflection.proto"
    answer = await answer_of(shop, "user", version, ServerReflectionRequest(file_by_filename=name))
    (body,) = answer.file_descriptor_response.file_descriptor_proto
    assert FileDescriptorProto.FromString(body).name == name


async def output_of(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed, _ = await asyncio.wait_for(process.communicate(), TOOL_TIMEOUT_S)
    assert process.returncode == 0, printed.decode()
    return printed.decode()


@pytest.mark.skipif(shutil.which("grpcurl") is None, reason="grpcurl is not on this machine")
async def test_grpcurl_lists_describes_and_calls_without_a_proto_file(shop: Shop) -> None:
    address = shop.servers["user"].address
    plaintext = ["grpcurl", "-plaintext", "-max-time", "10"]

    listed = await output_of(*plaintext, address, "list", SERVICES["user"])
    described = await output_of(*plaintext, address, "describe", f"{SERVICES['user']}.GetUser")
    everything = await output_of(*plaintext, address, "describe")
    called = await output_of(
        *plaintext, "-d", '{"name": "Ana", "email": "ana@example.org"}', address, f"{SERVICES['user']}/CreateUser"
    )

    assert f"{SERVICES['user']}.GetUser" in listed.splitlines()
    assert "is a method:" in described
    assert all(f"{name} is a service" in everything for name in VERSIONS)
    assert '"name": "Ana"' in called


@pytest.mark.skipif(shutil.which("ghz") is None, reason="ghz is not on this machine")
async def test_ghz_calls_without_a_proto_file(shop: Shop, tmp_path: Path) -> None:
    words = ["--insecure", "--call", f"{SERVICES['user']}.ListUsers", "-d", "{}", "-n", "5", "-c", "1"]

    printed = await output_of("ghz", *words, shop.servers["user"].address)

    assert "[OK]" in printed
    assert "5 responses" in printed

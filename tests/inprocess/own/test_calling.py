"""Calls of all four kinds to a server known by its descriptors alone, and how each ends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message

from tests.inprocess.services.shop import Shop, open_shop
from tracelab.own.calling import CallOptions
from tracelab.own.contract import Contract, Method
from tracelab.own.errors import ContractError, RequestDataError, TargetError
from tracelab.own.session import Asked, Called, Listing
from tracelab.own.status_details import status_details
from tracelab.own.target import Target, Tls

OPTIONS = CallOptions(timeout_s=10.0)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as opened:
        yield opened


class Answers:
    """Collects what arrives."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def __call__(self, message: Message, contract: Contract, method: Method) -> None:
        self.messages.append(message)


def asked(shop: Shop, service: str, name: str, text: str = "{}", options: CallOptions = OPTIONS) -> Asked:
    return Asked(Target(shop.servers[service].address), name, text, options)


async def called(ask: Asked) -> tuple[Called, list[Message]]:
    answers = Answers()
    done = await ask.answered(answers)
    assert isinstance(done, Called)
    return done, answers.messages


async def made_user(shop: Shop) -> str:
    created, messages = await called(
        asked(shop, "user", "UserService/CreateUser", '{"name": "Ana", "email": "a@x.org"}')
    )
    assert created.outcome.is_ok
    return str(messages[0].user.user_id)  # type: ignore[attr-defined]


async def test_all_four_kinds_are_called(shop: Shop) -> None:
    user_id = await made_user(shop)
    streamed, orders = await called(asked(shop, "order", "OrderService/StreamOrders", f'{{"user_ids": ["{user_id}"]}}'))
    imported, results = await called(asked(shop, "order", "OrderService/ImportOrders", "[]"))
    tracked, changes = await called(asked(shop, "order", "OrderService/TrackOrders", "[]"))

    assert [each.outcome.code for each in (streamed, imported, tracked)] == [grpc.StatusCode.OK] * 3
    assert (len(orders), len(results), len(changes)) == (0, 1, 0)
    assert [each.outcome.response_count for each in (streamed, imported, tracked)] == [0, 1, 0]


async def test_a_failed_call_is_an_outcome_with_its_details(shop: Shop) -> None:
    done, messages = await called(asked(shop, "user", "UserService/GetUser", '{"user_id": "nobody"}'))

    assert (done.outcome.code, messages) == (grpc.StatusCode.NOT_FOUND, [])
    (detail,) = status_details(done.outcome.trailing_metadata, done.contract.pool)
    assert (detail["@type"], detail["reason"]) == ("google.rpc.ErrorInfo", "USER_NOT_FOUND")


async def test_a_deadline_that_passes_is_an_outcome(shop: Shop) -> None:
    # TrackOrders answers until it is ended, if it was asked for anything.
    text = '{"subscribe": {"order_ids": ["o1"]}}'
    ask = asked(shop, "order", "OrderService/TrackOrders", text, CallOptions(timeout_s=0.3))
    contract = Contract(Default(), ("tracelab.order.v1.OrderService",))

    done = await Asked(ask.target, ask.name, text, ask.options, contract).answered(Answers())

    assert isinstance(done, Called)
    assert done.outcome.code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.OK)


async def test_without_a_method_the_services_are_listed_and_with_a_service_its_methods(shop: Shop) -> None:
    everything = await asked(shop, "user", "").answered(Answers())
    one = await asked(shop, "user", "UserService").answered(Answers())

    assert isinstance(everything, Listing)
    assert isinstance(one, Listing)
    assert set(everything.services) > {"tracelab.user.v1.UserService", "grpc.reflection.v1.ServerReflection"}
    assert [each.full_name for each in one.services["tracelab.user.v1.UserService"]][:2] == [
        "tracelab.user.v1.UserService/CreateUser",
        "tracelab.user.v1.UserService/GetUser",
    ]


async def test_what_is_wrong_with_the_question_is_said_before_any_call(shop: Shop) -> None:
    with pytest.raises(ContractError, match="has no method 'GetUsers'"):
        await asked(shop, "user", "UserService/GetUsers").answered(Answers())
    with pytest.raises(RequestDataError, match="has no field named"):
        await asked(shop, "user", "UserService/GetUser", '{"x": 1}').answered(Answers())


async def test_a_server_that_is_not_there_or_speaks_otherwise_is_explained(shop: Shop) -> None:
    with pytest.raises(TargetError, match="nothing listens there"):
        await Asked(Target("127.0.0.1:1"), "", "{}", OPTIONS).answered(Answers())
    with pytest.raises(TargetError, match="it does not speak TLS") as caught:
        await Asked(Target(shop.servers["user"].address, Tls()), "", "{}", OPTIONS).answered(Answers())
    assert caught.value.hint == "leave --tls out"


async def test_an_answer_that_is_none_of_the_method_s_type_is_a_failure() -> None:
    async def nonsense(request: bytes, context: object) -> bytes:
        return b"\xff\xff\xff"

    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(nonsense)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("tracelab.user.v1.UserService", {"GetUser": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    contract = Contract(Default(), ("tracelab.user.v1.UserService",))

    done = await Asked(Target(f"127.0.0.1:{port}"), "UserService/GetUser", "{}", OPTIONS, contract).answered(Answers())
    await server.stop(None)

    assert isinstance(done, Called)
    assert (done.outcome.code, done.outcome.message) == (
        grpc.StatusCode.INTERNAL,
        "the answer is no tracelab.user.v1.GetUserResponse",
    )

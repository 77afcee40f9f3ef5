"""UserService by its stub: every RPC, its refusals, and what its log may say."""

from __future__ import annotations

import asyncio
import json
import uuid

import grpc

from generated import user_pb2
from tests.inprocess.services.shop import TIMEOUT_S, Refusal, Shop, refused


async def test_a_created_user_can_be_read(shop: Shop) -> None:
    created = await shop.users.CreateUser(user_pb2.CreateUserRequest(name="Alice", email="a@x.org"), timeout=TIMEOUT_S)
    read = await shop.users.GetUser(user_pb2.GetUserRequest(user_id=created.user.user_id), timeout=TIMEOUT_S)
    assert read.user == created.user
    assert (read.user.name, read.user.email) == ("Alice", "a@x.org")
    assert read.user.create_time == read.user.update_time
    assert read.user.create_time.seconds > 0


async def test_an_unknown_user_is_not_found(shop: Shop) -> None:
    with refused() as failure:
        await shop.users.GetUser(user_pb2.GetUserRequest(user_id="u-404"), timeout=TIMEOUT_S)
    assert failure.seen == Refusal(
        grpc.StatusCode.NOT_FOUND,
        "user 'u-404' does not exist; ListUsers shows those that do",
        "USER_NOT_FOUND",
        "user.tracelab",
        {"user_id": "u-404"},
        {},
    )


async def test_every_bad_field_is_named_and_no_name_or_email_is_quoted(shop: Shop) -> None:
    request = user_pb2.CreateUserRequest(name="", email="secret@@example.org", request_id="abc")
    with refused() as failure:
        await shop.users.CreateUser(request, timeout=TIMEOUT_S)
    assert failure.seen == Refusal(
        grpc.StatusCode.INVALID_ARGUMENT,
        "3 fields are invalid: name, email, request_id",
        "INVALID_FIELDS",
        "user.tracelab",
        {"fields": "name,email,request_id"},
        {
            "name": "must be 1 to 200 characters, is 0",
            "email": "must have exactly one @, has 2",
            "request_id": "must be a UUID, is 'abc'",
        },
    )


async def test_a_repeat_with_the_same_request_id_gets_the_first_answer(shop: Shop) -> None:
    request = user_pb2.CreateUserRequest(name="Alice", email="a@x.org", request_id=str(uuid.uuid4()))
    first, second = await asyncio.gather(
        shop.users.CreateUser(request, timeout=TIMEOUT_S), shop.users.CreateUser(request, timeout=TIMEOUT_S)
    )
    assert first == second
    listed = await shop.users.ListUsers(user_pb2.ListUsersRequest(), timeout=TIMEOUT_S)
    assert list(listed.users) == [first.user]


async def test_a_request_id_with_other_fields_is_refused(shop: Shop) -> None:
    request_id = str(uuid.uuid4())
    request = user_pb2.CreateUserRequest(name="Alice", email="a@x.org", request_id=request_id)
    await shop.users.CreateUser(request, timeout=TIMEOUT_S)
    request.name = "Bob"
    with refused() as failure:
        await shop.users.CreateUser(request, timeout=TIMEOUT_S)
    assert (failure.seen.code, failure.seen.reason, failure.seen.metadata) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "REQUEST_ID_REUSED",
        {"request_id": request_id},
    )


async def test_pages_hold_every_user_once_and_only_the_last_has_no_token(shop: Shop) -> None:
    created = [await shop.user(f"user{number}") for number in range(7)]
    seen: list[str] = []
    tokens: list[str] = []
    request = user_pb2.ListUsersRequest(page_size=3)
    while not tokens or tokens[-1]:
        page = await shop.users.ListUsers(request, timeout=TIMEOUT_S)
        seen += [user.user_id for user in page.users]
        tokens.append(page.next_page_token)
        request.page_token = page.next_page_token
    assert seen == created
    assert [bool(token) for token in tokens] == [True, True, False]


async def test_a_bad_page_is_refused(shop: Shop) -> None:
    with refused() as failure:
        await shop.users.ListUsers(user_pb2.ListUsersRequest(page_size=-1, page_token="zz"), timeout=TIMEOUT_S)
    assert failure.seen.violations == {
        "page_size": "must not be negative, is -1",
        "page_token": "must be empty or the next_page_token of the same list with the same filter",
    }


async def test_an_update_changes_the_fields_that_are_set(shop: Shop) -> None:
    user_id = await shop.user("Alice")
    updated = await shop.users.UpdateUser(
        user_pb2.UpdateUserRequest(user_id=user_id, email="new@x.org"), timeout=TIMEOUT_S
    )
    assert (updated.user.name, updated.user.email) == ("Alice", "new@x.org")
    with refused() as failure:
        await shop.users.UpdateUser(user_pb2.UpdateUserRequest(user_id=user_id, name=""), timeout=TIMEOUT_S)
    assert failure.seen.violations == {"name": "must be 1 to 200 characters, is 0"}


async def test_a_deleted_user_is_gone(shop: Shop) -> None:
    user_id = await shop.user("Alice")
    await shop.users.DeleteUser(user_pb2.DeleteUserRequest(user_id=user_id), timeout=TIMEOUT_S)
    with refused() as failure:
        await shop.users.DeleteUser(user_pb2.DeleteUserRequest(user_id=user_id), timeout=TIMEOUT_S)
    assert failure.seen.reason == "USER_NOT_FOUND"


async def test_a_batch_answers_in_the_order_asked_and_names_the_first_that_is_missing(shop: Shop) -> None:
    alice, bob = await shop.user("Alice"), await shop.user("Bob")
    batch = await shop.users.BatchGetUsers(user_pb2.BatchGetUsersRequest(user_ids=[bob, alice, bob]), timeout=TIMEOUT_S)
    assert [user.user_id for user in batch.users] == [bob, alice, bob]
    with refused() as failure:
        await shop.users.BatchGetUsers(user_pb2.BatchGetUsersRequest(user_ids=[bob, "u-1", "u-2"]), timeout=TIMEOUT_S)
    assert failure.seen.metadata == {"user_id": "u-1"}
    with refused() as failure:
        await shop.users.BatchGetUsers(user_pb2.BatchGetUsersRequest(), timeout=TIMEOUT_S)
    assert failure.seen.violations == {"user_ids": "must be at least 1 id, is 0"}


async def test_a_status_stays_small_however_bad_the_request(shop: Shop) -> None:
    with refused() as failure:
        await shop.users.GetUser(user_pb2.GetUserRequest(user_id="u" * 100_000), timeout=TIMEOUT_S)
    assert len(failure.seen.message) < 200
    with refused() as failure:
        await shop.users.BatchGetUsers(user_pb2.BatchGetUsersRequest(user_ids=[""] * 1_000), timeout=TIMEOUT_S)
    assert failure.seen.message.startswith("1000 fields are invalid: user_ids[0], ")


async def test_no_log_line_quotes_a_name_or_an_email(shop: Shop) -> None:
    user_id = await shop.user("Zebedee")
    await shop.users.UpdateUser(user_pb2.UpdateUserRequest(user_id=user_id, name="Zebulon"), timeout=TIMEOUT_S)
    await shop.users.GetUser(user_pb2.GetUserRequest(user_id=user_id), timeout=TIMEOUT_S)
    text = json.dumps(shop.telemetry.lines())
    assert "user.created" in text
    assert "user.updated" in text
    assert not [word for word in ("Zebedee", "Zebulon", "example.org") if word in text]

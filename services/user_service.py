"""UserService: owns the users and calls no other service.

Run it with `python -m services.user_service`; `--help` names its options.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial

if __name__ == "__main__":
    from otel.tls.core_lines import choose_verbosity

    choose_verbosity(os.environ, sys.argv)  # read when grpc is imported

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from generated import user_pb2, user_pb2_grpc
from services import paging, serving
from services.behaviors import Context
from services.errors import request_id_reused, user_not_found
from services.grpc_api.ports import Api
from services.stores.opening import VARIABLE as STORE_VARIABLE
from services.stores.opening import open_user_store
from services.stores.ports import RequestIdReusedError, UserChanges, UserDraft, UserRecord, UserStore
from services.validation import Violations

log = structlog.get_logger()

DEFAULT_PORT = 50051
LIST_QUERY = "ListUsers"


class UserServicer(user_pb2_grpc.UserServiceServicer):
    """Answers user.proto's calls from a store. Log lines name ids and counts, never a name or an email."""

    def __init__(self, store: UserStore) -> None:
        self._store = store

    async def CreateUser(self, request: user_pb2.CreateUserRequest, context: Context) -> user_pb2.CreateUserResponse:
        """Fulfil the contract's CreateUser."""
        violations = Violations()
        violations.name("name", request.name)
        violations.email("email", request.email)
        violations.request_id("request_id", request.request_id)
        violations.raise_if_any()
        try:
            created = await self._store.create(UserDraft(request.name, request.email), request.request_id)
        except RequestIdReusedError as error:
            raise request_id_reused(error.request_id) from error
        log.info("user.created", user_id=created.record.user_id, is_repeat=not created.is_new)
        return user_pb2.CreateUserResponse(user=user_message(created.record))

    async def GetUser(self, request: user_pb2.GetUserRequest, context: Context) -> user_pb2.GetUserResponse:
        """Fulfil the contract's GetUser."""
        _require_user_id(request.user_id)
        record = await self._store.get(request.user_id)
        if record is None:
            raise user_not_found(request.user_id)
        log.info("user.read", user_id=record.user_id)
        return user_pb2.GetUserResponse(user=user_message(record))

    async def ListUsers(self, request: user_pb2.ListUsersRequest, context: Context) -> user_pb2.ListUsersResponse:
        """Fulfil the contract's ListUsers."""
        violations = Violations()
        limit = paging.page_limit(violations, request.page_size)
        position = paging.page_position(violations, request.page_token, LIST_QUERY)
        violations.raise_if_any()
        page = await self._store.page(position, limit)
        log.info("user.listed", user_count=len(page.records), is_last_page=page.next_position is None)
        return user_pb2.ListUsersResponse(
            users=map(user_message, page.records),
            next_page_token=paging.next_page_token(page.next_position, LIST_QUERY),
        )

    async def UpdateUser(self, request: user_pb2.UpdateUserRequest, context: Context) -> user_pb2.UpdateUserResponse:
        """Fulfil the contract's UpdateUser."""
        changes = _changes(request)
        record = await self._store.update(request.user_id, changes)
        if record is None:
            raise user_not_found(request.user_id)
        fields = [field for field in ("name", "email") if request.HasField(field)]
        log.info("user.updated", user_id=record.user_id, fields=fields)
        return user_pb2.UpdateUserResponse(user=user_message(record))

    async def DeleteUser(self, request: user_pb2.DeleteUserRequest, context: Context) -> user_pb2.DeleteUserResponse:
        """Fulfil the contract's DeleteUser."""
        _require_user_id(request.user_id)
        if not await self._store.delete(request.user_id):
            raise user_not_found(request.user_id)
        log.info("user.deleted", user_id=request.user_id)
        return user_pb2.DeleteUserResponse()

    async def BatchGetUsers(
        self, request: user_pb2.BatchGetUsersRequest, context: Context
    ) -> user_pb2.BatchGetUsersResponse:
        """Fulfil the contract's BatchGetUsers."""
        violations = Violations()
        if not request.user_ids:
            violations.add("user_ids", "must be at least 1 id, is 0")
        violations.ids("user_ids", request.user_ids)
        violations.raise_if_any()
        found = await self._store.get_many(request.user_ids)
        for user_id in request.user_ids:
            if user_id not in found:
                raise user_not_found(user_id)
        log.info("user.batch_read", user_count=len(request.user_ids))
        return user_pb2.BatchGetUsersResponse(users=[user_message(found[user_id]) for user_id in request.user_ids])


def user_message(record: UserRecord) -> user_pb2.User:
    """Return a user as its message."""
    user = user_pb2.User(user_id=record.user_id, name=record.name, email=record.email)
    _set_time(user.create_time, record.create_time_unix_nano)
    _set_time(user.update_time, record.update_time_unix_nano)
    return user


def _set_time(timestamp: Timestamp, time_unix_nano: int) -> None:
    timestamp.seconds, timestamp.nanos = divmod(time_unix_nano, 1_000_000_000)


def _require_user_id(user_id: str) -> None:
    violations = Violations()
    violations.required("user_id", user_id)
    violations.raise_if_any()


def _changes(request: user_pb2.UpdateUserRequest) -> UserChanges:
    violations = Violations()
    violations.required("user_id", request.user_id)
    name = request.name if request.HasField("name") else None
    email = request.email if request.HasField("email") else None
    if name is not None:
        violations.name("name", name)
    if email is not None:
        violations.email("email", email)
    violations.raise_if_any()
    return UserChanges(name, email)


def user_service(store: UserStore) -> serving.Service:
    """Return UserService over a store, ready to serve."""
    return serving.Service(
        name="user",
        service_names=(user_pb2.DESCRIPTOR.services_by_name["UserService"].full_name,),
        add_to=partial(user_pb2_grpc.add_UserServiceServicer_to_server, UserServicer(store)),
    )


async def _serve(
    options: serving.ServingOptions, telemetry: serving.Telemetry, environ: Mapping[str, str], api: Api
) -> None:
    async with open_user_store(environ.get(STORE_VARIABLE, ""), telemetry.tracer, api.name) as store:
        await serving.serve(user_service(store), options, telemetry, api)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run UserService until it is told to stop; return the exit code."""
    return serving.run("user", DEFAULT_PORT, _serve, arguments, os.environ)


if __name__ == "__main__":
    sys.exit(main())

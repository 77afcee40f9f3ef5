"""`lab user`: every RPC of UserService."""

from __future__ import annotations

import uuid
from typing import Annotated

import typer

from clients.commands.calls import (
    DEFAULT_TIMEOUT_S,
    FaultOption,
    JsonOption,
    PageSizeOption,
    PageTokenOption,
    RequestIdOption,
    TimeoutOption,
    as_json,
    call,
    reach,
)
from clients.output import print_json, table
from generated import user_pb2

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Call UserService: every RPC, each call a trace.

    \b
      lab user create --name Alice --email a@x
      lab user list
      lab user get USER_ID --json
    """,
)
app.callback()(reach)

UserId = Annotated[str, typer.Argument(metavar="USER_ID", help="The user, by id.")]


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="1 to 200 characters.")],
    email: Annotated[str, typer.Option("--email", metavar="EMAIL", help="With one @.")],
    request_id: RequestIdOption = None,
    timeout_s: TimeoutOption = DEFAULT_TIMEOUT_S,
    faults: FaultOption = None,
    is_json: JsonOption = False,
) -> None:
    """Create a user.

    \b
      lab user create --name Alice --email a@x
    """
    request = user_pb2.CreateUserRequest(name=name, email=email, request_id=request_id or str(uuid.uuid4()))
    answer = call(lambda stubs: stubs.user.CreateUser(request, timeout=timeout_s), faults)
    print_json(as_json(answer)) if is_json else _show([answer.user])


@app.command()
def get(
    user_id: UserId,
    timeout_s: TimeoutOption = DEFAULT_TIMEOUT_S,
    faults: FaultOption = None,
    is_json: JsonOption = False,
) -> None:
    """Show one user.

    \b
      lab user get USER_ID
    """
    request = user_pb2.GetUserRequest(user_id=user_id)
    answer = call(lambda stubs: stubs.user.GetUser(request, timeout=timeout_s), faults)
    print_json(as_json(answer)) if is_json else _show([answer.user])


@app.command("list")
def list_users(
    page_size: PageSizeOption = 0,
    page_token: PageTokenOption = "",
    timeout_s: TimeoutOption = DEFAULT_TIMEOUT_S,
    faults: FaultOption = None,
    is_json: JsonOption = False,
) -> None:
    """List users in order of creation, a page at a time.

    \b
      lab user list --page-size 20
    """
    request = user_pb2.ListUsersRequest(page_size=page_size, page_token=page_token)
    answer = call(lambda stubs: stubs.user.ListUsers(request, timeout=timeout_s), faults)
    if is_json:
        print_json(as_json(answer))
        return
    _show(list(answer.users))
    if answer.next_page_token:
        print(f"more: ./lab user list --page-token {answer.next_page_token}")


@app.command()
def update(
    user_id: UserId,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="The new name.")] = None,
    email: Annotated[str | None, typer.Option("--email", metavar="EMAIL", help="The new email.")] = None,
    timeout_s: TimeoutOption = DEFAULT_TIMEOUT_S,
    faults: FaultOption = None,
    is_json: JsonOption = False,
) -> None:
    """Change what is given, and leave the rest.

    \b
      lab user update USER_ID --email new@x
    """
    request = user_pb2.UpdateUserRequest(user_id=user_id, name=name, email=email)
    answer = call(lambda stubs: stubs.user.UpdateUser(request, timeout=timeout_s), faults)
    print_json(as_json(answer)) if is_json else _show([answer.user])


@app.command()
def delete(
    user_id: UserId,
    timeout_s: TimeoutOption = DEFAULT_TIMEOUT_S,
    faults: FaultOption = None,
    is_json: JsonOption = False,
) -> None:
    """Delete a user; the user's orders stay.

    \b
      lab user delete USER_ID
    """
    request = user_pb2.DeleteUserRequest(user_id=user_id)
    answer = call(lambda stubs: stubs.user.DeleteUser(request, timeout=timeout_s), faults)
    print_json(as_json(answer)) if is_json else print(f"deleted {user_id}")


@app.command("batch-get")
def batch_get(
    user_ids: Annotated[list[str], typer.Argument(metavar="USER_ID...", help="The users, by id.")],
    timeout_s: TimeoutOption = DEFAULT_TIMEOUT_S,
    faults: FaultOption = None,
    is_json: JsonOption = False,
) -> None:
    """Show several users in the order asked for, all or none.

    \b
      lab user batch-get USER_ID USER_ID
    """
    request = user_pb2.BatchGetUsersRequest(user_ids=user_ids)
    answer = call(lambda stubs: stubs.user.BatchGetUsers(request, timeout=timeout_s), faults)
    print_json(as_json(answer)) if is_json else _show(list(answer.users))


def _show(users: list[user_pb2.User]) -> None:
    table(("user", "name", "email"), [(user.user_id, user.name, user.email) for user in users])

"""`lab order`: every RPC of OrderService, of all four kinds."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated

import typer

from clients.commands import order_streams
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
from clients.commands.order_view import show_orders, status_value
from clients.errors import WrongUsageError
from clients.money import parse_amount
from clients.output import print_json
from clients.word_completion import one_of
from generated import order_pb2

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Call OrderService: every RPC, unary and streaming.

    \b
      lab order create --user-id USER_ID --amount 40.0
      lab order list --user-id USER_ID
      lab order import orders.csv
      lab order watch --user-id USER_ID
    """,
)
app.callback()(reach)

OrderId = Annotated[str, typer.Argument(metavar="ORDER_ID", help="The order, by id.")]
UserIds = Annotated[
    list[str] | None, typer.Option("--user-id", metavar="USER_ID", help="Only orders of this user; may be repeated.")
]
NoteFile = Annotated[
    Path | None,
    typer.Option("--note-file", metavar="FILE", exists=True, dir_okay=False, help="The note as a file, up to 1 MiB."),
]
STREAM_TIMEOUT_S = 60.0


@app.command()
def create(
    user_id: Annotated[str, typer.Option("--user-id", metavar="USER_ID", help="Who orders.")],
    amount: Annotated[str, typer.Option("--amount", metavar="AMOUNT", help="As shown, such as 40.0.")],
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Free text.")] = None,
    note_file: NoteFile = None,
    request_id: RequestIdOption = None,
    timeout_s: TimeoutOption = DEFAULT_TIMEOUT_S,
    faults: FaultOption = None,
    is_json: JsonOption = False,
) -> None:
    """Create an order of an existing user.

    \b
      lab order create --user-id USER_ID --amount 40.0
    """
    try:
        amount_minor_units = parse_amount(amount)
    except ValueError as error:
        raise WrongUsageError(f"--amount: {error}") from error
    request = order_pb2.CreateOrderRequest(
        user_id=user_id,
        amount_minor_units=amount_minor_units,
        note=_note(note, note_file) or "",
        request_id=request_id or str(uuid.uuid4()),
    )
    answer = call(lambda stubs: stubs.order.CreateOrder(request, timeout=timeout_s), faults)
    print_json(as_json(answer)) if is_json else show_orders([answer.order])


@app.command()
def get(
    order_id: OrderId,
    timeout_s: TimeoutOption = DEFAULT_TIMEOUT_S,
    faults: FaultOption = None,
    is_json: JsonOption = False,
) -> None:
    """Show one order.

    \b
      lab order get ORDER_ID
    """
    request = order_pb2.GetOrderRequest(order_id=order_id)
    answer = call(lambda stubs: stubs.order.GetOrder(request, timeout=timeout_s), faults)
    print_json(as_json(answer)) if is_json else show_orders([answer.order])


@app.command("list")
def list_orders(
    user_id: UserIds = None,
    page_size: PageSizeOption = 0,
    page_token: PageTokenOption = "",
    timeout_s: TimeoutOption = DEFAULT_TIMEOUT_S,
    faults: FaultOption = None,
    is_json: JsonOption = False,
) -> None:
    """List orders in order of creation, a page at a time.

    \b
      lab order list --user-id USER_ID
    """
    request = order_pb2.ListOrdersRequest(user_ids=user_id or [], page_size=page_size, page_token=page_token)
    answer = call(lambda stubs: stubs.order.ListOrders(request, timeout=timeout_s), faults)
    if is_json:
        print_json(as_json(answer))
        return
    show_orders(list(answer.orders))
    if answer.next_page_token:
        same = "".join(f" --user-id {one}" for one in user_id or [])
        print(f"more: ./lab order list{same} --page-token {answer.next_page_token}")


@app.command()
def update(
    order_id: OrderId,
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            autocompletion=one_of("pending", "paid", "shipped", "cancelled"),
            help="pending, paid, shipped or cancelled.",
        ),
    ] = None,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="The new note.")] = None,
    note_file: NoteFile = None,
    timeout_s: TimeoutOption = DEFAULT_TIMEOUT_S,
    faults: FaultOption = None,
    is_json: JsonOption = False,
) -> None:
    """Change an order's status or note; its watchers are told.

    \b
      lab order update ORDER_ID --status paid
    """
    request = order_pb2.UpdateOrderRequest(order_id=order_id, note=_note(note, note_file))
    if status is not None:
        request.status = status_value(status)
    answer = call(lambda stubs: stubs.order.UpdateOrder(request, timeout=timeout_s), faults)
    print_json(as_json(answer)) if is_json else show_orders([answer.order])


@app.command()
def stream(
    user_id: UserIds = None,
    timeout_s: TimeoutOption = STREAM_TIMEOUT_S,
    faults: FaultOption = None,
    is_json: JsonOption = False,
) -> None:
    """Stream orders as the service sends them (server streaming); with --json one object on each line.

    \b
      lab order stream
      lab order stream --user-id USER_ID --json
    """
    request = order_pb2.StreamOrdersRequest(user_ids=user_id or [])
    call(lambda stubs: order_streams.stream(stubs, request, timeout_s, is_json=is_json), faults)


@app.command("import")
def import_orders(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", exists=True, dir_okay=False, help="The orders.")],
    stop_on_first_error: Annotated[
        bool, typer.Option("--stop-on-first-error", help="Read no further than a bad one.")
    ] = False,
    timeout_s: TimeoutOption = STREAM_TIMEOUT_S,
    faults: FaultOption = None,
    is_json: JsonOption = False,
) -> int:
    """Create an order for each line of a CSV file (client streaming). Exits with 1 if one was rejected.

    The file's first line names the columns: user_id, amount (as shown, such as 40.0) and, if wanted, note.

    \b
      lab order import orders.csv
    """
    answer, failure = call(
        lambda stubs: order_streams.import_file(stubs, file, timeout_s, stop_on_first_error=stop_on_first_error),
        faults,
    )
    print_json(as_json(answer)) if is_json else order_streams.show_import(answer)
    if failure:
        raise WrongUsageError(failure, "mend that line, save the file as CSV in UTF-8, and import the rest")
    return 1 if answer.rejected_count else 0


@app.command()
def watch(
    order_ids: Annotated[list[str] | None, typer.Argument(metavar="ORDER_ID", help="Watch these orders.")] = None,
    user_id: Annotated[str, typer.Option("--user-id", metavar="USER_ID", help="Watch all orders of this user.")] = "",
    count: Annotated[
        int, typer.Option("--count", metavar="COUNT", min=0, help="Stop after so many changes; 0 never does.")
    ] = 0,
    timeout_s: TimeoutOption = 3600.0,
    faults: FaultOption = None,
    is_json: JsonOption = False,
) -> None:
    """Show each change of orders as it happens (bidirectional streaming), until Ctrl-C or the deadline.

    \b
      lab order watch --user-id USER_ID
      lab order watch ORDER_ID --count 1 --json
    """
    if not order_ids and not user_id:
        raise WrongUsageError("nothing to watch was named", "give order ids, or --user-id")
    selection = order_pb2.OrderSelection(order_ids=order_ids or [], user_id=user_id)
    call(lambda stubs: order_streams.watch(stubs, selection, timeout_s, count, is_json=is_json), faults)


def _note(text: str | None, file: Path | None) -> str | None:
    """The note that was typed, or that a file holds; None where there is neither."""
    if file is None:
        return text
    if text is not None:
        raise WrongUsageError("--note and --note-file are both given", "a note is one of them")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise WrongUsageError(f"--note-file: {file} is not UTF-8", "save it in UTF-8") from error

"""`lab report`: every RPC of ReportService."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from clients.commands.calls import DEFAULT_TIMEOUT_S, FaultOption, JsonOption, TimeoutOption, as_json, call, reach
from clients.errors import WrongUsageError
from clients.money import format_money
from clients.output import print_json, table
from clients.word_completion import one_of
from generated import report_pb2

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Call ReportService, which asks the other two.

    \b
      lab report user USER_ID
      lab report top --strategy batch
    """,
)
app.callback()(reach)

_PREFIX: Final = "TOP_USERS_STRATEGY_"


@app.command()
def user(
    user_id: Annotated[str, typer.Argument(metavar="USER_ID", help="The user, by id.")],
    timeout_s: TimeoutOption = DEFAULT_TIMEOUT_S,
    faults: FaultOption = None,
    is_json: JsonOption = False,
) -> None:
    """Sum up one user's orders.

    \b
      lab report user USER_ID
    """
    request = report_pb2.GetUserReportRequest(user_id=user_id)
    answer = call(lambda stubs: stubs.report.GetUserReport(request, timeout=timeout_s), faults)
    print_json(as_json(answer)) if is_json else _show([answer.report])


@app.command()
def top(
    limit: Annotated[int, typer.Option("--limit", metavar="COUNT", help="At most this many; 0 means 10.")] = 0,
    user_id: Annotated[
        list[str] | None, typer.Option("--user-id", metavar="USER_ID", help="Rank only these; may be repeated.")
    ] = None,
    strategy: Annotated[
        str,
        typer.Option(
            "--strategy",
            metavar="STRATEGY",
            autocompletion=one_of("sequential", "concurrent", "batch", "streaming"),
            help="sequential, concurrent, batch or streaming: same answer, other cost.",
        ),
    ] = "",
    timeout_s: TimeoutOption = DEFAULT_TIMEOUT_S,
    faults: FaultOption = None,
    is_json: JsonOption = False,
) -> None:
    """Rank users by number of orders, then by total, then by name.

    \b
      lab report top --limit 3
      lab report top --strategy sequential
    """
    request = report_pb2.TopUsersRequest(limit=limit, user_ids=user_id or [], strategy=_strategy(strategy))
    answer = call(lambda stubs: stubs.report.TopUsers(request, timeout=timeout_s), faults)
    print_json(as_json(answer)) if is_json else _show(list(answer.users))


def _strategy(name: str) -> report_pb2.TopUsersStrategy.ValueType:
    values = report_pb2.TopUsersStrategy
    if not name:
        return values.Value(f"{_PREFIX}UNSPECIFIED")
    known = [key.removeprefix(_PREFIX).lower() for key, value in values.items() if value]
    if name.lower() not in known:
        raise WrongUsageError(f"--strategy: {name!r} is not one of {', '.join(known)}")
    return values.Value(_PREFIX + name.upper())


def _show(reports: list[report_pb2.UserReport]) -> None:
    rows = [
        (report.user_id, report.user_name, str(report.order_count), format_money(report.total_minor_units))
        for report in reports
    ]
    table(("user", "name", "orders>", "total>"), rows)

"""The streaming calls of `lab order`: each stream has a deadline, and is cancelled when we leave it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

from clients.commands.calls import as_json
from clients.commands.order_csv import OrderFile, opened_rows
from clients.commands.order_view import order_line, status_name
from clients.output import note
from clients.service_stubs import ServiceStubs
from generated import order_pb2


async def stream(
    stubs: ServiceStubs, request: order_pb2.StreamOrdersRequest, timeout_s: float, *, is_json: bool
) -> None:
    """Print orders as they arrive."""
    call = stubs.order.StreamOrders(request, timeout=timeout_s)
    try:
        async for answer in call:
            print(_json_line(answer) if is_json else order_line(answer.order), flush=True)
    finally:
        call.cancel()


async def watch(
    stubs: ServiceStubs, selection: order_pb2.OrderSelection, timeout_s: float, count: int, *, is_json: bool
) -> None:
    """Print changes as they are pushed, at most `count` of them (0: no limit)."""
    is_done = asyncio.Event()

    async def requests() -> AsyncIterator[order_pb2.TrackOrdersRequest]:
        yield order_pb2.TrackOrdersRequest(subscribe=selection)
        await is_done.wait()  # ending our half is how the service knows that we are leaving

    call = stubs.order.TrackOrders(requests(), timeout=timeout_s)
    seen = 0
    try:
        async for answer in call:
            seen += answer.HasField("changed")
            if is_json:
                print(_json_line(answer), flush=True)
            elif answer.HasField("changed"):
                print(_change_line(answer.changed), flush=True)
            else:
                note("watching; Ctrl-C ends it")
            if count and seen >= count:
                is_done.set()  # and read on to the end of the stream, so that it ends OK
    finally:
        is_done.set()
        call.cancel()


async def import_file(
    stubs: ServiceStubs, file: Path, timeout_s: float, *, stop_on_first_error: bool
) -> tuple[order_pb2.ImportOrdersResponse, str]:
    """Send the orders of a CSV file while it is read; gives the answer, and why reading stopped early ("": it didn't).

    WrongUsageError where the file can't be read at all.
    """
    orders = OrderFile(file, stop_on_first_error)
    with opened_rows(file) as rows:
        answer = await stubs.order.ImportOrders(orders.requests(rows), timeout=timeout_s)
    orders.explain(answer)
    return answer, orders.failure


def show_import(answer: order_pb2.ImportOrdersResponse) -> None:
    """Print what became of each line, then the counts."""
    for result in answer.results:
        what = order_line(result.order)
        if result.HasField("rejection"):
            what = f"rejected  {result.rejection.reason}: {result.rejection.message}"
        print(f"{result.message_number:>4}  {what}")
    print(f"{answer.created_count} created, {answer.rejected_count} rejected")


def _change_line(changed: order_pb2.OrderChanged) -> str:
    before = status_name(changed.previous_status) if changed.previous_status else "new"
    missed = f"  ({changed.missed_count} changes before it were missed)" if changed.missed_count else ""
    return f"{order_line(changed.order)}  (was {before}){missed}"


def _json_line(answer: order_pb2.StreamOrdersResponse | order_pb2.TrackOrdersResponse) -> str:
    return json.dumps(as_json(answer), ensure_ascii=False)

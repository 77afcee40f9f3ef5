"""Orders as a person reads them: a status in lower case, money with its decimals."""

from __future__ import annotations

from clients.errors import WrongUsageError
from clients.money import format_money
from clients.output import table
from generated import order_pb2

_PREFIX = "ORDER_STATUS_"


def status_name(status: order_pb2.OrderStatus.ValueType) -> str:
    """Name a status: `paid`."""
    return order_pb2.OrderStatus.Name(status).removeprefix(_PREFIX).lower()


def status_value(name: str) -> order_pb2.OrderStatus.ValueType:
    """Read a status; WrongUsageError for a word that is none."""
    known = {status_name(value): value for value in order_pb2.OrderStatus.values() if value}
    if name.lower() not in known:
        raise WrongUsageError(f"--status: {name!r} is not one of {', '.join(known)}")
    return known[name.lower()]


def show_orders(orders: list[order_pb2.Order]) -> None:
    """Print orders as a table."""
    rows = [
        (order.order_id, order.user_id, format_money(order.amount_minor_units), status_name(order.status), order.note)
        for order in orders
    ]
    table(("order", "user", "amount>", "status", "note"), rows)


def order_line(order: order_pb2.Order) -> str:
    """One order on one line, for streams."""
    return f"{order.order_id}  {order.user_id}  {format_money(order.amount_minor_units)}  {status_name(order.status)}"

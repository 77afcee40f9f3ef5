"""Orders as the wire shows them: the one place that turns records into messages, and drafts out of requests."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from generated import order_pb2
from services.stores.ports import OrderDraft, OrderRecord
from services.validation import Violations


def order_message(record: OrderRecord) -> order_pb2.Order:
    """Return an order as its message."""
    return order_pb2.Order(
        order_id=record.order_id,
        user_id=record.user_id,
        amount_minor_units=record.amount_minor_units,
        status=order_pb2.OrderStatus.ValueType(record.status),
        note=record.note,
        create_time=timestamp(record.create_time_unix_nano),
        update_time=timestamp(record.update_time_unix_nano),
    )


def timestamp(time_unix_nano: int) -> Timestamp:
    """Return a moment as its message."""
    seconds, nanos = divmod(time_unix_nano, 1_000_000_000)
    return Timestamp(seconds=seconds, nanos=nanos)


def order_draft(request: order_pb2.CreateOrderRequest | order_pb2.ImportOrdersRequest) -> OrderDraft:
    """Return the order that a request asks for; raise InvalidFieldsError if it may not be."""
    violations = Violations()
    violations.required("user_id", request.user_id)
    violations.amount("amount_minor_units", request.amount_minor_units)
    violations.note("note", request.note)
    violations.request_id("request_id", request.request_id)
    violations.raise_if_any()
    return OrderDraft(request.user_id, request.amount_minor_units, request.note)

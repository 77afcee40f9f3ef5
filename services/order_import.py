"""ImportOrders: one order for each message, one result for each message, in their order.

A bad message is rejected in its result and costs no other its place; so does a UserService that fails for one of them.
Orders are kept one by one: what was created before the client went away stays, and the same `request_id`s make the
repeat safe. The answer holds every result, so it grows with the import: 4 MiB is what a client takes unless told more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from generated import order_pb2
from services.errors import DomainError
from services.order_messages import order_draft, order_message
from services.stores.ports import OrderDraft, OrderRecord

log = structlog.get_logger()

CreateOrder = Callable[[OrderDraft, str], Awaitable[OrderRecord]]


async def import_orders(
    requests: AsyncIterator[order_pb2.ImportOrdersRequest], create: CreateOrder
) -> order_pb2.ImportOrdersResponse:
    """Create what the messages ask for by `create` (draft, request id), which raises DomainError to refuse.

    Reads the next message when the one before is done. With the first message's `stop_on_first_error` it returns after
    the first rejection and reads no further; the rest is never taken from the wire's buffers.
    """
    response = order_pb2.ImportOrdersResponse()
    stops = False
    number = 0
    async for request in requests:
        number += 1
        stops = request.stop_on_first_error if number == 1 else stops
        result = await _result_of(number, request, create)
        response.results.append(result)
        if result.HasField("order"):
            response.created_count += 1
        else:
            response.rejected_count += 1
            if stops:
                break
    log.info("order.imported", created_count=response.created_count, rejected_count=response.rejected_count)
    return response


async def _result_of(
    number: int, request: order_pb2.ImportOrdersRequest, create: CreateOrder
) -> order_pb2.ImportOrderResult:
    try:
        record = await create(order_draft(request), request.request_id)
    except DomainError as error:
        log.info("order.rejected", reason=error.reason, message_number=number)
        rejection = order_pb2.ImportRejection(reason=error.reason, message=_sentence(error))
        return order_pb2.ImportOrderResult(message_number=number, rejection=rejection)
    return order_pb2.ImportOrderResult(message_number=number, order=order_message(record))


def _sentence(error: DomainError) -> str:
    violations = "; ".join(f"{each.field} {each.description}" for each in getattr(error, "violations", ()))
    return violations or error.message

"""Fills a lesson's services with users and orders, outside any trace that the lesson looks at."""

from __future__ import annotations

import asyncio

from generated.order_pb2 import ImportOrdersRequest
from generated.order_pb2_grpc import OrderServiceStub
from generated.user_pb2 import CreateUserRequest
from generated.user_pb2_grpc import UserServiceStub
from tracelab.learn.lab import Lab

FILL_TIMEOUT_S = 20.0


async def fill_shop(lab: Lab, *, users: int, orders_per_user: int) -> list[str]:
    """Create users and their orders and return the users' ids. Amounts differ, so that rankings are decided."""
    user_stub = UserServiceStub(lab.channel("user"))
    requests = [
        CreateUserRequest(name=f"User {number:03}", email=f"user{number}@example.org") for number in range(users)
    ]
    created = await asyncio.gather(*(user_stub.CreateUser(request, timeout=FILL_TIMEOUT_S) for request in requests))
    user_ids = [answer.user.user_id for answer in created]
    if orders_per_user:
        orders = (
            ImportOrdersRequest(user_id=user_id, amount_minor_units=1000 + 10 * place)
            for place, user_id in enumerate(user_ids)
            for _ in range(orders_per_user)
        )
        answer = await OrderServiceStub(lab.channel("order")).ImportOrders(orders, timeout=FILL_TIMEOUT_S)
        assert answer.rejected_count == 0
    return user_ids

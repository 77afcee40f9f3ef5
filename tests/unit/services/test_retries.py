"""The service config is read from the contracts: reads and creates, nothing else."""

from __future__ import annotations

import json

from generated import order_pb2, report_pb2, user_pb2
from services.retries import retry_service_config


def test_reads_and_creates_are_repeated_three_times_on_unavailable() -> None:
    config = json.loads(retry_service_config([user_pb2.DESCRIPTOR, order_pb2.DESCRIPTOR, report_pb2.DESCRIPTOR]))
    (method_config,) = config["methodConfig"]
    names = [f"{name['service'].rpartition('.')[2]}/{name['method']}" for name in method_config["name"]]
    assert sorted(names) == [
        "OrderService/CreateOrder",
        "OrderService/GetOrder",
        "OrderService/ListOrders",
        "OrderService/StreamOrders",
        "ReportService/GetUserReport",
        "ReportService/TopUsers",
        "UserService/BatchGetUsers",
        "UserService/CreateUser",
        "UserService/GetUser",
        "UserService/ListUsers",
    ]
    assert method_config["retryPolicy"]["maxAttempts"] == 3
    assert method_config["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]


def test_no_contract_gives_no_policy() -> None:
    assert json.loads(retry_service_config([])) == {}

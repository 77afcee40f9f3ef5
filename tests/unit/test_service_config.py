"""The service config is read from the contracts: reads and creates, nothing else; the committed file says the same."""

from __future__ import annotations

import json

from tracelab.service_config import CONTRACTS, FILE, retry_service_config


def test_reads_and_creates_are_repeated_three_times_where_another_try_may_help() -> None:
    config = json.loads(retry_service_config(CONTRACTS))
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
    assert method_config["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE", "CANCELLED", "RESOURCE_EXHAUSTED"]


def test_no_contract_gives_no_policy() -> None:
    assert json.loads(retry_service_config([])) == {}


def test_the_committed_service_config_equals_what_the_contracts_make() -> None:
    assert FILE.read_text(encoding="utf-8") == retry_service_config(CONTRACTS), "it has drifted; run ./lab stubs"

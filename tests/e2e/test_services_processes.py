"""The three services as processes of their own: start, serve, propagate, stop."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from generated import order_pb2, order_pb2_grpc, report_pb2, report_pb2_grpc, user_pb2, user_pb2_grpc
from tests.e2e.service_process import TIMEOUT_S, ServiceProcess, Start, service_processes
from tests.polling import eventually


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with service_processes(tmp_path) as start_one:
        yield start_one


EACH_API = pytest.mark.parametrize("api", ["aio", "sync"])


def start_shop(start: Start, api: str) -> tuple[ServiceProcess, ServiceProcess, ServiceProcess]:
    user = start("user", "--allow-faults", LAB_API=api)
    order = start("order", "--allow-faults", LAB_API=api, USER_ADDRESS=user.address)
    report = start("report", "--allow-faults", LAB_API=api, USER_ADDRESS=user.address, ORDER_ADDRESS=order.address)
    return user, order, report


@EACH_API
def test_a_report_crosses_three_processes_as_one_trace(start: Start, api: str) -> None:
    user, order, report = start_shop(start, api)
    with (
        grpc.insecure_channel(user.address) as users,
        grpc.insecure_channel(order.address) as orders,
        grpc.insecure_channel(report.address) as reports,
    ):
        alice = user_pb2_grpc.UserServiceStub(users).CreateUser(
            user_pb2.CreateUserRequest(name="Alice", email="alice@example.org"), timeout=TIMEOUT_S
        )
        for amount in (4000, 3500):
            order_pb2_grpc.OrderServiceStub(orders).CreateOrder(
                order_pb2.CreateOrderRequest(user_id=alice.user.user_id, amount_minor_units=amount), timeout=TIMEOUT_S
            )
        answer = report_pb2_grpc.ReportServiceStub(reports).GetUserReport(
            report_pb2.GetUserReportRequest(user_id=alice.user.user_id), timeout=TIMEOUT_S
        )
    assert (answer.report.order_count, answer.report.total_minor_units) == (2, 7500)
    (built,) = [line for line in report.lines() if line["event"] == "report.built"]
    events = {
        (line["service.name"], line["event"])
        for service in (user, order, report)
        for line in service.lines()
        if line.get("trace_id") == built["trace_id"]
    }
    assert events == {
        ("user", "user.read"),
        ("user", "rpc.finished"),
        ("order", "order.listed"),
        ("order", "rpc.finished"),
        ("report", "report.built"),
        ("report", "rpc.finished"),
    }
    (entered,) = [
        line for line in order.witness() if line["event"] == "entered" and line["method"].endswith("/ListOrders")
    ]
    assert entered["traceparent"].split("-")[1] == built["trace_id"]
    assert [service.stop() for service in (report, order, user)] == [0, 0, 0]
    assert [service.stderr() for service in (report, order, user)] == ["", "", ""]


@EACH_API
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_call_in_flight_finishes_when_its_service_is_stopped(start: Start, api: str, number: signal.Signals) -> None:
    user = start("user", "--allow-faults", "--api", api)
    with grpc.insecure_channel(user.address) as channel:
        call = user_pb2_grpc.UserServiceStub(channel).CreateUser.future(
            user_pb2.CreateUserRequest(name="Alice", email="alice@example.org"),
            timeout=TIMEOUT_S,
            metadata=(("baggage", "fault=UserService/CreateUser:delay=1500ms"),),
        )
        eventually(lambda: [line for line in user.lines() if line["event"] == "fault.injected"])
        assert user.stop(number) == 0
        assert call.result(timeout=TIMEOUT_S).user.name == "Alice"
    events = [line["event"] for line in user.lines()]
    assert events[-3:] == ["user.created", "rpc.finished", "server.stopped"]
    assert user.stderr() == ""


def test_a_port_in_use_is_one_line_with_a_hint_and_exit_3(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        user = start("user", port=port)
        assert user.process.wait(timeout=TIMEOUT_S) == 3
    assert user.stderr() == (
        f"error: port {port} is in use\nhint: choose another with --port, or --port 0 for a free one\n"
    )


def test_a_second_service_on_the_same_port_is_refused_too(start: Start, tmp_path: Path) -> None:
    first = start("user")
    port = int(first.address.rpartition(":")[2])
    second = start("order", port=port)
    assert second.process.wait(timeout=TIMEOUT_S) == 3
    assert not (tmp_path / "order.ready.json").exists()


def test_the_ready_file_names_the_process_and_its_address(start: Start) -> None:
    user = start("user")
    assert user.ready() == {"pid": user.process.pid, "addresses": {"grpc": user.address}}
    assert user.address.startswith("127.0.0.1:")


def test_log_lines_go_to_the_file_as_well(start: Start, tmp_path: Path) -> None:
    user = start("user", "--log-file", str(tmp_path / "user.log"))
    assert user.address
    assert user.stop() == 0
    assert (tmp_path / "user.log").read_text() == (tmp_path / "user.out").read_text()


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "message"),
    [
        (["--port", "x"], {}, 2, "error: --port: 'x' is no port, 0 to 65535"),
        ([], {"LAB_INSTRUMENTATION": "none"}, 2, "error: LAB_INSTRUMENTATION: 'none' is not one of"),
        (["--log-file", "/dev/null/x"], {}, 1, "error: --log-file: "),
        (["--witness", "/dev/null/x"], {}, 1, "error: --witness: "),
    ],
    ids=["port", "instrumentation", "log file", "witness file"],
)
def test_a_mistake_is_said_in_a_line_without_a_traceback(
    start: Start, arguments: list[str], environ: dict[str, str], code: int, message: str
) -> None:
    user = start("user", *arguments, **environ)
    assert user.process.wait(timeout=TIMEOUT_S) == code
    assert user.stderr().startswith(message)
    assert "Traceback" not in user.stderr()


def test_in_production_a_service_answers_calls_and_health_and_tells_nobody_its_contract(start: Start) -> None:
    user = start("user", LAB_PROFILE="production")
    with grpc.insecure_channel(user.address) as channel:
        stub = user_pb2_grpc.UserServiceStub(channel)
        assert list(stub.ListUsers(user_pb2.ListUsersRequest(), timeout=TIMEOUT_S).users) == []
        for version in ("v1", "v1alpha"):
            ask: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
            )
            with pytest.raises(grpc.RpcError) as caught:
                list(ask(iter([b""]), timeout=TIMEOUT_S))
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    faulty = start("user", "--allow-faults", label="faulty", LAB_PROFILE="production")
    assert faulty.process.wait(timeout=TIMEOUT_S) == 2
    assert faulty.stderr() == "error: --allow-faults: no call may ask for a fault in production (LAB_PROFILE)\n"

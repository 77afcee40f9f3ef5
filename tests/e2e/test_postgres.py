"""Users and orders in PostgreSQL: real services on a real server, which is killed and comes back while calls run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import psycopg
import pytest

from generated import user_pb2, user_pb2_grpc
from tests.e2e.lab_process import Lab
from tests.polling import eventually
from tests.postgres_server import PostgresServer

ROOT = Path(__file__).resolve().parents[2]
CALLER_COUNT = 4


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a database of the test's own."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield postgres.url.replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextmanager
def user_service(folder: Path, url: str, name: str = "user") -> Iterator[str]:
    """Run UserService over a database; gives its address."""
    ready, err = folder / f"{name}.ready", folder / f"{name}.err"
    environ = {**os.environ, "LAB_STORE_URL": url, "OTEL_SDK_DISABLED": "true"}
    command = [sys.executable, "-m", "services.user_service", "--port", "0", "--ready-file", str(ready)]
    with err.open("wb") as stderr:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        eventually(lambda: ready.exists() or process.poll() is not None, within_s=30.0)
        assert process.poll() is None, err.read_text()
        yield json.loads(ready.read_text())["addresses"]["grpc"]
    finally:
        process.terminate()
        process.wait(20)


def listed(stub: user_pb2_grpc.UserServiceStub) -> list[user_pb2.User]:
    users: list[user_pb2.User] = []
    token = ""
    while True:
        answer = stub.ListUsers(user_pb2.ListUsersRequest(page_size=1000, page_token=token), timeout=10)
        users.extend(answer.users)
        token = answer.next_page_token
        if not token:
            return users


@pytest.mark.parametrize("api", ["aio", "sync"])
def test_the_demo_proves_its_trace_and_every_statement_is_a_span_in_it(tmp_path: Path, database: str, api: str) -> None:
    lab = Lab(tmp_path / "home")
    result = lab.json("demo", "--ports", "auto", "--no-wait", "--api", api, LAB_STORE_URL=database)
    assert (result["proof"], result["services"]) == ("full", ["demo", "order", "report", "user"])
    (store,) = (tmp_path / "home").glob("runs/*/telemetry.sqlite")
    trace = lab.json("trace", result["trace_id"], "--store", str(store))
    names = Counter(span["name"] for span in spans_of(trace))
    assert names["SELECT users"] >= 1
    assert names["SELECT orders"] >= 1


def spans_of(trace: dict[str, object]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            if "spanId" in value and "name" in value:
                found.append(value)
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    walk(trace)
    return found


def test_users_outlive_their_service_and_two_of_its_processes_share_them(tmp_path: Path, database: str) -> None:
    request = user_pb2.CreateUserRequest(name="Alice", email="a@example.org", request_id=str(uuid.uuid4()))
    with user_service(tmp_path, database) as address, grpc.insecure_channel(address) as channel:
        made = user_pb2_grpc.UserServiceStub(channel).CreateUser(request, timeout=10).user
    with (
        user_service(tmp_path, database, "one") as one,
        user_service(tmp_path, database, "two") as two,
        grpc.insecure_channel(one) as channel_one,
        grpc.insecure_channel(two) as channel_two,
    ):
        stubs = [user_pb2_grpc.UserServiceStub(channel) for channel in (channel_one, channel_two)]
        assert [stub.CreateUser(request, timeout=10).user for stub in stubs] == [made, made]
        assert [listed(stub) for stub in stubs] == [[made], [made]]


def test_a_database_that_dies_under_calls_loses_nothing_that_was_answered(
    tmp_path: Path, postgres: PostgresServer, database: str
) -> None:
    codes: Counter[str] = Counter()
    answered: dict[str, str] = {}  # the user that each request id was answered with
    sent: set[str] = set()
    done = threading.Event()

    def call(stub: user_pb2_grpc.UserServiceStub) -> None:
        while not done.is_set():
            request_id = str(uuid.uuid4())
            request = user_pb2.CreateUserRequest(name=request_id, email="a@example.org", request_id=request_id)
            sent.add(request_id)
            try:
                answered[request_id] = stub.CreateUser(request, timeout=10).user.user_id
                codes["OK"] += 1
            except grpc.RpcError as error:
                codes[error.code().name] += 1

    with user_service(tmp_path, database) as address, grpc.insecure_channel(address) as channel:
        stub = user_pb2_grpc.UserServiceStub(channel)
        callers = [threading.Thread(target=call, args=(stub,)) for _ in range(CALLER_COUNT)]
        for caller in callers:
            caller.start()
        try:
            eventually(lambda: codes["OK"] > 20)
            postgres.kill()
            eventually(lambda: codes["UNAVAILABLE"] > CALLER_COUNT)
            postgres.start()
            before = codes["OK"]
            eventually(lambda: codes["OK"] > before + 20, within_s=30.0)
        finally:
            done.set()
            for caller in callers:
                caller.join(20)
        kept = {user.name: user.user_id for user in listed(stub)}
    assert set(codes) == {"OK", "UNAVAILABLE"}
    assert sum(codes.values()) == len(sent)
    assert len(kept) == len({*kept.values()})
    assert {request_id: kept.get(request_id) for request_id in answered} == answered
    assert kept.keys() <= sent


@pytest.mark.parametrize(
    ("url", "said", "exit_code"),
    [
        ("mysql://h/x", "LAB_STORE_URL is no URL of a PostgreSQL database, as in postgresql://host/name", 2),
        ("postgresql://u:secret@127.0.0.1:1/x", "the database can't be used: ", 1),
    ],
    ids=["another kind", "nobody answers"],
)
def test_a_store_that_cannot_be_had_is_one_line_without_its_password(
    url: str, said: str, exit_code: int, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.order_service", "--port", "0"],
        cwd=ROOT, env={**os.environ, "LAB_STORE_URL": url, "OTEL_SDK_DISABLED": "true"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == exit_code
    assert done.stderr.startswith(f"error: {said}")
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stdout + done.stderr


def test_a_schema_of_a_newer_service_is_refused_and_left_alone(tmp_path: Path, database: str) -> None:
    with user_service(tmp_path, database):
        pass
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO tracelab_user.schema_version VALUES (2)")
    refusal = pytest.raises(AssertionError, match="schema tracelab_user has version 2, and this service knows 1")
    with refusal, user_service(tmp_path, database, "older"):
        pass

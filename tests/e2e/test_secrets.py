"""Secrets stand in no log, no error and no process list: a database's password, a token, what exporters bring."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from generated import user_pb2, user_pb2_grpc
from tests.e2e.lab_process import Lab
from tests.e2e.service_process import TIMEOUT_S, Start, service_processes
from tests.polling import eventually
from tests.postgres_server import PostgresServer

SECRET = "hunter2-Zq81xv-0123"
HEADERS = "authorization=Bearer%20Xh7qqToken00"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with service_processes(tmp_path) as start_one:
        yield start_one


PASSWORDS = {
    "plain": SECRET,
    "bad percent": "hunter2%zzZq81xv",
    "slash": "hunter2/Zq81xv",
    "at": "hunter2@Zq81xv",
    "hash": "hunter2#Zq81xv",
    "question mark": "hunter2?Zq81xv=1",
    "bracket": "hunter2:[Zq81xv",
}


@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
def test_a_database_that_cannot_be_used_is_told_of_without_its_password(
    start: Start, tmp_path: Path, password: str
) -> None:
    log_file = tmp_path / "user.log"
    user = start(
        "user",
        "--log-file",
        str(log_file),
        LAB_STORE_URL=f"postgresql://lab:{password}@127.0.0.1:1/lab?connect_timeout=2",
    )
    assert user.process.wait(timeout=TIMEOUT_S * 2) == 1
    told = user.stderr()
    assert told.startswith("error: the database can't be used: ")
    assert len(told.splitlines()) == 1
    for piece in ("hunter2", "Zq81xv"):
        assert piece not in told
        assert piece not in (tmp_path / "user.out").read_text()
        assert piece not in log_file.read_text()


def test_no_secret_is_written_down_while_everything_is_used(
    start: Start, postgres: PostgresServer, tmp_path: Path
) -> None:
    separator = "&" if "?" in postgres.url else "?"
    user = start(
        "user",
        LAB_STORE_URL=f"{postgres.url}{separator}password={SECRET}",
        LAB_QUERY_TOKEN=SECRET,
        OTEL_TRACES_EXPORTER="otlp,console",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
        OTEL_EXPORTER_OTLP_HEADERS=HEADERS,
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
        OTEL_BSP_SCHEDULE_DELAY="20",
    )
    with grpc.insecure_channel(user.address) as channel:
        stub = user_pb2_grpc.UserServiceStub(channel)
        stub.CreateUser(user_pb2.CreateUserRequest(name="A", email="a@x"), timeout=TIMEOUT_S)
        with pytest.raises(grpc.RpcError):
            stub.GetUser(user_pb2.GetUserRequest(user_id="nobody"), timeout=TIMEOUT_S)
    out = tmp_path / "user.out"
    eventually(lambda: "export.failed" in out.read_text() and "db.query.text" in out.read_text(), within_s=20.0)
    assert user.stop() == 0
    for said in (out.read_text(), user.stderr()):
        for secret in (SECRET, "Xh7qqToken00", "Bearer"):
            assert secret not in said


def test_a_token_is_in_no_command_line_and_no_record(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home")
    running = lab.start("up", "--only", "backend", "--ports", "auto", LAB_QUERY_TOKEN=SECRET)
    try:
        record = eventually(lab.record, within_s=30.0)
        assert record is not None
        (backend,) = record.processes
        words = psutil.Process(backend.pid).cmdline()
    finally:
        running.terminate()
        out, err = running.communicate(timeout=30)
    kept = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert [path.name for path in kept if re.search(SECRET.encode(), path.read_bytes())] == []
    assert SECRET not in " ".join([*words, out, err])

"""`lab call` on servers that are not ours, as a person types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lab_process import Lab, environment
from tests.e2e.outsiders import Outsider, hello_folder, started, with_tls
from tracelab.stack import Stack, StackOptions

PLAIN = {"PATH": os.environ["PATH"]}


@pytest.fixture(name="lab", scope="module")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("call") / "home")
    with Stack.start(StackOptions(home=lab.home, ports="auto"), environment(lab.home)):
        yield lab


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hello_folder(tmp_path_factory.mktemp("hello"))


@pytest.fixture(name="greeter", scope="module", params=["greeter_server.py", "greeter_aio_server.py"])
def _greeter(request: pytest.FixtureRequest, folder: Path) -> Iterator[Outsider]:
    with started([sys.executable, request.param, "--port", "0"], folder, PLAIN, request.param) as greeter:
        yield greeter


def call(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    return lab.run("call", *words, "--trace-wait", "0")


def test_a_server_of_somebody_else_says_what_it_offers(lab: Lab, greeter: Outsider) -> None:
    done = call(lab, greeter.address)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:5] == [
        "hello.Greeter",
        "  SayHello(hello.HelloRequest) returns (hello.HelloReply)",
        "  CountDown(hello.CountRequest) returns (stream hello.HelloReply)",
        "  SayHelloToAll(stream hello.HelloRequest) returns (hello.HelloReply)",
        "  Chat(stream hello.HelloRequest) returns (stream hello.HelloReply)",
    ]


@pytest.mark.parametrize(
    ("method", "data", "answers"),
    [
        ("Greeter/SayHello", '{"name": "Ana"}', ["Hello, Ana!"]),
        ("hello.Greeter/CountDown", '{"from": 3}', ["3", "2", "1"]),
        ("hello.Greeter.SayHelloToAll", '[{"name": "Ana"}, {"name": "Bo"}]', ["Hello, Ana and Bo!"]),
        ("/hello.Greeter/Chat", '{"name": "Ana"} {"name": "Bo"}', ["Hello, Ana!", "Hello, Bo!"]),
    ],
    ids=["unary", "server streaming", "client streaming", "bidirectional"],
)
def test_a_method_of_every_kind_answers(
    lab: Lab, greeter: Outsider, method: str, data: str, answers: list[str]
) -> None:
    answer = lab.json("call", greeter.address, method, data, "--trace-wait", "0")

    assert [response["message"] for response in answer["responses"]] == answers
    assert (answer["status"]["code"], len(answer["trace_id"])) == ("OK", 32)


def test_a_failure_is_one_line_and_exit_code_1_and_json_has_it_too(lab: Lab, greeter: Outsider) -> None:
    done = call(lab, greeter.address, "Greeter/SayHello")
    as_json = call(lab, greeter.address, "Greeter/SayHello", "--json")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == ["error: INVALID_ARGUMENT: a name is needed"]
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout)["status"] == {
        "code": "INVALID_ARGUMENT",
        "message": "a name is needed",
        "details": [],
    }


def test_the_contract_comes_from_a_proto_file_or_a_descriptor_set_too(
    lab: Lab, greeter: Outsider, folder: Path
) -> None:
    words = ["-I.", "--descriptor_set_out=hello.binpb", "hello.proto"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *words], cwd=folder, check=True, timeout=60)

    for option in (["--proto", f"{folder}/hello.proto"], ["--protoset", f"{folder}/hello.binpb"]):
        done = call(lab, greeter.address, "Greeter/SayHello", '{"name": "Ana"}', *option)
        assert json.loads(done.stdout) == {"message": "Hello, Ana!"}, done.stderr
    broken = folder / "broken.proto"
    broken.write_text("syntax = proto9;", encoding="utf-8")
    refused = call(lab, greeter.address, "Greeter/SayHello", "--proto", str(broken))
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: --proto: ")
    assert "broken.proto:1:10: Expected syntax identifier." in refused.stderr


def test_the_request_comes_from_a_file_and_metadata_and_compression_go_along(
    lab: Lab, greeter: Outsider, tmp_path: Path
) -> None:
    (tmp_path / "ana.json").write_text('{"name": "Ana"}', encoding="utf-8")

    done = call(lab, greeter.address, "Greeter/SayHello", f"@{tmp_path}/ana.json", "-H", "a=b", "--compression", "gzip")

    assert (done.returncode, json.loads(done.stdout)) == (0, {"message": "Hello, Ana!"}), done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["localhost"], "error: 'localhost' is not HOST:PORT"),
        (["127.0.0.1:1"], "error: no gRPC server answers at 127.0.0.1:1: nothing listens there"),
        (
            ["127.0.0.1:1", "a.B/C", "--timeout", "0"],
            "error: --timeout: '0' is no time within 0.001 and 1,000,000 seconds",
        ),
        (["127.0.0.1:1", "a.B/C", "{}", "-H", "x"], "error: --metadata: 'x' is not KEY=VALUE"),
        (["127.0.0.1:1", "a.B/C", "@nothing.json"], "error: nothing.json: No such file or directory"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(lab: Lab, words: list[str], said: str) -> None:
    done = call(lab, *words)

    assert done.returncode in (1, 2)
    assert done.stderr.splitlines()[0] == said
    assert "Traceback" not in done.stderr


def test_the_trace_of_a_call_is_shown_with_the_logs_of_the_server(lab: Lab) -> None:
    record = lab.record()
    assert record is not None
    user = record.process("user")
    assert user is not None
    words = [user.addresses["grpc"], "UserService/CreateUser", '{"name": "Ana", "email": "ana@example.org"}']

    shown = lab.run("call", *words, "--trace-wait", "10")
    answer = lab.json("call", *words, "--trace-wait", "10")

    assert shown.returncode == 0, shown.stderr
    assert "rpc.finished" in shown.stdout
    assert [line.split()[0] for line in shown.stdout.splitlines() if "UserService/CreateUser" in line][1:] == [
        "cli",
        "user",
    ]
    assert (answer["span_count"], answer["trace_services"]) == (2, ["cli", "user"])
    assert answer["log_count"] > 0


def test_details_of_google_rpc_are_shown(lab: Lab) -> None:
    record = lab.record()
    assert record is not None
    user = record.process("user")
    assert user is not None

    done = call(lab, user.addresses["grpc"], "UserService/GetUser", '{"user_id": "nobody"}')

    assert done.returncode == 1
    assert done.stderr.splitlines()[0].startswith("error: NOT_FOUND: ")
    assert done.stderr.splitlines()[1].startswith("  google.rpc.ErrorInfo reason=USER_NOT_FOUND domain=user.tracelab")


@pytest.fixture(name="tls_folder", scope="module")
def _tls_folder(folder: Path) -> Path:
    return with_tls(folder)


def test_a_server_behind_tls_is_called_and_what_tls_lacks_is_said(lab: Lab, tls_folder: Path) -> None:
    hello = ["Greeter/SayHello", '{"name": "Ana"}']
    ca, name = ["--ca", f"{tls_folder}/ca.pem"], ["--server-name", "greeter.test"]
    with started([sys.executable, "tls_server.py"], tls_folder, PLAIN, "tls") as server:
        plain = call(lab, server.address, *hello)
        untrusted = call(lab, server.address, *hello, "--tls")
        other_name = call(lab, server.address, *hello, *ca)
        good = call(lab, server.address, *hello, *ca, *name)

    assert json.loads(good.stdout) == {"message": "Hello, Ana!"}, good.stderr
    for done, said, hint in (
        (plain, "it closed the connection at once", "does it speak TLS? --tls, or --ca FILE"),
        (untrusted, "its certificate is not trusted", "--ca FILE names the authority that signed it"),
        (other_name, "its certificate is of another name", "--server-name NAME says which"),
    ):
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            f"error: no gRPC server answers at {server.address}: {said}",
            f"hint: {hint}",
        ]


def test_a_server_that_wants_our_certificate_gets_it(lab: Lab, tls_folder: Path) -> None:
    words = ["Greeter/SayHello", '{"name": "Ana"}', "--ca", f"{tls_folder}/ca.pem", "--server-name", "greeter.test"]
    own = ["--cert", f"{tls_folder}/server.pem", "--key", f"{tls_folder}/server.key"]
    with started([sys.executable, "tls_server.py", "--mutual"], tls_folder, PLAIN, "mutual") as server:
        without = call(lab, server.address, *words)
        good = call(lab, server.address, *words, *own)

    assert json.loads(good.stdout) == {"message": "Hello, Ana!"}, good.stderr
    assert without.returncode == 1
    assert "no gRPC server answers" in without.stderr

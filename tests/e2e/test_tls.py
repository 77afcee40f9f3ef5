"""TLS on real processes: the whole lab over mTLS, and what each side says to strangers on each of the protocols."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from generated import user_pb2, user_pb2_grpc
from otel.tls.contexts import client_context
from otel.tls.credentials import channel_credentials
from otel.tls.files import NO_TLS, TlsFiles
from otel.tls.reasons import reason_for_client
from tests.certificates import Authority, variables
from tests.e2e.lab_process import FOUR_LINES, Lab
from tests.e2e.service_process import ServiceProcess, Start, service_processes
from tests.polling import eventually
from tracelab.stack import Stack, StackOptions

TIMEOUT_S = 20.0
CLOSED = "the server closed the connection: it may speak TLS, or want a certificate of the client"
UNTRUSTED = "the server's certificate is not signed by an authority that is trusted here"


class World:
    """An authority and a strange one, a service and a backend that ask for certificates of the first."""

    def __init__(self, folder: Path) -> None:
        self.ours = Authority(folder, "ours")
        self.theirs = Authority(folder, "theirs")
        self.good = replace(self.ours.signed("good"), client_ca=self.ours.pem)
        options = StackOptions(home=folder / "home", ports="auto", only=("backend", "user"), follows_tls_variables=True)
        self.stack = Stack.start(options, {**lab_environ(), **variables(self.good)})

    def refusals(self, process: str) -> set[str]:
        """The reasons that a process has logged so far."""
        lines = map(json.loads, self.stack.process(process).log_file.read_text(encoding="utf-8").splitlines())
        return {line["reason"] for line in lines if line["event"] == "tls.refused"}


def lab_environ() -> dict[str, str]:
    from tests.e2e.lab_process import environment

    return environment(Path("unused"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("tls"))
    with made.stack:
        yield made


def grpc_answer(address: str, files: TlsFiles) -> str:
    """What a call to UserService comes to: OK, or the sentence for the client."""
    credentials, options = channel_credentials(files), [("grpc.use_local_subchannel_pool", 1)]
    opened = grpc.secure_channel(address, credentials, options) if credentials else grpc.insecure_channel(address)
    with opened as channel:
        try:
            user_pb2_grpc.UserServiceStub(channel).ListUsers(user_pb2.ListUsersRequest(), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            # The OTLP port has other services, and says so.
            is_answer = error.code() is grpc.StatusCode.UNIMPLEMENTED
            return "OK" if is_answer else reason_for_client(str(error.details())) or str(error)
    return "OK"


def http_answer(address: str, files: TlsFiles, scheme: str = "https") -> str:
    """What a question over HTTP comes to: OK, or the sentence for the client."""
    try:
        with httpx.Client(verify=client_context(files) or False, trust_env=False, timeout=TIMEOUT_S) as client:
            client.get(f"{scheme}://{address}/status")
    except httpx.TransportError as error:
        return reason_for_client(str(error)) or str(error)
    return "OK"


def strangers(world: World) -> dict[str, TlsFiles]:
    return {
        "wrong authority": replace(world.good, ca=world.theirs.pem),
        "no certificate": TlsFiles(ca=world.ours.pem),
        "certificate of another authority": replace(world.theirs.signed("stranger"), ca=world.ours.pem),
        "expired certificate": world.ours.expired("expired"),
        "plaintext": NO_TLS,
    }


@pytest.mark.parametrize("port", ["grpc", "otlp_grpc"])
def test_a_stranger_of_grpc_is_refused_and_both_sides_say_why(world: World, port: str) -> None:
    process = world.stack.process("user" if port == "grpc" else "backend")
    address = process.addresses[port]
    assert grpc_answer(address, world.good) == "OK"
    assert {name: grpc_answer(address, files) for name, files in strangers(world).items()} == {
        "wrong authority": UNTRUSTED,
        "no certificate": CLOSED,
        "certificate of another authority": CLOSED,
        "expired certificate": CLOSED,
        "plaintext": CLOSED,
    }
    # Of a client that refuses its certificate a gRPC server learns nothing.
    said = {
        "a client showed no certificate",
        "a client's certificate is not signed by an authority that is trusted here",
        "a client's certificate has expired",
        "a client spoke plaintext",
    }
    eventually(lambda: world.refusals(process.name), until=lambda found: found >= said)
    assert grpc_answer(address, world.good) == "OK"


@pytest.mark.parametrize("port", ["otlp_http", "query"])
def test_a_stranger_of_http_is_refused_and_both_sides_say_why(world: World, port: str) -> None:
    address = world.stack.process("backend").addresses[port]
    assert http_answer(address, world.good) == "OK"
    secure = {name: files for name, files in strangers(world).items() if files.dials}
    assert {name: http_answer(address, files) for name, files in secure.items()} == {
        "wrong authority": UNTRUSTED,
        "no certificate": CLOSED,
        "certificate of another authority": CLOSED,
        "expired certificate": CLOSED,
    }
    assert http_answer(address, NO_TLS, "http") == CLOSED
    said = {
        "a client refused our certificate: it trusts another authority",
        "a client showed no certificate",
        "a client's certificate is not signed by an authority that is trusted here",
        "a client's certificate has expired",
        "a client spoke plaintext",
    }
    eventually(lambda: world.refusals("backend"), until=lambda found: found >= said)
    assert http_answer(address, world.good) == "OK"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with service_processes(tmp_path) as start_one:
        yield start_one


def events(service: ServiceProcess) -> dict[str, dict[str, Any]]:
    return {line["event"]: line for line in service.lines()}


@pytest.mark.parametrize("api", ["aio", "sync"])
def test_an_expired_certificate_of_the_server_is_said_by_both_sides(world: World, start: Start, api: str) -> None:
    expired = start("user", "--api", api, **variables(replace(world.ours.expired("server"), ca=None)))
    assert grpc_answer(expired.address, world.good) == "the server's certificate has expired"
    assert "ours-server.pem expired on" in events(expired)["tls.expired"]["reason"]


def test_a_certificate_of_another_name_is_refused_by_the_client_unless_that_name_is_meant(
    world: World, start: Start
) -> None:
    other = world.ours.signed("other", "shop.example")
    server = start("user", "--tls-cert", str(other.certificate), "--tls-key", str(other.key))
    assert grpc_answer(server.address, world.good) == "the server's certificate is of another name"
    lab = Lab(world.stack.options.home)
    words = ("call", server.address, "--ca", str(world.ours.pem), "--trace-wait", "0")
    refused = lab.run(*words)
    assert "its certificate is of another name" in refused.stderr
    assert "UserService" in lab.run(*words, "--server-name", "shop.example").stdout


def test_both_apis_serve_and_call_by_mutual_tls(world: World, start: Start) -> None:
    order = start("order", "--api", "sync", USER_ADDRESS=world.stack.address("user"), **variables(world.good))
    lab = Lab(world.stack.options.home)
    words = ("call", order.address, "OrderService/CreateOrder", '{"user_id": "u-1", "amount_minor_units": 1}')
    told = lab.run(*words, "--trace-wait", "0", **variables(world.good))
    assert "USER_NOT_FOUND" in told.stderr  # which UserService said, to a call that it took
    assert grpc_answer(order.address, TlsFiles(ca=world.ours.pem)) == CLOSED
    eventually(lambda: events(order).get("tls.refused"))
    assert events(order)["tls.refused"]["reason"] == "a client showed no certificate"


def test_tls_to_a_server_that_speaks_none_is_said_to_the_client(world: World, start: Start) -> None:
    plain = start("user")
    assert grpc_answer(plain.address, world.good) == "the server does not speak TLS"


@pytest.mark.parametrize("api", ["aio", "sync"])
def test_a_service_whose_channel_trusts_another_authority_says_so_where_it_calls(
    world: World, start: Start, api: str
) -> None:
    order = start("order", "--api", api, USER_ADDRESS=world.stack.address("user"), LAB_TLS_CA=str(world.theirs.pem))
    lab = Lab(world.stack.options.home)
    request = '{"user_id": "u-1", "amount_minor_units": 1}'
    made = lab.run("call", order.address, "OrderService/CreateOrder", request, "--trace-wait", "0")
    assert "USER_SERVICE_UNAVAILABLE" in made.stderr
    failed = events(order)["tls.failed"]
    assert (failed["service"], failed["reason"]) == ("UserService", UNTRUSTED)


def test_check_and_compare_follow_the_variables_as_call_does_unless_plaintext_is_asked_for(world: World) -> None:
    lab, address = Lab(world.stack.options.home), world.stack.address("user")
    targets = [f"--target={name}={address}" for name in ("one", "other")]
    compare = ("compare", *targets, "--call=UserService/ListUsers", "--max-seconds=1", "--precision=90", "--json")
    checked = lab.run("check", address, "--json", **variables(world.good))
    told = json.loads(checked.stdout)
    assert (told["has_spans"], told["wrong_count"]) == (True, 0), checked.stderr
    compared = lab.run(*compare, **variables(world.good))
    assert compared.returncode == 0, compared.stderr
    for words in (("check", address), compare):
        refused = lab.run(*words, "--plaintext", **variables(world.good))
        assert refused.returncode == 1
        assert "it closed the connection at once" in refused.stderr


def test_our_own_commands_take_files_as_call_does_and_what_is_typed_stands_alone(world: World) -> None:
    lab, address = Lab(world.stack.options.home), world.stack.address("user")
    files = ("--ca", str(world.ours.pem), "--cert", str(world.good.certificate), "--key", str(world.good.key))
    listed = lab.run("user", "list", *files, USER_ADDRESS=address)
    assert listed.returncode == 0, listed.stderr
    stranger = lab.run("user", "list", "--ca", str(world.ours.pem), USER_ADDRESS=address, **variables(world.good))
    assert f"no secure call was possible: {CLOSED}" in stranger.stderr
    plain = lab.run("user", "list", "--plaintext", USER_ADDRESS=address, **variables(world.good))
    assert plain.returncode == 1


def test_only_what_strangers_can_reach_in_the_clear_is_warned_of(world: World, start: Start) -> None:
    server = TlsFiles(world.good.certificate, world.good.key)
    loopback, open_, secured = (
        start("user", label="loopback"),
        start("user", "--host", "0.0.0.0", label="open"),
        start("user", "--host", "0.0.0.0", label="secured", **variables(server)),
    )
    addresses = [each.address for each in (loopback, open_, secured)]
    assert len(set(addresses)) == 3
    assert ["server.plaintext" in events(each) for each in (loopback, open_, secured)] == [False, True, False]
    reason = events(open_)["server.plaintext"]["reason"]
    assert reason == "whoever is in between reads and changes calls; --tls-cert speaks TLS"
    assert [each.stderr() for each in (loopback, open_, secured)] == ["", "", ""]


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_an_exporter_that_is_refused_says_why(world: World, start: Start, protocol: str) -> None:
    port = "otlp_grpc" if protocol == "grpc" else "otlp_http"
    user = start(
        "user",
        OTEL_TRACES_EXPORTER="otlp",
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        OTEL_EXPORTER_OTLP_ENDPOINT=f"https://{world.stack.process('backend').addresses[port]}",
        OTEL_EXPORTER_OTLP_CERTIFICATE=str(world.theirs.pem),
        OTEL_EXPORTER_OTLP_TIMEOUT="3",
        OTEL_BSP_SCHEDULE_DELAY="50",
    )
    assert grpc_answer(user.address, NO_TLS) == "OK"
    failed = eventually(lambda: events(user).get("export.failed"), within_s=30.0)
    assert failed is not None
    assert failed["reason"] == UNTRUSTED


def test_the_demo_proves_its_trace_over_mutual_tls(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home")
    folder = str(tmp_path / "certs")
    made = lab.run("certs", folder)
    assert made.returncode == 0, made.stderr
    running = lab.start("up", "--ports", "auto", "--certs", folder)
    try:
        record = eventually(lab.record, within_s=60.0)
        assert record is not None
        assert {(process.name, process.tls) for process in record.processes} == {
            ("backend", True), ("user", True), ("order", True), ("report", True),
        }  # fmt: skip
        done = lab.run("demo", "--certs", folder)
        assert done.returncode == 0, done.stderr
        assert [line for line in FOUR_LINES if line not in done.stdout] == []
        assert "Proof: full" in done.stdout
        assert "already running, used" in done.stdout
        assert lab.json("status", "--certs", folder)["query_url"].startswith("https://")
        assert "GetUserReport" in lab.run("traces", "--certs", folder).stdout
        without = lab.run("traces")
        assert without.returncode == 1
        assert without.stderr.splitlines()[0].endswith(f"({UNTRUSTED})")
        assert "LAB_TLS_CA" in without.stderr
        alone = lab.run("user", "list")
        assert f"UNAVAILABLE: no secure call was possible: {CLOSED}" in alone.stderr
    finally:
        running.terminate()
        running.communicate(timeout=30)

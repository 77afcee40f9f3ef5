"""Failed handshakes as log lines: in words, counted, and found among whatever else goes to standard error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from otel.tls.core_lines import choose_verbosity, handshake_failures
from otel.tls.reach import is_loopback
from otel.tls.refusals import QUIET_S, RefusalLog

PLAINTEXT = "SSL_ERROR_SSL: error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER: Invalid certificate"
NO_CERTIFICATE = "[SSL: PEER_DID_NOT_RETURN_A_CERTIFICATE] peer did not return a certificate (_ssl.c:1006)"


def test_a_reason_is_said_once_and_then_counted() -> None:
    said: list[tuple[str, object]] = []
    now = [100.0]
    refusals = RefusalLog(lambda _event, *, reason, count: said.append((reason, count)), clock=lambda: now[0])
    for text in (PLAINTEXT, NO_CERTIFICATE, PLAINTEXT, PLAINTEXT):
        refusals.failed(text)
    assert said == [("a client spoke plaintext", 1), ("a client showed no certificate", 1)]
    now[0] += QUIET_S
    refusals.failed(PLAINTEXT)
    assert said[2:] == [("a client spoke plaintext", 3)]


def test_strangers_cannot_fill_the_log_with_reasons_of_their_own() -> None:
    said: list[str] = []
    refusals = RefusalLog(lambda _event, *, reason, count: said.append(reason), clock=lambda: 0.0)
    for number in range(1000):
        refusals.failed(f"something new {number}")
    assert (len(said), said[-1]) == (33, "for other reasons")


def test_what_is_not_of_grpcs_core_goes_where_it_was_meant_to_go(tmp_path: Path) -> None:
    told: list[str] = []
    place = tmp_path / "stderr"
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT)
    core = "I1128 19:28:45.851070   32423 ssl_transport_security.cc:2563] Handshake failed with error "
    with handshake_failures(told.append, descriptor):
        os.write(descriptor, b"Traceback (most recent call last):\n")
        os.write(descriptor, f"{core}{PLAINTEXT}\n".encode())
        os.write(descriptor, b"E1128 19:28:28.074   31903 add_port.cc:56] Unable to create\n")
        os.write(descriptor, b"W1128 19:39:35.596988   16486 log.cc:102] Log level INFO is not suitable\nthe end")
    os.write(descriptor, b", and after it\n")
    os.close(descriptor)
    assert told == [PLAINTEXT]
    assert place.read_text().splitlines() == [
        "Traceback (most recent call last):",
        "E1128 19:28:28.074   31903 add_port.cc:56] Unable to create",
        "the end, and after it",
    ]


@pytest.mark.parametrize(
    ("environ", "words", "chosen"),
    [
        ({}, [], "NONE"),
        ({"GRPC_VERBOSITY": "DEBUG"}, ["--tls-cert=x"], "DEBUG"),
        ({"GRPC_VERBOSITY": "NONE", "LAB_TLS_CERT": "x"}, [], "INFO"),
        ({}, ["--port", "1", "--tls-cert", "x"], "INFO"),
    ],
    ids=["plain", "chosen by a person", "by variable", "by option"],
)
def test_grpcs_core_speaks_where_tls_needs_it_alone(environ: dict[str, str], words: list[str], chosen: str) -> None:
    choose_verbosity(environ, words)
    assert environ["GRPC_VERBOSITY"] == chosen


def test_only_loopback_is_this_machine_alone() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "10.0.0.1", "lab")] == [
        True, True, True, False, False, False, False,
    ]  # fmt: skip

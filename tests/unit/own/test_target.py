"""Addresses, TLS options and metadata, as the command line gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clients.errors import WrongUsageError
from tracelab.own.target import Target, compression_of, metadata_of, target_of

NO_TLS: dict[str, Any] = {"tls": False, "ca": None, "cert": None, "key": None, "server_name": ""}


@pytest.mark.parametrize("address", ["127.0.0.1:50051", "[::1]:1", "shop.example:443", "unix:/tmp/s", "dns:///shop"])
def test_an_address_that_grpc_knows_is_taken(address: str) -> None:
    assert target_of(address, **NO_TLS) == Target(address)


@pytest.mark.parametrize("address", ["localhost", "", "http://localhost", ":x", "localhost:123456"])
def test_an_address_without_a_port_is_refused(address: str) -> None:
    with pytest.raises(WrongUsageError, match="is not HOST:PORT"):
        target_of(address, **NO_TLS)


def test_any_option_of_tls_asks_for_tls(tmp_path: Path) -> None:
    pem = tmp_path / "ca.pem"
    pem.write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    for option in ({"tls": True}, {"ca": pem}, {"cert": pem, "key": pem}, {"server_name": "shop"}):
        assert target_of("h:1", **{**NO_TLS, **option}).tls is not None


def test_half_a_pair_and_what_is_no_pem_are_refused(tmp_path: Path) -> None:
    der = tmp_path / "ca.der"
    der.write_bytes(b"\x30\x82")
    with pytest.raises(WrongUsageError, match="--cert and --key belong together"):
        target_of("h:1", **{**NO_TLS, "cert": der})
    with pytest.raises(WrongUsageError, match=r"ca\.der is not PEM"):
        target_of("h:1", **{**NO_TLS, "ca": der})


def test_metadata_is_read_in_lower_case_and_binary_from_base64() -> None:
    assert metadata_of(["Tenant=blue", "empty=", "eq=a=b", "x-bin=AP8="]) == (
        ("tenant", "blue"),
        ("empty", ""),
        ("eq", "a=b"),
        ("x-bin", b"\x00\xff"),
    )


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tenant", "is not KEY=VALUE"),
        ("=x", "is not KEY=VALUE"),
        ("a b=x", "is not KEY=VALUE"),
        ("grpc-timeout=1S", "belongs to gRPC itself"),
        ("x-bin=%", "is not base64"),
        ("name=grüße", "has more than ASCII"),
        ("name=a\nb", "has more than ASCII"),
    ],
)
def test_metadata_that_cannot_be_sent_is_refused_before_the_call(word: str, said: str) -> None:
    with pytest.raises(WrongUsageError, match=said):
        metadata_of([word])


def test_an_unknown_compression_is_refused() -> None:
    assert compression_of("none") is None
    with pytest.raises(WrongUsageError, match="'brotli' is not one of none, gzip, deflate"):
        compression_of("brotli")

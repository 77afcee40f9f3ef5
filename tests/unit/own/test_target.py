"""Addresses, TLS options and metadata, as the command line gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.errors import WrongUsageError
from otel.tls.files import TlsFiles
from tracelab.own.target import Target, Tls, TlsWords, compression_of, metadata_of, target_of


@pytest.mark.parametrize("address", ["127.0.0.1:50051", "[::1]:1", "shop.example:443", "unix:/tmp/s", "dns:///shop"])
def test_an_address_that_grpc_knows_is_taken(address: str) -> None:
    assert target_of(address) == Target(address)


@pytest.mark.parametrize("address", ["localhost", "", "http://localhost", ":x", "localhost:123456", "localhost:65536"])
def test_an_address_without_a_port_is_refused(address: str) -> None:
    with pytest.raises(WrongUsageError, match="is not HOST:PORT"):
        target_of(address)


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    file.write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    return file


def test_any_option_of_tls_asks_for_tls(pem: Path) -> None:
    for words in (TlsWords(tls=True), TlsWords(ca=pem), TlsWords(cert=pem, key=pem), TlsWords(server_name="shop")):
        assert words.read() is not None


def test_without_an_option_the_variables_say_how(pem: Path) -> None:
    assert TlsWords().read(TlsFiles(ca=pem, certificate=pem, key=pem)) == TlsWords(ca=pem, cert=pem, key=pem).read()
    assert TlsWords().read(TlsFiles(certificate=pem, key=pem)) is None  # those of a server alone
    assert TlsWords().read() is None


def test_what_is_typed_stands_alone(pem: Path) -> None:
    variables = TlsFiles(ca=pem, certificate=pem, key=pem)
    assert TlsWords(plaintext=True).read(variables) is None
    assert TlsWords(tls=True).read(variables) == Tls()
    with pytest.raises(WrongUsageError, match="--plaintext and the options of TLS exclude each other"):
        TlsWords(plaintext=True, server_name="shop").read()


def test_half_a_pair_and_what_is_no_pem_are_refused(tmp_path: Path) -> None:
    der = tmp_path / "ca.der"
    der.write_bytes(b"\x30\x82")
    with pytest.raises(WrongUsageError, match="--cert and --key belong together"):
        TlsWords(cert=der).read()
    with pytest.raises(WrongUsageError, match=r"ca\.der is not PEM"):
        TlsWords(ca=der).read()


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

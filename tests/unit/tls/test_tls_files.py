"""Which files TLS is spoken with: where their names come from, and every way in which they cannot be used."""

from __future__ import annotations

import datetime as dt
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from otel.tls.files import NO_TLS, TlsError, TlsFiles, let_exporters_dial
from otel.tls.try_out import BROWSER_FILE, BROWSER_FILE_PASSWORD, CertificateFolder, issue
from tests.certificates import DAY, NOW, Authority, variables


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ca")


@pytest.fixture
def good(authority: Authority) -> TlsFiles:
    return replace(authority.signed("good"), client_ca=authority.pem)


def test_an_option_wins_over_its_variable(good: TlsFiles, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    assert TlsFiles(ca=other).or_else(TlsFiles.from_environ(variables(good))) == replace(good, ca=other)


def test_files_that_fit_together_pass(good: TlsFiles) -> None:
    assert good.check() is good
    assert (good.serves, good.dials, NO_TLS.serves, NO_TLS.dials) == (True, True, False, False)


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        (TlsFiles(key=Path("k")), "--tls-key (LAB_TLS_KEY) is set without --tls-cert (LAB_TLS_CERT)"),
        (TlsFiles(certificate=Path("c")), "--tls-cert (LAB_TLS_CERT) is set without --tls-key (LAB_TLS_KEY)"),
        (TlsFiles(client_ca=Path("a")), "--tls-client-ca (LAB_TLS_CLIENT_CA) is set without --tls-cert (LAB_TLS_CERT)"),
        (TlsFiles(ca=Path("nowhere.pem")), "--tls-ca (LAB_TLS_CA): nowhere.pem: No such file or directory"),
    ],
    ids=["key alone", "certificate alone", "client authority alone", "no such file"],
)
def test_what_makes_no_sense_is_said_by_option_and_variable(named: TlsFiles, sentence: str) -> None:
    with pytest.raises(TlsError) as caught:
        named.check()
    assert str(caught.value) == sentence


def test_a_key_of_another_certificate_is_refused(authority: Authority, good: TlsFiles) -> None:
    other = authority.signed("other")
    with pytest.raises(TlsError, match=r"the key in .*ca-other-key\.pem is not that of the certificate in .*good"):
        replace(good, key=other.key).check()


def test_a_file_that_is_no_certificate_is_refused(good: TlsFiles, tmp_path: Path) -> None:
    file = tmp_path / "ca.der"
    file.write_bytes(b"\x30\x82")
    with pytest.raises(TlsError, match=r"ca\.der is not PEM"):
        replace(good, ca=file).check()
    file.write_bytes(b"-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n")
    with pytest.raises(TlsError, match="holds no certificate that can be read"):
        replace(good, ca=file).check()


def test_the_dates_of_the_certificate_are_said_where_they_are_not_now(authority: Authority, good: TlsFiles) -> None:
    assert good.expired_sentence(NOW) == ""
    expired, early = authority.expired("old"), authority.signed("early", age=-DAY)
    assert f"old.pem expired on {NOW - DAY:%Y-%m-%d}" in expired.expired_sentence(NOW)
    assert f"early.pem is not valid before {NOW + DAY:%Y-%m-%d}" in early.expired_sentence(NOW)


def test_exporters_dial_by_the_same_files_unless_their_own_variables_say_otherwise(good: TlsFiles) -> None:
    environ = {"OTEL_EXPORTER_OTLP_CERTIFICATE": "mine.pem"}
    let_exporters_dial(environ, good)
    assert environ == {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "mine.pem",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(good.certificate),
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(good.key),
    }
    plain: dict[str, str] = {}
    let_exporters_dial(plain, replace(good, ca=None))
    assert plain == {}


def test_certificates_for_a_try_out_fit_together_and_hide_their_keys(tmp_path: Path) -> None:
    made = issue(tmp_path / "certs", ["lab.example"], 7, dt.datetime.now(dt.UTC))
    files = TlsFiles.from_environ(made.variables).check()
    assert (files.serves, files.dials, files.client_ca is not None) == (True, True, True)
    assert files.expired_sentence(NOW) == ""
    assert "expired" in files.expired_sentence(NOW + 8 * DAY)
    keys = sorted(made.path.glob("*key.pem"))
    assert len(keys) == 2
    if sys.platform != "win32":
        assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    assert not [
        path
        for path in made.path.iterdir()
        if path.name not in {key.name for key in keys} and b"PRIVATE" in path.read_bytes()
    ]


def test_certificates_that_are_there_are_kept_until_others_are_asked_for(tmp_path: Path) -> None:
    made = issue(tmp_path, [], 7, NOW)
    before = (tmp_path / "ca.pem").read_bytes()
    with pytest.raises(TlsError, match="has certificates already"):
        issue(tmp_path, [], 7, NOW)
    assert (tmp_path / "ca.pem").read_bytes() == before
    issue(tmp_path, [], 7, NOW, anew=True)
    assert (tmp_path / "ca.pem").read_bytes() != before
    TlsFiles.from_environ(made.variables).check()


def test_the_file_for_a_browser_has_the_client_s_certificate_and_key_and_nobody_else_reads_it(tmp_path: Path) -> None:
    issue(tmp_path, [], 7, NOW)
    file = tmp_path / BROWSER_FILE
    key, certificate, _ = pkcs12.load_key_and_certificates(file.read_bytes(), BROWSER_FILE_PASSWORD.encode())
    assert certificate == x509.load_pem_x509_certificates((tmp_path / "client.pem").read_bytes())[0]
    assert key is not None
    assert key.public_key() == certificate.public_key()
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["client", "server"])
def test_a_certificate_names_its_holder_as_programs_in_go_want_it(tmp_path: Path, name: str) -> None:
    issue(tmp_path, [], 7, NOW)
    certificate = x509.load_pem_x509_certificate((tmp_path / f"{name}.pem").read_bytes())
    assert list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def test_a_folder_without_certificates_names_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(TlsError, match=r"has no ca\.pem") as caught:
        CertificateFolder(tmp_path).check()
    assert caught.value.hint == f"./lab certs {tmp_path} makes them"


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TlsError, match="--name"):
        issue(tmp_path, ["not a name"], 7, NOW)
    assert list(tmp_path.iterdir()) == []

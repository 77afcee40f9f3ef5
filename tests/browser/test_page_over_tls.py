"""The page behind mutual TLS: a browser with the file that `lab certs` makes for it sees it, one without does not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from playwright.sync_api import Error as PlaywrightError

from otel.tls.try_out import BROWSER_FILE, BROWSER_FILE_PASSWORD, CertificateFolder, issue
from tests.browser.conftest import start_backend


@pytest.fixture(name="certificates", scope="module")
def _certificates(tmp_path_factory: pytest.TempPathFactory) -> CertificateFolder:
    return issue(tmp_path_factory.mktemp("tls") / "certs", (), 1.0, dt.datetime.now(dt.UTC))


@pytest.fixture(name="url", scope="module")
def _url(certificates: CertificateFolder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = certificates.path
    files = [
        "--tls-cert",
        folder / "server.pem",
        "--tls-key",
        folder / "server-key.pem",
        "--tls-client-ca",
        folder / "ca.pem",
    ]
    for running in start_backend(tmp_path_factory.mktemp("backend"), *map(str, files)):
        yield running.url.replace("http://", "https://")


@contextmanager
def opened(browser: Browser, url: str, file: Path | None) -> Iterator[Page]:
    # A person makes the browser trust the authority, too; a test leaves the store of this machine alone.
    context = browser.new_context(
        ignore_https_errors=True,
        client_certificates=[{"origin": url, "pfxPath": file, "passphrase": BROWSER_FILE_PASSWORD}] if file else None,
    )
    try:
        page = context.new_page()
        page.goto(url)
        yield page
    finally:
        context.close()


def test_a_browser_with_the_file_of_lab_certs_sees_the_page(
    browser: Browser, url: str, certificates: CertificateFolder
) -> None:
    with opened(browser, url, certificates.path / BROWSER_FILE) as page:
        page.get_by_role("navigation").first.wait_for()


def test_a_browser_without_a_certificate_is_refused(browser: Browser, url: str) -> None:
    with pytest.raises(PlaywrightError, match="net::ERR_"), opened(browser, url, None):
        pass

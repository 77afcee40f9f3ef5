"""What a browser is served: the files of the page, under a base path too, or a Jaeger UI bundle in their place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from otel.backend.ports import Retention
from otel.backend.runner import Backend
from otel.backend.stores.memory import MemoryStore
from tests.inprocess.backend.test_backend import ANY_PORT


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    made = MemoryStore(Retention())
    yield made
    made.close()


async def test_a_base_path_prefixes_every_route(store: MemoryStore) -> None:
    options = replace(ANY_PORT, base_path="/jaeger")
    async with Backend(store, options) as backend, httpx.AsyncClient() as client:
        assert (await client.get(f"{backend.query_url}/api/v3/services")).status_code == 200
        page = await client.get(f"{backend.query_url}/search")
        outside = await client.get(f"http://{backend.addresses['query']}/api/v3/services")
        script = await client.get(f"{backend.query_url}/static/main.js")
        missing = await client.get(f"{backend.query_url}/api/v3/nothing")
        bad = await client.get(f"{backend.query_url}/api/v3/traces")
    assert 'src="/jaeger/static/' in page.text
    assert (outside.status_code, missing.status_code) == (404, 404)
    assert script.headers["content-type"].startswith("text/javascript")
    assert bad.json()["error"]["httpCode"] == 400


@pytest.mark.parametrize("name", ["%00", "%2e%2e%2fapp.py", "main.js%00.png", "a" * 300 + ".js", "a/" * 4000])
async def test_a_name_that_is_no_file_of_the_page_is_not_found(store: MemoryStore, name: str) -> None:
    async with Backend(store, ANY_PORT) as backend, httpx.AsyncClient() as client:
        assert (await client.get(f"{backend.query_url}/static/{name}")).status_code == 404


async def test_a_file_of_the_page_is_not_sent_again_to_who_has_it(store: MemoryStore) -> None:
    async with Backend(store, ANY_PORT) as backend, httpx.AsyncClient(base_url=backend.query_url) as client:
        first = await client.get("/static/main.js")
        etag = first.headers["etag"]
        again = await client.get("/static/main.js", headers={"if-none-match": f'"older", W/{etag}'})
        other = await client.get("/static/dom.js", headers={"if-none-match": etag})
    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert other.status_code == 200
    assert other.headers["etag"] != etag


async def test_a_jaeger_ui_bundle_is_served_with_what_this_backend_can_do(store: MemoryStore, tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "app.js").write_text("app()")
    (tmp_path / "static" / "large.js").write_text("app()\n" * 100_000)
    (tmp_path / "index.html").write_text(
        "<script>const JAEGER_CONFIG = DEFAULT_CONFIG;\n JAEGER_VERSION = DEFAULT_VERSION;\n"
        "JAEGER_BACKEND_CAPABILITIES=DEFAULT_BACKEND_CAPABILITIES;\n"
        "JAEGER_STORAGE_CAPABILITIES = DEFAULT_STORAGE_CAPABILITIES;</script>"
    )
    options = replace(ANY_PORT, jaeger_ui=tmp_path)
    async with Backend(store, options) as backend, httpx.AsyncClient(base_url=backend.query_url) as client:
        page = await client.get("/trace/abc")
        script = await client.get("/static/app.js")
        large = await client.get("/static/large.js")
        api = await client.get("/api/v3/services")
    assert "content-security-policy" not in page.headers
    assert (
        'JAEGER_BACKEND_CAPABILITIES = {"archiveStorage":false,"metricsStorage":true,"aiAssistant":false};' in page.text
    )
    assert 'JAEGER_STORAGE_CAPABILITIES = {"archiveStorage":false,"metricsStorage":true};' in page.text
    assert 'JAEGER_VERSION = {"gitCommit":"","gitVersion":"v2.20.0","buildDate":""};' in page.text
    assert "JAEGER_CONFIG = DEFAULT_CONFIG;" in page.text
    assert (script.text, api.status_code) == ("app()", 200)
    assert large.text == "app()\n" * 100_000

"""Who may ask: a token in the header, in a cookie, or typed into the form; nobody else learns anything."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from otel.backend.api.token_check import COOKIE
from otel.backend.app import close_app, create_app
from otel.backend.ports import Retention
from otel.backend.stores.memory import MemoryStore

TOKEN = "a-token.of~many+characters/42=="
BASE = "http://127.0.0.1"
HTML = {"accept": "text/html,application/xhtml+xml"}


@pytest.fixture(params=["", "/jaeger"])
async def base_path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def client(base_path: str) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(MemoryStore(Retention()), token=TOKEN, base_path=base_path)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE + base_path) as made:
        yield made
    close_app(app)


async def test_without_a_token_nothing_is_told_but_that_it_lives(client: httpx.AsyncClient) -> None:
    for path in ("/api/v3/services", "/api/lab/logs", "/api/traces", "/metrics", "/", "/static/main.js", "/nowhere"):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="tracelab"'), path
        assert answer.text.startswith("401 this backend asks for its token")
    assert (await client.get("/status")).status_code == 200


@pytest.mark.parametrize("kind", ["Bearer", "bearer"])
async def test_a_bearer_token_opens_everything(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.get("/api/v3/services", headers={"authorization": f"{kind} {TOKEN}"})
    assert answer.json() == {"services": []}


@pytest.mark.parametrize(
    "given", [f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer", "Bearer ä", ""]
)
async def test_another_token_opens_nothing(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/api/v3/services", headers=[(b"authorization", given.encode())])
    assert answer.status_code == 401


async def test_a_browser_signs_in_once_and_goes_where_it_wanted(client: httpx.AsyncClient, base_path: str) -> None:
    wanted = f"{base_path}/search?service=a&lookback=5m"
    form = await client.get("/search?service=a&lookback=5m", headers=HTML)
    assert form.status_code == 401
    assert f'value="{wanted.replace("&", "&amp;")}"' in form.text
    signed_in = await client.post("/api/lab/sign-in", data={"token": f" {TOKEN}\n", "next": wanted})
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, wanted)
    cookie = signed_in.headers["set-cookie"].lower()
    assert cookie.startswith(f"{COOKIE}=")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert f"path={base_path or '/'}" in cookie
    assert (await client.get("/api/v3/services")).json() == {"services": []}


async def test_a_wrong_token_shows_the_form_again_and_sets_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/lab/sign-in", data={"token": "wrong", "next": "/map"}, headers=HTML)
    assert answer.status_code == 401
    assert "That is not its token" in answer.text
    assert 'value="/map"' in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("place", ["https://elsewhere.example/", "elsewhere", ""])
async def test_a_sign_in_leads_nowhere_else(client: httpx.AsyncClient, base_path: str, place: str) -> None:
    answer = await client.post("/api/lab/sign-in", data={"token": TOKEN, "next": place})
    assert answer.headers["location"] == f"{base_path}/"


async def test_a_form_that_is_too_large_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/lab/sign-in", data={"token": TOKEN, "next": "/" + "x" * 10_000})
    assert answer.status_code == 413


async def test_what_the_address_says_cannot_become_markup_of_the_form(client: httpx.AsyncClient) -> None:
    form = await client.get('/search?service="><b>', headers=HTML)
    assert "<b>" not in form.text

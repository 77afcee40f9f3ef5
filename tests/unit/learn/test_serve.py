"""The pages answer this machine alone, and run a lesson only for their own pages."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from tracelab.learn.all_lessons import Report
from tracelab.learn.catalogue import lesson_named
from tracelab.learn.page_server import LessonPages, PortInUseError, serve_lessons

BASE = "http://127.0.0.1:8090"
ORIGIN = {"origin": BASE}
EMPTY = {"slug": "retry", "passed": True, "facts": [], "exhibits": []}


class Lessons:
    """Counts runs; waits in each until it is let go."""

    def __init__(self) -> None:
        self.run_count = 0
        self.may_end = threading.Event()
        self.may_end.set()

    def run(self, slug: str) -> Report:
        self.run_count += 1
        self.may_end.wait(10)
        return Report(slug, EMPTY, "")


@pytest.fixture
def lessons() -> Lessons:
    return Lessons()


@pytest.fixture
async def client(lessons: Lessons) -> AsyncIterator[httpx.AsyncClient]:
    pages = LessonPages({slug: lesson_named(slug) for slug in ("retry", "drain")}, lessons.run)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(pages.app()), base_url=BASE) as client:
        yield client


async def test_a_run_by_the_page_itself_is_shown(client: httpx.AsyncClient, lessons: Lessons) -> None:
    answer = await client.post("/lessons/retry/run", headers=ORIGIN, follow_redirects=True)
    assert (answer.status_code, answer.url.path, lessons.run_count) == (200, "/lessons/retry", 1)
    assert "<h2>Explain</h2>" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "null"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "https://127.0.0.1:8090"},
    ],
)
async def test_nobody_else_s_page_can_run_a_lesson(
    headers: dict[str, str], client: httpx.AsyncClient, lessons: Lessons
) -> None:
    assert (await client.post("/lessons/retry/run", headers=headers)).status_code == 403
    assert lessons.run_count == 0


async def test_a_foreign_host_name_is_refused(client: httpx.AsyncClient, lessons: Lessons) -> None:
    foreign = {"host": "evil.example:8090", "origin": "http://evil.example:8090"}
    assert (await client.get("/", headers=foreign)).status_code == 400
    assert (await client.post("/lessons/retry/run", headers=foreign)).status_code == 400
    assert lessons.run_count == 0


async def test_a_get_runs_nothing_and_unknown_names_are_404(client: httpx.AsyncClient, lessons: Lessons) -> None:
    assert (await client.get("/lessons/retry/run")).status_code == 405
    assert (await client.get("/lessons/quantum")).status_code == 404
    assert (await client.post("/lessons/quantum/run", headers=ORIGIN)).status_code == 404
    assert (await client.get("/lessons/retry/traces/0")).status_code == 404
    assert lessons.run_count == 0


async def test_one_lesson_runs_at_a_time(client: httpx.AsyncClient, lessons: Lessons) -> None:
    lessons.may_end.clear()
    first = asyncio.create_task(client.post("/lessons/retry/run", headers=ORIGIN))
    while lessons.run_count == 0:
        await asyncio.sleep(0)
    second = await client.post("/lessons/drain/run", headers=ORIGIN)
    lessons.may_end.set()
    assert second.status_code == 409
    assert (await first).status_code == 303
    assert lessons.run_count == 1


async def test_a_second_click_waits_for_the_run_that_the_first_began(
    client: httpx.AsyncClient, lessons: Lessons
) -> None:
    lessons.may_end.clear()
    clicks = [asyncio.create_task(client.post("/lessons/retry/run", headers=ORIGIN)) for _ in range(2)]
    while lessons.run_count == 0:
        await asyncio.sleep(0)
    lessons.may_end.set()
    answers = [await click for click in clicks]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert {answer.headers["location"] for answer in answers} == {"/lessons/retry#seen"}
    assert lessons.run_count == 1


def test_who_comes_as_soon_as_the_address_is_told_is_not_refused() -> None:
    """The address is printed before uvicorn runs; a browser may be faster than it."""

    class ConnectedError(Exception):
        """Ends the serving where it would begin."""

    def connect(address: str) -> None:
        with socket.create_connection(("127.0.0.1", urlsplit(address).port or 0), timeout=10):
            raise ConnectedError

    with pytest.raises(ConnectedError):
        serve_lessons(0, {}, connect)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} is in use"):
            serve_lessons(port, {}, lambda _: None)

"""`lab learn --serve`: the lessons on a page of this machine, each with a button that runs it.

Listens on loopback alone, answers to names of this machine only, and runs a lesson only when its own page asks: a
POST whose Origin is the page's. A lesson runs in a child process, one at a time.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from otel.viewer.export import export_html
from tracelab.learn.all_lessons import LessonProcesses, Report
from tracelab.learn.catalogue import all_lessons
from tracelab.learn.html_page import SEEN, index_page, lesson_page
from tracelab.learn.lesson import Lesson

HOST = "127.0.0.1"
STOP_GRACE_S = 5

RunLesson = Callable[[str], Report]


class PortInUseError(RuntimeError):
    """The port is taken; the text says which."""


class LessonPages:
    """The pages, and the last report of each lesson. Belongs to one event loop; lessons run in a thread beside it."""

    def __init__(self, lessons: Mapping[str, Lesson], run: RunLesson) -> None:
        self._lessons = lessons
        self._run = run
        self._reports: dict[str, Report] = {}
        self._one_at_a_time = asyncio.Lock()
        self._running = ""

    def app(self) -> Starlette:
        """The application, with its guard."""
        return Starlette(
            routes=[
                Route("/", self.index),
                Route("/lessons/{slug}", self.lesson),
                Route("/lessons/{slug}/run", self.run, methods=["POST"]),
                Route("/lessons/{slug}/traces/{number:int}", self.trace),
            ],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"], www_redirect=False)],
        )

    async def index(self, _request: Request) -> Response:
        """List the lessons."""
        return HTMLResponse(index_page(tuple(self._lessons.values()), prefix="/lessons/"))

    async def lesson(self, request: Request) -> Response:
        """Show one lesson with what its last run showed."""
        slug = request.path_params["slug"]
        lesson, report = self._lessons.get(slug), self._reports.get(slug)
        if lesson is None:
            return PlainTextResponse("404 there is no such lesson; / lists them\n", status_code=404)
        outcome = report.outcome if report else None
        traces = [f"/lessons/{slug}/traces/{n}" for n in range(len(outcome["exhibits"]))] if outcome else []
        complaint = "" if report is None or report.passed else report.line
        slugs = list(self._lessons)
        following = next(((after, f"/lessons/{after}") for after in slugs[slugs.index(slug) + 1 :]), None)
        run_action = f"/lessons/{slug}/run"
        return HTMLResponse(
            lesson_page(
                lesson, outcome, traces, home="/", complaint=complaint, run_action=run_action, following=following
            )
        )

    async def run(self, request: Request) -> Response:
        """Run one lesson and show it; 403 for whoever is not its page, 409 while another runs.

        Who asks again for the one that runs, as by a second click, waits for that run.
        """
        slug = request.path_params["slug"]
        if slug not in self._lessons:
            return PlainTextResponse("404 there is no such lesson; / lists them\n", status_code=404)
        origin = urlsplit(request.headers.get("origin", ""))
        if origin.scheme != "http" or origin.netloc != request.headers.get("host"):
            return PlainTextResponse("403 a lesson is run from its own page only\n", status_code=403)
        is_running = self._one_at_a_time.locked()
        if is_running and self._running != slug:
            return PlainTextResponse("409 another lesson is running; go back and try again\n", status_code=409)
        async with self._one_at_a_time:
            if not is_running:
                self._running = slug
                self._reports[slug] = await asyncio.to_thread(self._run, slug)
        return RedirectResponse(f"/lessons/{slug}#{SEEN}", status_code=303)

    async def trace(self, request: Request) -> Response:
        """Show one trace of a lesson's last run, in the viewer's own view."""
        report = self._reports.get(request.path_params["slug"])
        exhibits = report.outcome["exhibits"] if report and report.outcome else []
        number = request.path_params["number"]
        if number >= len(exhibits):
            return PlainTextResponse("404 this lesson has not been run, or shows no such trace\n", status_code=404)
        return HTMLResponse(await asyncio.to_thread(export_html, exhibits[number]["analysis"]))


def serve_lessons(port: int, environ: Mapping[str, str], on_ready: Callable[[str], None]) -> None:
    """Serve until interrupted; `on_ready` gets the address. Ends a lesson that runs. Raises PortInUseError.

    Who connects as soon as `on_ready` has the address is answered, once the pages are served.
    """
    lessons = {lesson.slug: lesson for lesson in all_lessons()}
    with _listen(port) as listening, closing(LessonProcesses(environ)) as processes:
        server = _Server(LessonPages(lessons, processes.run), processes)
        on_ready(f"http://{HOST}:{listening.getsockname()[1]}/")
        server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """Ends a lesson that runs first, so that the request which waits for it can end."""

    def __init__(self, pages: LessonPages, processes: LessonProcesses) -> None:
        self._processes = processes
        config = uvicorn.Config(
            pages.app(),
            http="h11",  # it bounds what it keeps of a request
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=STOP_GRACE_S,
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._processes.terminate()
        await super().shutdown(sockets)


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen()  # now, not when uvicorn gets to it: until then a browser would be refused
    except OSError as error:
        listening.close()
        raise PortInUseError(f"port {port} is in use") from error
    return listening

"""The query application: Jaeger's API, ours, and the page. Usable in any ASGI server or in-process client."""

from __future__ import annotations

import time
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

import otel
from otel.backend.api import health, lab, lab_metrics, legacy, metrics, prometheus, scrape, stream, v3
from otel.backend.api.answers import not_found, render_error
from otel.backend.api.host_check import HostCheck
from otel.backend.api.pages import Pages, jaeger_pages, viewer_pages
from otel.backend.api.query_threads import Asking
from otel.backend.api.stream import Feed
from otel.backend.api.token_check import TokenCheck
from otel.backend.errors import BackendError
from otel.backend.ports import IngestCounts, TelemetryStore
from otel.backend.viewer_routes import ROUTES as VIEWER_ROUTES

VIEWER_DIR = Path(next(iter(otel.__path__))) / "viewer"
EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def create_app(
    store: TelemetryStore,
    *,
    base_path: str = "",
    jaeger_ui: Path | None = None,
    bound_host: str = "127.0.0.1",
    token: str = "",
    feed: Feed | None = None,
) -> Starlette:
    """Make the application over `store`, which stays the caller's to close.

    `base_path` (such as `/jaeger`) prefixes every route. `jaeger_ui` is the folder of a Jaeger UI bundle that is served
    in place of our page. Where `bound_host` is a loopback address, requests by a foreign host name are refused. With a
    `token`, only those are answered who bring it.
    """
    pages = jaeger_pages(jaeger_ui, base_path) if jaeger_ui else viewer_pages(VIEWER_DIR, base_path)
    routes = _routes(pages)
    app = Starlette(
        routes=[Mount(base_path, routes=routes)] if base_path else routes,
        middleware=[
            Middleware(HostCheck, bound_host=bound_host),
            Middleware(TokenCheck, token=token, base_path=base_path),
        ],
        exception_handlers={HTTPException: not_found, BackendError: render_error, Exception: render_error},
    )
    app.state.asking = Asking(store)
    app.state.feed = feed or Feed()
    app.state.endpoints = {}
    app.state.storage_error = lambda: ""
    app.state.ingest_counts = IngestCounts
    app.state.start_time_unix_nano = time.time_ns()
    return app


def begin_stop(app: Starlette) -> None:
    """Tell `/status` and end the streams, so that the server need not wait for them; queries go on."""
    app.state.stopping = True
    app.state.feed.close()


def close_app(app: Starlette) -> None:
    """End the application's streams and query threads, once its server has stopped."""
    begin_stop(app)
    app.state.asking.close()


def _routes(pages: Pages) -> list[BaseRoute]:
    async def page(request: Request) -> Response:
        return await pages(request)

    return [
        *v3.ROUTES,
        *lab.ROUTES,
        *lab_metrics.ROUTES,
        *prometheus.ROUTES,
        *VIEWER_ROUTES,
        *stream.ROUTES,
        *metrics.ROUTES,
        *legacy.ROUTES,
        *health.ROUTES,
        *scrape.ROUTES,
        Route("/{path:path}", page, methods=EVERY_METHOD),
    ]

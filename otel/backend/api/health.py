"""`GET /status`: the health answer of Jaeger's healthcheckv2, on the query port."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel.backend.api.answers import json_answer
from otel.backend.api.parameters import rfc3339


async def status(request: Request) -> Response:
    """Answer 200 while the backend serves, 503 while it stops."""
    state = request.app.state
    healthy = not getattr(state, "stopping", False)
    now = rfc3339(time.time_ns())
    document = {
        "start_time": rfc3339(state.start_time_unix_nano),
        "healthy": healthy,
        "status": "StatusOK" if healthy else "StatusStopping",
        "status_time": now,
    }
    return json_answer(document, 200 if healthy else 503)


ROUTES = [Route("/status", status, methods=["GET"])]

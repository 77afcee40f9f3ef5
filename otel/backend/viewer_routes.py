"""What only our page asks: a trace as one HTML file, and where this backend takes telemetry in."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel.backend.api.answers import json_answer
from otel.backend.api.lab import trace_analysis, trace_id_of
from otel.backend.api.query_threads import asking_of
from otel.viewer.export import export_html


async def export(request: Request) -> Response:
    """`GET /api/lab/traces/{id}/export`: a download, so that it is never shown under the backend's own origin."""
    asking = asking_of(request)
    trace_id = trace_id_of(request.path_params["trace_id"], "trace id")
    page = await asking(lambda: export_html(trace_analysis(asking.store, trace_id)))
    headers = {
        "content-disposition": f'attachment; filename="trace-{trace_id.hex()}.html"',
        "cache-control": "no-store",
    }
    return Response(page, media_type="text/html", headers=headers)


async def endpoints(request: Request) -> Response:
    """`GET /api/lab/endpoints`: `host:port` of the OTLP receivers; empty where the application runs without them."""
    addresses = request.app.state.endpoints
    return json_answer({"otlpGrpc": addresses.get("otlp_grpc", ""), "otlpHttp": addresses.get("otlp_http", "")})


ROUTES = [
    Route("/api/lab/traces/{trace_id}/export", export, methods=["GET"]),
    Route("/api/lab/endpoints", endpoints, methods=["GET"]),
]

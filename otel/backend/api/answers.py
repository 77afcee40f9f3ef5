"""The shapes of an answer: Jaeger's v3, Jaeger's legacy envelope, Prometheus', and ours; errors in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from otel.backend.errors import MalformedParameterError, NotFoundError, UnanswerableQueryError

JSON = "application/json"
PROBLEM = "application/problem+json"
# Jaeger writes errors with Go's http.Error, which says text/plain although the body is JSON.
PLAIN = "text/plain; charset=utf-8"


def json_answer(document: object, status_code: int = 200) -> Response:
    """Answer with JSON."""
    return Response(orjson.dumps(document), status_code=status_code, media_type=JSON)


def legacy_answer(
    request: Request, data: object, *, total: int = 0, errors: Sequence[Mapping[str, Any]] | None = None
) -> Response:
    """Answer in the legacy envelope; `prettyPrint` indents by four."""
    envelope = {"data": data, "total": total, "limit": 0, "offset": 0, "errors": errors}
    return legacy_document(request, envelope)


def legacy_document(request: Request, document: object) -> Response:
    """Answer with a bare document on a legacy route."""
    if request.query_params.get("prettyPrint", "") in ("", "false"):
        return json_answer(document)
    import json

    return Response(json.dumps(document, indent=4, ensure_ascii=False), media_type=JSON)


def v3_error(status_code: int, message: str) -> Response:
    """Answer with v3's error object."""
    body = orjson.dumps({"error": {"httpCode": status_code, "message": message}}) + b"\n"
    return Response(body, status_code=status_code, headers={"content-type": PLAIN})


def legacy_error(status_code: int, message: str) -> Response:
    """Answer with the legacy envelope and one error in it."""
    envelope = {
        "data": None,
        "total": 0,
        "limit": 0,
        "offset": 0,
        "errors": [{"code": status_code, "msg": message}],
    }
    return Response(orjson.dumps(envelope) + b"\n", status_code=status_code, headers={"content-type": PLAIN})


def problem(status_code: int, title: str, detail: str, kind: str = "") -> Response:
    """Answer with a problem document (RFC 9457)."""
    slug = kind or title.lower().replace(" ", "-")
    body = {"type": f"urn:tracelab:{slug}", "title": title, "status": status_code, "detail": detail}
    return Response(orjson.dumps(body), status_code=status_code, headers={"content-type": PROBLEM})


def prometheus_error(status_code: int, error: Exception, message: str) -> Response:
    """Answer with Prometheus' error object."""
    kind = {400: "bad_data", 404: "not_found", 422: "execution"}.get(status_code, "internal")
    if isinstance(error, MalformedParameterError):
        message = f'invalid parameter "{error.parameter}": {message}'
    return json_answer({"status": "error", "errorType": kind, "error": message}, status_code)


async def render_error(request: Request, error: Exception) -> Response:
    """Answer an error in the shape of the route that was asked: one mapper, four renderers."""
    status_code, title, message = _told(error)
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    if path.startswith("/api/v1/"):
        return prometheus_error(status_code, error, message)
    if path.startswith("/api/lab/"):
        return problem(status_code, title, message)
    return v3_error(status_code, message) if path.startswith("/api/v3/") else legacy_error(status_code, message)


async def not_found(request: Request, error: Exception) -> Response:
    """Answer what no route takes, as Go's mux does."""
    status_code = getattr(error, "status_code", 404)
    if request.scope["path"].removeprefix(request.scope.get("root_path", "")).startswith("/api/lab/"):
        title = HTTPStatus(status_code).phrase
        return problem(status_code, title, f"{request.method} {request.url.path} is not served here")
    return Response("404 page not found\n", status_code=404, headers={"content-type": PLAIN})


def _told(error: Exception) -> tuple[int, str, str]:
    if isinstance(error, MalformedParameterError):
        return 400, f"Malformed {error.parameter}", str(error)
    if isinstance(error, UnanswerableQueryError):
        return 422, "Unanswerable query", str(error)
    if isinstance(error, NotFoundError):
        return 404, "Not found", str(error)
    # The server logs it, once, with its stack: Starlette raises it again after this answer.
    return 500, "Internal error", "internal error; the backend's log has the details"

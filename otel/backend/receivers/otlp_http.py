"""OTLP over HTTP: POST /v1/traces, /v1/logs and /v1/metrics in protobuf or JSON, gzip or plain.

Answers come in the encoding of the request, errors as `google.rpc.Status`. A body is bounded before and after it
is unpacked, so a small bomb cannot fill the memory. Source: opentelemetry-proto specification.md.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Awaitable, Callable, Sequence

from google.protobuf.message import Message
from google.rpc import status_pb2
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from otel.backend.errors import (
    BackendError,
    MalformedTelemetryError,
    OverloadedError,
    StoreFullError,
    TelemetryTooLargeError,
)
from otel.backend.ingest import Ingest
from otel.backend.receivers.otlp_grpc import status_of
from otel.backend.receivers.requests import (
    LogsSignal,
    MetricsSignal,
    Signal,
    TracesSignal,
    json_body,
    parse_json,
    protobuf_submission,
)

MAX_BODY_BYTES = 20 * 1024 * 1024
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
SIGNALS: tuple[Signal, ...] = (TracesSignal(), LogsSignal(), MetricsSignal())
# zlib's number for "expect a gzip header", with the largest window.
GZIP_WINDOW_BITS = 16 + zlib.MAX_WBITS
# Each member costs a copy of what follows it; senders make one.
MAX_GZIP_MEMBERS = 64


def otlp_http_app(ingest: Ingest, cors_origins: Sequence[str] = ()) -> Starlette:
    """Make the application; browsers of other origins may send only where `cors_origins` names theirs (or `*`)."""
    routes = [Route(f"/v1/{signal.name}", _endpoint(signal, ingest), methods=["POST"]) for signal in SIGNALS]
    middleware = []
    if cors_origins:
        middleware.append(
            Middleware(CORSMiddleware, allow_origins=list(cors_origins), allow_methods=["POST"], allow_headers=["*"])
        )
    return Starlette(routes=routes, middleware=middleware)


def _endpoint(signal: Signal, ingest: Ingest) -> Callable[[Request], Awaitable[Response]]:
    async def export(request: Request) -> Response:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in (PROTOBUF, JSON):
            return PlainTextResponse(f"415 unsupported media type, supported: [{JSON}, {PROTOBUF}]", status_code=415)
        try:
            body = await _body(request)
            if media_type == JSON:
                submission = signal.submission(parse_json(body, signal), len(body))
            else:
                submission = protobuf_submission(body, signal)
            await ingest.submit(submission)
        except BackendError as error:
            return _error(error, media_type)
        except ClientDisconnect:
            return Response(status_code=400)
        return _answer(signal.response(submission), media_type)

    return export


def _answer(message: Message, media_type: str, status_code: int = 200) -> Response:
    body = json_body(message) if media_type == JSON else message.SerializeToString()
    return Response(body, status_code=status_code, media_type=media_type)


def _error(error: BackendError, media_type: str) -> Response:
    if media_type == JSON:
        status = status_pb2.Status(code=status_of(error).code, message=str(error))
    else:
        status = status_of(error)
    response = _answer(status, media_type, _status_code(error))
    if isinstance(error, OverloadedError):
        response.headers["retry-after"] = str(math.ceil(error.retry_after_s))
    return response


def _status_code(error: BackendError) -> int:
    if isinstance(error, OverloadedError):
        return 429
    if isinstance(error, TelemetryTooLargeError):
        return 413
    if isinstance(error, MalformedTelemetryError):
        return 400
    return 503 if isinstance(error, StoreFullError) else 500


async def _body(request: Request) -> bytes:
    encoding = request.headers.get("content-encoding", "identity").strip().lower() or "identity"
    if encoding not in ("identity", "none", "gzip"):
        raise MalformedTelemetryError(f"content encoding '{encoding}' is not one of gzip, identity")
    parts: list[bytes] = []
    size_bytes = 0
    async for part in request.stream():
        size_bytes += len(part)
        if size_bytes > MAX_BODY_BYTES:
            raise _too_large()
        parts.append(part)
    body = b"".join(parts)
    return _unpacked(body) if encoding == "gzip" else body


def _unpacked(body: bytes) -> bytes:
    """Unpack gzip, which may be several members in a row, to at most the limit."""
    out = bytearray()
    rest = body
    try:
        for _ in range(MAX_GZIP_MEMBERS):
            if not rest:
                return bytes(out)
            unpacker = zlib.decompressobj(GZIP_WINDOW_BITS)
            out += unpacker.decompress(rest, MAX_BODY_BYTES + 1 - len(out))
            if len(out) > MAX_BODY_BYTES:
                raise _too_large()
            if not unpacker.eof:
                raise MalformedTelemetryError("the body ends in the middle of its gzip stream")
            rest = unpacker.unused_data
    except zlib.error as error:
        raise MalformedTelemetryError("the body is not gzip, although its content encoding says so") from error
    if rest:
        raise MalformedTelemetryError(f"the body has more than {MAX_GZIP_MEMBERS} gzip members")
    return bytes(out)


def _too_large() -> TelemetryTooLargeError:
    return TelemetryTooLargeError(f"the body is larger than {MAX_BODY_BYTES} bytes; send smaller batches")

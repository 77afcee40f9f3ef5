"""The page: our viewer's files, or an unmodified Jaeger UI bundle, at every path that no API takes.

Source of the replacements in Jaeger's `index.html`: jaeger internal/extension/jaegerquery/internal/static_handler.go.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
import re
from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from otel.backend.api.answers import not_found
from otel.backend.errors import NotFoundError

HTML = "text/html; charset=utf-8"
# Nothing but our own files; no inline script or style, no frame around the page.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# Types that a browser must be told rightly, whatever the system's own table says.
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json"}
SERVED_SUFFIXES = frozenset({".js", ".css", ".svg", ".html", ".json", ".png", ".ico", ".woff2", ".map", ".txt"})
READ_AT_ONCE_BYTES = 65_536
"""Up to this size a file is read where it is asked for: our page has fifty, and threads take four times the CPU."""
JAEGER_VERSION = {"gitCommit": "", "gitVersion": "v2.20.0", "buildDate": ""}
BACKEND_CAPABILITIES = {"archiveStorage": False, "metricsStorage": True, "aiAssistant": False}
STORAGE_CAPABILITIES = {"archiveStorage": False, "metricsStorage": True}
EMPTY_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>gRPC Trace Lab</title></head>
<body><h1>gRPC Trace Lab</h1><p>The page's files are not installed. The query API answers under <code>/api/</code>;
<code>./lab traces</code> lists what is stored.</p></body></html>
"""


class Pages:
    """Serves a folder with `index.html` at its top; files under `/static/` come from `static_dir`."""

    def __init__(self, index: Path, static_dir: Path, *, base_path: str = "", jaeger_ui: bool = False) -> None:
        self._index = index
        self._static_dir = static_dir.resolve()
        self._base_path = base_path
        self._jaeger_ui = jaeger_ui

    async def __call__(self, request: Request) -> Response:
        """Answer a path that no API route took."""
        path = request.scope["path"].removeprefix(self._base_path)
        if path == "/api" or path.startswith("/api/"):
            return await not_found(request, NotFoundError())
        if request.method not in ("GET", "HEAD"):
            return Response("405 method not allowed\n", status_code=405, media_type="text/plain")
        if path.startswith("/static/"):
            return self._static(path.removeprefix("/static/"), request) or await not_found(request, NotFoundError())
        if path in ("/favicon.ico", "/robots.txt"):
            return self._static(path.removeprefix("/"), request) or await not_found(request, NotFoundError())
        return self._page()

    def _page(self) -> Response:
        if not self._index.is_file():
            return self._with_headers(Response(EMPTY_PAGE, headers={"content-type": HTML}))
        text = self._index.read_text("utf-8")
        text = jaeger_index(text) if self._jaeger_ui else based_index(text, self._base_path)
        response = Response(text, headers={"content-type": HTML, "cache-control": "no-cache"})
        return response if self._jaeger_ui else self._with_headers(response)

    def _static(self, name: str, request: Request) -> Response | None:
        try:
            file = (self._static_dir / name).resolve()
            is_file = file.is_file()
        except (OSError, ValueError):  # of a name that no file system has: too long, with a null character
            return None
        if not is_file or not file.is_relative_to(self._static_dir):
            return None
        if file.suffix not in SERVED_SUFFIXES and not self._jaeger_ui:
            return None
        media_type = MEDIA_TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        headers = {"cache-control": "no-cache"}  # which is: ask before you take what you have
        if file.stat().st_size > READ_AT_ONCE_BYTES:
            return self._with_headers(FileResponse(file, media_type=media_type, headers=headers))
        content = file.read_bytes()
        headers["etag"] = etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        if etag in (tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")):
            return self._with_headers(Response(status_code=304, headers=headers))
        return self._with_headers(Response(content, media_type=media_type, headers=headers))

    def _with_headers(self, response: Response) -> Response:
        response.headers["x-content-type-options"] = "nosniff"
        response.headers["referrer-policy"] = "no-referrer"
        if not self._jaeger_ui:
            response.headers["content-security-policy"] = CONTENT_SECURITY_POLICY
        return response


def viewer_pages(viewer_dir: Path, base_path: str = "") -> Pages:
    """Serve our own viewer."""
    return Pages(viewer_dir / "index.html", viewer_dir, base_path=base_path)


def jaeger_pages(bundle_dir: Path, base_path: str = "") -> Pages:
    """Serve an unmodified Jaeger UI bundle: `index.html` and `static/`."""
    return Pages(bundle_dir / "index.html", bundle_dir / "static", base_path=base_path, jaeger_ui=True)


def based_index(text: str, base_path: str) -> str:
    """Let the viewer's index find its files under the base path."""
    return re.sub(r'((?:src|href)=")/static/', rf"\g<1>{base_path}/static/", text) if base_path else text


def jaeger_index(text: str) -> str:
    """Tell a Jaeger UI what this backend can do, in the words of both 2.19 and 2.20."""
    assignments = {
        "JAEGER_VERSION": ("DEFAULT_VERSION", JAEGER_VERSION),
        "JAEGER_BACKEND_CAPABILITIES": ("DEFAULT_BACKEND_CAPABILITIES", BACKEND_CAPABILITIES),
        "JAEGER_STORAGE_CAPABILITIES": ("DEFAULT_STORAGE_CAPABILITIES", STORAGE_CAPABILITIES),
    }
    for name, (default, value) in assignments.items():
        injected = f"{name} = {json.dumps(value, separators=(',', ':')).replace('<', chr(92) + 'u003c')};"
        text = re.sub(rf"{name}\s*=\s*{default}\s*;", _always(injected), text)
    return text


def _always(text: str) -> Callable[[re.Match[str]], str]:
    return lambda _: text

"""The guard of a query API that is not for everybody: a bearer token in the header or, for the page, in a cookie.

A browser that brings neither is shown a form; what is typed there is answered with a cookie that scripts cannot read
and other sites cannot send. `/status` stays open, since health checks carry no secrets. Source: RFC 6750, RFC 6265bis.
"""

from __future__ import annotations

import hmac
import html
from typing import Final
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE: Final = "tracelab_query_token"
SIGN_IN: Final = "/api/lab/sign-in"
STATUS: Final = "/status"
CHALLENGE: Final = {"www-authenticate": 'Bearer realm="tracelab"', "cache-control": "no-store"}
MOST_FORM_BYTES: Final = 8192
_FORM: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in - gRPC Trace Lab</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
main {{ max-width: 24rem; margin: 20vh auto 0; padding: 0 1rem }}
input, button {{ font: inherit; padding: .4rem .6rem; width: 100%; box-sizing: border-box; margin-top: .5rem }}
</style>
<main>
<h1>gRPC Trace Lab</h1>
<form method="post" action="{action}">
<label for="token">{sentence}</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<input name="next" type="hidden" value="{next}">
<button>Sign in</button>
</form>
</main>
</html>
"""


class TokenCheck:
    """Lets through who knows `token`; with an empty one, everybody. Holds nothing between requests."""

    def __init__(self, app: ASGIApp, token: str, base_path: str = "") -> None:
        self._app = app
        self._token = token.encode()
        self._base_path = base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it here."""
        if scope["type"] != "http" or not self._token or scope["path"] == f"{self._base_path}{STATUS}":
            await self._app(scope, receive, send)
        elif scope["method"] == "POST" and scope["path"] == f"{self._base_path}{SIGN_IN}":
            await (await self._sign_in(Request(scope, receive)))(scope, receive, send)
        elif self._is_known(Headers(scope=scope)):
            await self._app(scope, receive, send)
        else:
            await self._refusal(Request(scope, receive))(scope, receive, send)

    def _is_known(self, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._is_token(token.strip()):
            return True
        return self._is_token(cookie_parser(headers.get("cookie", "")).get(COOKIE, ""))

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token)

    def _refusal(
        self, request: Request, sentence: str = "This backend asks for its token, LAB_QUERY_TOKEN."
    ) -> Response:
        if "text/html" not in request.headers.get("accept", "") or request.method not in {"GET", "HEAD", "POST"}:
            text = "401 this backend asks for its token: Authorization: Bearer TOKEN, or LAB_QUERY_TOKEN for ./lab\n"
            return PlainTextResponse(text, status_code=401, headers=CHALLENGE)
        place = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return self._form(place, sentence)

    def _form(self, place: str, sentence: str) -> Response:
        action = html.escape(f"{self._base_path}{SIGN_IN}", quote=True)
        page = _FORM.format(action=action, sentence=html.escape(sentence), next=html.escape(place, quote=True))
        return HTMLResponse(page, status_code=401, headers=CHALLENGE)

    async def _sign_in(self, request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_FORM_BYTES:
                return PlainTextResponse("413 a form of at most 8 KiB is taken\n", status_code=413)
        fields = _fields_of(body)
        place = fields.get("next", "")
        if not _is_of_this_site(place):
            place = f"{self._base_path}/"
        if not self._is_token(fields.get("token", "").strip()):
            return self._form(place, "That is not its token. Try again.")
        answer = RedirectResponse(place, status_code=303)
        answer.set_cookie(
            COOKIE,
            self._token.decode(),
            path=self._base_path or "/",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer


def _fields_of(body: bytes) -> dict[str, str]:
    """The fields of a form, the last of a name; what is no UTF-8 is replaced."""
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _is_of_this_site(place: str) -> bool:
    """Whether a redirect there stays here: a path, and nothing that a browser would read as another host."""
    return place.startswith("/") and not place.startswith(("//", "/\\")) and place.isprintable()

"""Questions over HTTP with JSON in the answer, and every way in which that fails as a sentence."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from otel.query.errors import BackendUnreachableError, MalformedTokenError, QueryRefusedError, UnreadableAnswerError
from otel.tls.reasons import CLIENT_HINT, reason_for_client

SIGN_IN_HINT = "LAB_QUERY_TOKEN holds it, for readers as for the backend"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def make_client(
    url: str,
    timeout_s: float,
    transport: httpx.BaseTransport | None = None,
    token: str = "",
    tls: ssl.SSLContext | None = None,
) -> httpx.Client:
    """Make a client for `url`, which brings `token`; the environment's proxies are for other machines only.

    By https it trusts and shows what `tls` says, or trusts what httpx does. Raises MalformedTokenError.
    """
    if not (token.isascii() and token.isprintable()):  # a header holds nothing else
        raise MalformedTokenError
    return httpx.Client(
        timeout=timeout_s,
        verify=True if tls is None else tls,
        transport=transport,
        trust_env=_host(url) not in _LOOPBACK,
        follow_redirects=True,
        headers={"accept": "application/json", **({"authorization": f"Bearer {token}"} if token else {})},
    )


@dataclass(frozen=True, slots=True)
class Words:
    """What a kind of backend is called, whose API it speaks, and how to name one that does."""

    what: str
    api: str
    naming_hint: str


TRACE_BACKEND = Words(
    "trace backend", "a Jaeger query API", "name the query API with LAB_QUERY_URL, such as http://127.0.0.1:16686"
)


class JsonEndpoint:
    """One backend by its base URL. Safe to share between threads, as httpx's client is.

    `hint` is for one that does not answer, `words` are what it is called to a person.
    """

    def __init__(self, url: str, client: httpx.Client, hint: str, words: Words = TRACE_BACKEND) -> None:
        self.url = url.rstrip("/")
        self._client = client
        self._hint = hint
        self._words = words

    def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        """Ask for `path`; None for a 404. Raises QueryError."""
        return self._asked("GET", path, params=dict(params or {}))

    def get_if_served(self, path: str, params: Mapping[str, str]) -> dict[str, Any] | None:
        """Ask for what not every engine has; None where it has not. Raises QueryError."""
        try:
            return self.get(path, params)
        except UnreadableAnswerError:  # a single-page application answers every unknown path with its page
            return None

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """Ask `path` what is too long for an address; None for a 404. Raises QueryError."""
        return self._asked("POST", path, json=dict(body))

    def _asked(self, method: str, path: str, **question: Any) -> dict[str, Any] | None:
        try:
            response = self._client.request(method, self.url + path, **question)
        except httpx.TimeoutException as error:
            raise BackendUnreachableError(
                f"the {self._words.what} at {self.url} did not answer within {_timeout_text(self._client)}", self._hint
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:  # the last of a host with an odd label
            reason = _reason(error)
            hint = CLIENT_HINT if reason_for_client(str(error)) else self._hint
            raise BackendUnreachableError(f"no {self._words.what} answers at {self.url} ({reason})", hint) from error
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.status_code == httpx.codes.UNAUTHORIZED:
            raise QueryRefusedError(
                f"{self.url} asks for its token, or for another", response.status_code, SIGN_IN_HINT
            )
        if response.is_error:
            raise QueryRefusedError(
                f"{self.url} refused the question: {_error_message(response)}", response.status_code
            )
        return self._object(response)

    def get_known(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Ask for a path that every Jaeger query API has: there a 404 means that something else answers."""
        answer = self.get(path, params)
        if answer is None:
            raise self.unreadable(f"404 for {path}")
        return answer

    def unreadable(self, seen: str) -> UnreadableAnswerError:
        """Make the error of an answer that is not what this API gives, by what was seen in its place."""
        said = f"{self.url} answers, but not as {self._words.api} does ({seen})"
        return UnreadableAnswerError(said, self._words.naming_hint)

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self.unreadable(response.headers.get("content-type", "no content type"))
        return answer


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # no URL, as the first question will say
        return None


def _error_message(response: httpx.Response) -> str:
    # Jaeger sends its JSON errors as text/plain, so the content type says nothing.
    try:
        body = json.loads(response.text)
    except ValueError:
        body = None
    if isinstance(body, dict):
        error = body.get("error")
        candidates = [error, body.get("detail"), body.get("title")]
        if isinstance(error, dict):  # Jaeger's word for it, and OpenSearch's
            candidates[:1] = [error.get("message"), error.get("reason")]
        for message in candidates:
            if isinstance(message, str) and message:
                return message
    return f"HTTP {response.status_code}"


def _reason(error: Exception) -> str:
    text = str(error).lower()
    if reason := reason_for_client(text):
        return reason
    if "refused" in text:
        return "connection refused"
    if "name or service not known" in text or "nodename" in text or "resolution" in text:
        return "host name not found"
    return text or type(error).__name__


def _timeout_text(client: httpx.Client) -> str:
    return f"{client.timeout.read:g} s" if client.timeout.read is not None else "the time allowed"

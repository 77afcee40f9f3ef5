"""The messages of a request, from JSON: one object, or for a stream several, in a list or one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from tracelab.own.contract import Contract, Method
from tracelab.own.errors import RequestDataError

FORM_HINT = (
    "the request is JSON with the fields of %s, such as '{}'; @FILE reads it from a file, @- from standard input"
)
# These are JSON lists by themselves, so that a list of them cannot be told from one of them.
_LISTS = frozenset({"google.protobuf.ListValue", "google.protobuf.Value"})


def request_text(data: str, stdin: IO[str]) -> str:
    """Give the text that `data` names: itself, a file's with `@FILE`, standard input's with `@-`."""
    if data == "@-":
        return stdin.read()
    if data.startswith("@"):
        try:
            return Path(data[1:]).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise RequestDataError(f"{data[1:]} is not UTF-8") from error
    return data


def request_messages(text: str, method: Method, contract: Contract) -> list[Message]:
    """Read the messages of a call to `method`; RequestDataError says what is wrong, and where."""
    hint = FORM_HINT % method.request_type.DESCRIPTOR.name
    documents = list(_documents(text, hint))
    if len(documents) == 1 and isinstance(documents[0], list) and method.takes_a_stream and not _is_list(method):
        documents = documents[0]
    if not method.takes_a_stream and len(documents) != 1:
        kind = f"{method.full_name} is {method.kind.value} and takes one message"
        raise RequestDataError(f"{kind}, {len(documents)} were given", hint)
    return [_message(document, method, contract, hint) for document in documents]


def _documents(text: str, hint: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    at = 0
    while rest := text[at:].lstrip():
        at = len(text) - len(rest)
        try:
            document, end = decoder.raw_decode(rest)
        except (json.JSONDecodeError, RecursionError) as error:
            line = text.count("\n", 0, at + getattr(error, "pos", 0)) + 1
            reason = getattr(error, "msg", "it is nested too deep").lower()
            raise RequestDataError(f"the request is not JSON: {reason} in line {line}", hint) from error
        at += end
        yield document


def _message(document: Any, method: Method, contract: Contract, hint: str) -> Message:
    message = method.request_type()
    name = message.DESCRIPTOR.full_name
    # protobuf takes an empty list for an empty message; its own types may be any JSON
    if not isinstance(document, dict) and not name.startswith("google.protobuf."):
        raise RequestDataError(f"the request is no {name}: it is no JSON object", hint)
    try:
        return ParseDict(document, message, descriptor_pool=contract.pool)
    except (ParseError, TypeError, AttributeError, ValueError, RecursionError) as error:
        # The last four are how protobuf answers JSON of another shape than its own types have.
        reason = " ".join(str(error).split()).rstrip(".") if isinstance(error, ParseError) else "it has another form"
        raise RequestDataError(f"the request is no {name}: {reason}", hint) from error


def _is_list(method: Method) -> bool:
    return method.request_type.DESCRIPTOR.full_name in _LISTS

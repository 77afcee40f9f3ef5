"""A strict check of JSON against a shape: every key is known, every type is exact, what must be there is.

A shape is a type, a compiled pattern (a string that matches it whole), a list of one shape, a dict whose keys may end
in `?` for optional, a tuple of alternatives, or None for null.
"""

from __future__ import annotations

import re
from typing import Any

DIGITS = re.compile(r"\d+")
SIGNED_DIGITS = re.compile(r"-?\d+")
HEX_32 = re.compile(r"[0-9a-f]{32}")
HEX_16 = re.compile(r"[0-9a-f]{16}")
HEX_16_OR_32 = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}")
BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
NAME = re.compile(r".+", re.DOTALL)
ANY = object()


def check(document: Any, shape: Any, path: str = "$") -> None:
    """Fail with the path of the first difference."""
    if shape is ANY:
        return
    if shape is None:
        assert document is None, f"{path} is {document!r}, not null"
    elif isinstance(shape, tuple):
        _check_alternatives(document, shape, path)
    elif isinstance(shape, re.Pattern):
        assert isinstance(document, str), f"{path} is no string: {document!r}"
        assert shape.fullmatch(document), f"{path} is {document!r}, not {shape.pattern}"
    elif isinstance(shape, list):
        assert isinstance(document, list), f"{path} is no list: {document!r}"
        for index, element in enumerate(document):
            check(element, shape[0], f"{path}[{index}]")
    elif isinstance(shape, dict):
        _check_object(document, shape, path)
    else:
        assert type(document) is shape or (shape is float and type(document) is int), (
            f"{path} is {document!r}, not {shape.__name__}"
        )


def _check_object(document: Any, shape: dict[str, Any], path: str) -> None:
    assert isinstance(document, dict), f"{path} is no object: {document!r}"
    known = {key.rstrip("?"): inner for key, inner in shape.items()}
    missing = [key for key in shape if not key.endswith("?") and key not in document]
    assert not missing, f"{path} lacks {missing}"
    for key, value in document.items():
        assert key in known, f"{path}.{key} is not known"
        check(value, known[key], f"{path}.{key}")


def _check_alternatives(document: Any, shapes: tuple[Any, ...], path: str) -> None:
    failures = []
    for shape in shapes:
        try:
            check(document, shape, path)
        except AssertionError as error:
            failures.append(str(error))
        else:
            return
    raise AssertionError(" / ".join(failures))


VALUE: dict[str, Any] = {
    "stringValue?": str,
    "boolValue?": bool,
    "intValue?": SIGNED_DIGITS,
    "doubleValue?": (float, re.compile("NaN|-?Infinity")),
    "bytesValue?": BASE64,
    "arrayValue?": ANY,
    "kvlistValue?": ANY,
}
ATTRIBUTES = [{"key": str, "value": VALUE}]
SPAN = {
    "traceId": HEX_32,
    "spanId": HEX_16,
    "parentSpanId?": HEX_16,
    "traceState?": str,
    "flags?": int,
    "name": NAME,
    "kind?": int,
    "startTimeUnixNano": DIGITS,
    "endTimeUnixNano": DIGITS,
    "attributes?": ATTRIBUTES,
    "droppedAttributesCount?": int,
    "events?": [{"timeUnixNano": DIGITS, "name?": str, "attributes?": ATTRIBUTES, "droppedAttributesCount?": int}],
    "droppedEventsCount?": int,
    "links?": [
        {
            "traceId": HEX_32,
            "spanId": HEX_16,
            "traceState?": str,
            "attributes?": ATTRIBUTES,
            "droppedAttributesCount?": int,
            "flags?": int,
        }
    ],
    "droppedLinksCount?": int,
    "status": {"message?": str, "code?": int},
}
SCOPE = {"name?": str, "version?": str, "attributes?": ATTRIBUTES, "droppedAttributesCount?": int}
RESOURCE = {"attributes?": ATTRIBUTES, "droppedAttributesCount?": int, "entityRefs?": ANY}
V3_TRACE = {
    "result": {
        "resourceSpans": [
            {
                "resource": RESOURCE,
                "scopeSpans": [{"scope": SCOPE, "spans": [SPAN], "schemaUrl?": str}],
                "schemaUrl?": str,
            }
        ]
    }
}
V3_SERVICES = {"services": [NAME]}
V3_OPERATIONS = {"operations": [{"name": str, "spanKind": re.compile("internal|server|client|producer|consumer")}]}
V3_SUMMARIES = {
    "summaries": [
        {
            "traceId": HEX_32,
            "rootServiceName?": NAME,
            "rootOperationName?": NAME,
            "minStartTimeUnixNano": DIGITS,
            "maxEndTimeUnixNano": DIGITS,
            "spanCount?": int,
            "errorSpanCount?": int,
            "orphanSpanCount?": int,
            "services": [{"name": NAME, "spanCount?": int, "errorSpanCount?": int}],
        }
    ]
}
V3_ERROR = {"error": {"httpCode": int, "message": NAME}}


def envelope(data: Any, errors: Any = None) -> dict[str, Any]:
    """The legacy envelope around a shape."""
    return {"data": data, "total": int, "limit": int, "offset": int, "errors": errors}


TAG = (
    {"key": str, "type": re.compile("string|binary"), "value": str},
    {"key": str, "type": re.compile("bool"), "value": bool},
    {"key": str, "type": re.compile("int64"), "value": (int, SIGNED_DIGITS)},
    {"key": str, "type": re.compile("float64"), "value": (float, str)},
)
LEGACY_SPAN = {
    "traceID": HEX_16_OR_32,
    "spanID": HEX_16,
    "operationName": str,
    "references": [{"refType": re.compile("CHILD_OF|FOLLOWS_FROM"), "traceID": HEX_16_OR_32, "spanID": HEX_16}],
    "startTime": int,
    "duration": int,
    "tags": [TAG],
    "logs": [{"timestamp": int, "fields": [TAG]}],
    "processID": re.compile(r"p\d+"),
    "warnings": (None, [str]),
}
LEGACY_TRACE = {
    "traceID": HEX_16_OR_32,
    "spans": [LEGACY_SPAN],
    "processes": ANY,
    "warnings": (None, [str]),
}
LEGACY_TRACES = envelope([LEGACY_TRACE])
LEGACY_ERROR = envelope(None, [{"code": int, "msg": NAME, "traceID?": str}])
DEPENDENCIES = envelope([{"parent": NAME, "child": NAME, "callCount": int, "source?": str}], (None, []))
METRICS = {
    "name": NAME,
    "type": re.compile("GAUGE"),
    "help": str,
    "metrics": [
        {
            "labels": [{"name": NAME, "value": str}],
            "metricPoints": [
                {
                    "gaugeValue": {"doubleValue": (float, re.compile("NaN"))},
                    "timestamp": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"),
                }
            ],
        }
    ],
}

#!/usr/bin/env bash
# OTLP's JSON through protobuf's JSON reader: the hex trace id is taken for base64, without an error, and becomes 24 bytes;
# written as JSON again it looks right. Only who reads the bytes sees that every id is wrong.
# A guess: it works (OTLP/JSON is "protobuf's JSON mapping"), or it is refused.
# Source: opentelemetry-proto, docs/specification.md, "JSON Protobuf Encoding" (ids are hex, not base64).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check protobuf==7.36.2 opentelemetry-proto==1.45.2
timeout 60 "$work/venv/bin/python" - <<'PY'
import json
import platform

import google.protobuf
from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SENT = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "kind": 2, "name": "a span"}
span = json_format.Parse(json.dumps(SENT), Span())
written = json.loads(json_format.MessageToJson(span))
right = json.loads(json_format.MessageToJson(Span(trace_id=bytes.fromhex(SENT["traceId"]), kind=2)))
print(f"versions: protobuf {google.protobuf.__version__}, opentelemetry-proto 1.45.2, Python {platform.python_version()}")
print("read:         ", SENT["traceId"], "->", len(span.trace_id), "bytes,", span.trace_id.hex())
print("written again:", written["traceId"], "- the same text:", written["traceId"] == SENT["traceId"])
print("a right id of 16 bytes is written as", right["traceId"], "and its kind as", right["kind"])
print("guess: 16 bytes, or an error")
print("behavior: 32 hex digits happen to be valid base64, so nothing fails and a round trip hides it")
assert len(span.trace_id) == 24 and len(span.span_id) == 12, "the ids are refused or right now"
assert written["traceId"] == SENT["traceId"] and right["kind"] == "SPAN_KIND_SERVER", "writing has changed"
PY

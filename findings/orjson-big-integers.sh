#!/usr/bin/env bash
# orjson reads an integer beyond 64 bits as a float, silently: of a 128-bit trace id as a number 53 bits
# are kept and two ids become equal. It refuses to write the same number. A guess: the exact int, as json gives, or an error.
# Source: orjson#473 (the wish for a stricter reader).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check orjson==3.13.0
timeout 60 "$work/venv/bin/python" - <<'PY'
import json
import platform

import orjson

number = 0x5B8EFFF798038103D269B633813FC60C
text = f'{{"trace_id": {number}}}'
by_json, by_orjson = json.loads(text)["trace_id"], orjson.loads(text)["trace_id"]
neighbor = orjson.loads(f'{{"trace_id": {number + 1}}}')["trace_id"]
try:
    orjson.dumps(number)
    written = "taken"
except TypeError as error:
    written = f"refused, {error}"
print(f"versions: orjson {orjson.__version__}, Python {platform.python_version()}")
print(f"json.loads:   {by_json!r}, exact {by_json == number}")
print(f"orjson.loads: {by_orjson!r}, exact {by_orjson == number}, equal to the next id's {by_orjson == neighbor}")
print(f"orjson.dumps: {written}")
print("guess: the same int, or an error as in dumps")
print("behavior: a float; reading and writing do not mirror each other")
assert by_json == number and isinstance(by_orjson, float) and by_orjson == neighbor, "the behavior has changed"
assert written.startswith("refused"), "dumps takes it now"
PY

#!/usr/bin/env bash
# Starlette's FileResponse sends an ETag and a Last-Modified date, and answers a browser that shows them again with 200 and the
# whole file. Its StaticFiles answers 304, by code of its own around the same response.
# A guess: who sends an ETag compares it (RFC 9110, section 13.1.2). Source: Kludex/starlette#2955, an offer to add it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check starlette==1.10.0 httpx==0.28.1
cat >"$work/main.py" <<'PY'
import asyncio
import pathlib
import platform
import sys

import httpx
import starlette
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

folder = pathlib.Path(sys.argv[1], "files")
folder.mkdir()
(folder / "page.js").write_text("x" * 1000)


async def by_hand(request):
    return FileResponse(folder / "page.js")


async def main():
    print(f"versions: starlette {starlette.__version__}, Python {platform.python_version()}")
    application = Starlette(routes=[Route("/by-hand/page.js", by_hand), Mount("/static", StaticFiles(directory=folder))])
    seen = {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://localhost") as client:
        for path in ("/by-hand/page.js", "/static/page.js"):
            first = await client.get(path)
            again = await client.get(path, headers={"if-none-match": first.headers["etag"]})
            seen[path] = (again.status_code, len(again.content))
            print(f"{path}: ETag {first.headers['etag'][:9]}…; shown again: {again.status_code}, {len(again.content)} bytes")
    print("guess: 304 without a body, twice")
    print("behavior: a page of fifty files by FileResponse is sent whole at every visit")
    assert seen == {"/by-hand/page.js": (200, 1000), "/static/page.js": (304, 0)}, "the behavior has changed"


asyncio.run(main())
PY
timeout 60 "$work/venv/bin/python" "$work/main.py" "$work"

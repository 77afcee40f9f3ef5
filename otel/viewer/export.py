"""One self-contained HTML file that shows a trace offline, made from the page's own modules.

The modules go into the file as an import map of data: addresses, since a page opened from a disk may not load modules
from beside it. Its Content-Security-Policy forbids every connection: what is exported can't call home.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

VIEWER_DIR = Path(__file__).parent
ENTRY = "export_main.js"
STYLES = ("theme.css", "page.css", "controls.css", "trace.css", "waterfall.css", "span.css", "diagram.css")
_IMPORT = re.compile(r"""^(import\s[^;]*?from\s+|import\s+)"\./([\w.]+\.js)";""", re.MULTILINE)
_PREFIX = "tracelab/"
"""What bare names of modules begin with in the file."""


def export_html(analysis: Mapping[str, Any]) -> str:
    """Write the trace of `analysis`, the body of `GET /api/lab/traces/{id}/analysis`, as a page of its own.

    Foreign text ends up as JSON in an element that no browser executes, with every `<` escaped. Reads the page's files
    on each call; pure otherwise, safe in any thread.
    """
    boot = _read("theme_boot.js")
    imports = {f"{_PREFIX}{name}": _data_address(source) for name, source in _modules(ENTRY).items()}
    import_map = json.dumps({"imports": imports}, indent=0)
    start = f'import "{_PREFIX}{ENTRY}";'
    styles = "\n".join(_read(name) for name in STYLES)
    policy = (
        f"default-src 'none'; script-src data: {_hash(boot)} {_hash(import_map)} {_hash(start)}; "
        f"style-src {_hash(styles)}; img-src data:; base-uri 'none'; form-action 'none'"
    )
    title = html.escape(f"{analysis.get('rootServiceName', '')} {analysis.get('rootOperation', '')}".strip()[:200])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title} · gRPC Trace Lab</title>
<link rel="icon" href="data:image/svg+xml;base64,{_base64(_read("icon.svg"))}">
<style>{styles}</style>
<script>{boot}</script>
<script type="importmap">{import_map}</script>
</head>
<body>
<noscript><p class="noscript">This file draws a trace with JavaScript, which is off.</p></noscript>
<script type="application/json" id="analysis">{_json_in_html(analysis)}</script>
<script type="module">{start}</script>
</body>
</html>
"""


def _modules(entry: str) -> dict[str, str]:
    """Give the sources of `entry` and of all that it imports, by name, their imports turned into bare names."""
    found: dict[str, str] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        source = _read(name)
        waiting.extend(imported for _, imported in _IMPORT.findall(source))
        found[name] = _IMPORT.sub(rf'\1"{_PREFIX}\2";', source)
    return dict(sorted(found.items()))


def _read(name: str) -> str:
    return (VIEWER_DIR / name).read_text("utf-8")


def _json_in_html(value: Mapping[str, Any]) -> str:
    # U+2028 and U+2029 are fine in JSON, and `<` is all that could end the element.
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _data_address(source: str) -> str:
    return f"data:text/javascript;charset=utf-8;base64,{_base64(source)}"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"

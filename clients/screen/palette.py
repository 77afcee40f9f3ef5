"""Colours, each with one meaning; a word or a mark always stands beside it.

A service has one colour, the same in every trace and on the page. Chosen to be legible on dark and on light.
"""

from __future__ import annotations

import zlib

KNOWN_SERVICES = {
    "demo": "#7a869a",
    "cli": "#7a869a",
    "report": "#3b82f6",
    "user": "#2f9e44",
    "order": "#e8890c",
}
OTHER_SERVICES = ("#9c59d1", "#0c9fb3", "#c2648f", "#a0763b", "#5c7cfa", "#6f9e1e")

ERROR = "bold red"
WARNING = "#b8790b"
QUIET = "dim"
STRONG = "bold"
FASTER = "green"
SLOWER = "red"


def service_style(service_name: str) -> str:
    """Give the colour of a service: fixed for the lab's own, by name for any other."""
    known = KNOWN_SERVICES.get(service_name)
    return known or OTHER_SERVICES[zlib.crc32(service_name.encode("utf-8", "replace")) % len(OTHER_SERVICES)]

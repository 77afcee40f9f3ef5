"""Who can reach what listens at an address: this machine alone, or others, who would then read along."""

from __future__ import annotations

import ipaddress

LOCAL_NAMES = frozenset({"localhost"})


def is_loopback(host: str) -> bool:
    """Say whether a name or address always means this machine."""
    if host in LOCAL_NAMES or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

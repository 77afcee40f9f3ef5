"""Where the environment names a proxy, this machine is exempt from it, beside all that was exempt before."""

from __future__ import annotations

import pytest

from otel.instrument.loopback import bypass_proxies

LOOPBACK = "localhost,127.0.0.1,::1"


@pytest.mark.parametrize(
    ("environ", "added"),
    [
        ({}, {}),
        ({"no_proxy": "intern"}, {}),
        ({"http_proxy": "http://p"}, {"no_proxy": LOOPBACK}),
        ({"HTTPS_PROXY": "http://p"}, {"no_proxy": LOOPBACK}),
        ({"grpc_proxy": "http://p", "no_proxy": "a, b"}, {"no_proxy": f"a,b,{LOOPBACK}"}),
        ({"all_proxy": "http://p", "NO_PROXY": "a"}, {"no_proxy": f"a,{LOOPBACK}"}),
        ({"http_proxy": "http://p", "no_proxy": "::1,localhost,a"}, {"no_proxy": "::1,localhost,a,127.0.0.1"}),
        (
            {"http_proxy": "http://p", "no_grpc_proxy": "a"},
            {"no_proxy": LOOPBACK, "no_grpc_proxy": f"a,{LOOPBACK}"},
        ),
        ({"http_proxy": ""}, {}),
    ],
)
def test_loopback_is_added_to_what_is_exempt(environ: dict[str, str], added: dict[str, str]) -> None:
    seen = dict(environ)
    bypass_proxies(seen)
    assert seen == {**environ, **added}
    bypass_proxies(seen)
    assert seen == {**environ, **added}

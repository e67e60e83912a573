"""HTTPRedirect and HTTPDirectResponse -> answers that the proxy gives itself (spec 5.5)."""

from __future__ import annotations

from typing import Final, cast

from meshd import plan
from meshd.compiler.http.matches import Scheme
from meshd.resources.answers import content
from meshd.resources.virtual_service import HTTPDirectResponse, HTTPRedirect

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def redirect(asked: HTTPRedirect, port: int, scheme: Scheme) -> plan.Redirect:
    """`port` and `scheme`: those by which the client came."""
    return plan.Redirect(
        code=cast("plan.RedirectCode", asked.redirect_code),
        authority=asked.authority,
        scheme=asked.scheme,
        port=_port(asked, port, scheme),
        path=asked.uri,
        prefix=asked.prefix_rewrite,
    )


def respond(asked: HTTPDirectResponse) -> plan.Respond:
    return plan.Respond(status=asked.status, body=content(asked.body) if asked.body else b"")


def _port(asked: HTTPRedirect, port: int, scheme: Scheme) -> int | None:
    """V-62: the port that its scheme implies is not written, as long as none of the request's own is in its place.

    Without a new authority Envoy keeps the port of the client's Host, all but 80 and 443 when the scheme changes.
    """
    if asked.derive_port == "FROM_PROTOCOL_DEFAULT":
        return None
    wanted = port if asked.derive_port == "FROM_REQUEST_PORT" else asked.port
    implied = wanted == _DEFAULT_PORTS[asked.scheme or scheme]
    return None if implied and (asked.authority or port == _DEFAULT_PORTS[scheme]) else wanted

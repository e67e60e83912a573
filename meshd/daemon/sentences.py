"""What is wrong with a proxy or a revision, in a sentence."""

from __future__ import annotations

from meshd.control import Json
from meshd.daemon.status import Proxy, told
from meshd.problems import errors
from meshd.reconcile import Rejection


def healthy(proxy: Proxy) -> bool:
    return proxy.state == "LIVE" and proxy.connected and proxy.acknowledged


def ailment(proxy: Proxy) -> str:
    if proxy.state != "LIVE":
        return f"{proxy.name} is {proxy.state}"
    if not proxy.connected:
        return f"{proxy.name} is not connected to meshd ({proxy.mode})"
    return ": ".join([f"{proxy.name} has not acknowledged", *proxy.rejections[:1]])


def rejection_sentence(rejection: Rejection) -> str:
    bad = errors(rejection.problems)
    count = f"{len(bad)} error{'' if len(bad) == 1 else 's'}"
    return f"{rejection.revision[:12]} rejected, {count}: {bad[0]}" if bad else f"{rejection.revision[:12]} rejected"


def rejection_body(rejection: Rejection) -> Json:
    message = f"{rejection.revision[:12]} is rejected; the host keeps what it runs"
    return {"message": message, "revision": rejection.revision, "problems": told(rejection.problems)}

"""What a RouteRule does with requests -> the fields of an HTTPRoute; extras for what these cannot say (section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from meshd.convert.faults import fault
from meshd.convert.report import Report
from meshd.problems import Origin
from meshd.registry.settings import MeshSettings
from meshd.resources.answers import HTTPRedirect, HTTPRewrite
from meshd.resources.cors import CorsPolicy
from meshd.resources.extras import HTTPRouteExtras, RetryExtras, TimeoutExtras
from meshd.resources.headers import HeaderOperations, Headers
from meshd.resources.legacy.cors import CorsPolicy as OldCors
from meshd.resources.legacy.http_answers import HTTPRedirect as OldRedirect
from meshd.resources.legacy.http_answers import HTTPRewrite as OldRewrite
from meshd.resources.legacy.http_policies import HTTPRetry as OldRetry
from meshd.resources.legacy.http_policies import HTTPTimeout, SimpleRetryPolicy
from meshd.resources.legacy.route_rule import RouteRule
from meshd.resources.retry import HTTPRetry
from meshd.resources.string_match import StringMatch

TIMEOUT: Final = timedelta(seconds=15)
RETRY_ON: Final = "5xx,connect-failure,refused-stream"
"""What v1alpha1 did without being told (section 8)."""
_FOUND: Final = 302


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """`fields` of an HTTPRoute that forwards: all but its name, match, destinations and mirror."""

    fields: Mapping[str, Any]
    extras: HTTPRouteExtras


def redirect(old: OldRedirect) -> HTTPRedirect:
    return HTTPRedirect(uri=old.uri or None, authority=old.authority or None, redirect_code=_FOUND, origin=old.origin)


def defaults(settings: MeshSettings, at: Origin) -> dict[str, Any]:
    """Of a route that no rule speaks of: those of v1alpha1 (C-RR-03)."""
    if not settings.preserve_v1alpha1_defaults:
        return {}
    return {"timeout": TIMEOUT, "retries": HTTPRetry(attempts=0, origin=at)}


def actions(rule: RouteRule, settings: MeshSettings, report: Report) -> Actions:
    """Of a rule that does not redirect."""
    faults = fault(rule.http_fault, report)
    fields = {
        **defaults(settings, rule.origin),
        **_given(
            rewrite=_rewrite(rule.rewrite),
            timeout=_timeout(rule.http_req_timeout),
            retries=_retries(rule.http_req_retries, settings, report),
            fault=faults.fault,
            cors_policy=_cors(rule.cors_policy),
            headers=_headers(rule.append_headers, rule.origin.at("appendHeaders")),
        ),
    }
    extras = HTTPRouteExtras(
        websocket_upgrade=rule.websocket_upgrade,
        timeout=_timeout_extras(rule.http_req_timeout, report),
        retries=_retry_extras(rule.http_req_retries, settings, report),
        delay=faults.delay,
        abort=faults.abort,
    )
    return Actions(fields=fields, extras=extras)


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _rewrite(old: OldRewrite | None) -> HTTPRewrite | None:
    if old is None:
        return None
    return HTTPRewrite(uri=old.uri or None, authority=old.authority or None, origin=old.origin)


def _headers(appended: Mapping[str, str], at: Origin) -> Headers | None:
    if not appended:
        return None
    return Headers(request=HeaderOperations(add=dict(sorted(appended.items())), origin=at), origin=at)


def _cors(old: OldCors | None) -> CorsPolicy | None:
    if old is None:
        return None
    at = old.origin.at("allowOrigin")
    return CorsPolicy(
        allow_origins=tuple(_origin(text, at.item(index)) for index, text in enumerate(old.allow_origin)),
        allow_methods=old.allow_methods,
        allow_headers=old.allow_headers,
        expose_headers=old.expose_headers,
        max_age=old.max_age,
        allow_credentials=old.allow_credentials,
        origin=old.origin,
    )


def _origin(text: str, at: Origin) -> StringMatch:
    return StringMatch(regex=".*", origin=at) if text == "*" else StringMatch(exact=text, origin=at)


# --- time and tries -------------------------------------------------------------------------------------------


def _timeout(old: HTTPTimeout | None) -> timedelta | None:
    return old.simple_timeout.timeout if old and old.simple_timeout else None


def _timeout_extras(old: HTTPTimeout | None, report: Report) -> TimeoutExtras | None:
    if old is None:
        return None
    header = old.simple_timeout.override_header_name if old.simple_timeout else None
    if header is not None and old.simple_timeout:
        _lose_header("timeout", old.simple_timeout.origin, report)
    if old.custom is not None:
        lose_custom(old.origin, report)
    return TimeoutExtras(header=header, custom=old.custom) if header is not None or old.custom is not None else None


def _retries(old: OldRetry | None, settings: MeshSettings, report: Report) -> HTTPRetry | None:
    simple = old.simple_retry if old else None
    if simple is None:
        return None
    if simple.attempts == 0:
        if simple.per_try_timeout is not None and simple.override_header_name is None:
            at = simple.origin.at("perTryTimeout")
            report.add("N-RETRY", at, "perTryTimeout is left out: it means nothing without attempts")
        return HTTPRetry(attempts=0, origin=simple.origin)
    return _tried_again(simple, settings, report)


def _tried_again(simple: SimpleRetryPolicy, settings: MeshSettings, report: Report) -> HTTPRetry:
    message = "a retry goes to another host than the tries before it, where there is one; in v1alpha1 to any"
    report.add("N-RETRY", simple.origin, message)
    return HTTPRetry(
        attempts=simple.attempts,
        per_try_timeout=simple.per_try_timeout,
        retry_on=RETRY_ON if settings.preserve_v1alpha1_defaults else None,
        origin=simple.origin,
    )


def _retry_extras(old: OldRetry | None, settings: MeshSettings, report: Report) -> RetryExtras | None:
    if old is None:
        return None
    if old.custom is not None:
        lose_custom(old.origin, report)
        return RetryExtras(custom=old.custom)
    simple = old.simple_retry
    if simple is None or simple.override_header_name is None:
        return None
    _lose_header("number of retries", simple.origin, report)
    if simple.attempts:
        return RetryExtras(header=simple.override_header_name)
    return RetryExtras(
        header=simple.override_header_name,
        retry_on=RETRY_ON if settings.preserve_v1alpha1_defaults else None,
        per_try_timeout=simple.per_try_timeout,
    )


def _lose_header(what: str, at: Origin, report: Report) -> None:
    message = f"no VirtualService can take the {what} from a header; extras say it to meshd"
    report.add("L-EXTRA", at.at("overrideHeaderName"), message)


def lose_custom(at: Origin, report: Report, field: str = "custom") -> None:
    message = "Envoy's own messages have no place in today's API; extras hold this one for meshd"
    report.add("L-CUSTOM", at.at(field), message)

"""A tunnel of the plan -> how Envoy asks for it, and what it shows the proxy on the way.

The credentials never come here: Envoy reads their file itself, and again when it is exchanged.
"""

from __future__ import annotations

from typing import Final, assert_never

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.config.listener.v3.listener_components_pb2 import ListenerFilter
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.matching.common_inputs.network.v3.network_inputs_pb2 import FilterStateInput
from xds.core.v3.extension_pb2 import TypedExtensionConfig as Extension
from xds.type.matcher.v3.matcher_pb2 import Matcher
from xds.type.matcher.v3.regex_pb2 import RegexMatcher
from xds.type.matcher.v3.string_pb2 import StringMatcher
from xds.type.v3.typed_struct_pb2 import TypedStruct

from meshd.envoy.led_on import AUTHORITY, HOST
from meshd.envoy.ordered_chains import take
from meshd.envoy.wire import packed
from meshd.plan import Tunnel

CREDENTIALS: Final = b"FILE_CONTENT("
"""These bytes stand wherever a file of credentials is named, and nowhere else."""
HEADER_VALUE: Final = "[!-~]+( [ -~]*[!-~])?"
"""What such a header can be: visible characters, with blanks between them."""
_SHOWN: Final = "meshd.proxy_authorization"

# Newer than xds-protos, so neither can be written as its own message.
_TYPES: Final = "type.googleapis.com/envoy.extensions."
_FILE_CONTENT: Final = {
    "name": "envoy.formatter.file_content",
    "typed_config": {"@type": f"{_TYPES}formatter.file_content.v3.FileContent"},
}


def naming(file: str) -> bytes:
    """What a rendered listener has that shows the content of this file."""
    return CREDENTIALS + f"{file}:".encode()


def tunneling(tunnel: Tunnel) -> TcpProxy.TunnelingConfig:
    return TcpProxy.TunnelingConfig(
        hostname=_authority(tunnel),
        use_post=tunnel.use_post,
        headers_to_add=[_shown()] if tunnel.credentials else [],
    )


def credential_filters(credentials: str) -> list[ListenerFilter]:
    """A header of a tunnel cannot read files, but what a filter before it has read."""
    if not credentials:
        return []
    text = f"%FILE_CONTENT({credentials}:{credentials.rpartition('/')[0] or '/'})%"
    format_string = {"text_format_source": {"inline_string": text}, "formatters": [_FILE_CONTENT]}
    shown = {"object_key": _SHOWN, "factory_key": "envoy.string", "format_string": format_string}
    settings = TypedStruct(type_url=f"{_TYPES}filters.listener.set_filter_state.v3.Config")
    settings.value.update({"on_accept": [shown]})
    return [ListenerFilter(name="envoy.filters.listener.set_filter_state", typed_config=packed(settings))]


def unless_header(chain: str) -> Matcher:
    """Whose credentials can be no header finds no chain: Envoy would send nothing, and the client wait for ever."""
    shown = Extension(name="FilterStateInput", typed_config=packed(FilterStateInput(key=_SHOWN)))
    pattern = StringMatcher(safe_regex=RegexMatcher(google_re2=RegexMatcher.GoogleRE2(), regex=HEADER_VALUE))
    single = Matcher.MatcherList.Predicate.SinglePredicate(input=shown, value_match=pattern)
    rule = Matcher.MatcherList.FieldMatcher(
        predicate=Matcher.MatcherList.Predicate(single_predicate=single), on_match=take(chain)
    )
    return Matcher(matcher_list=Matcher.MatcherList(matchers=[rule]))


def _authority(tunnel: Tunnel) -> str:
    match tunnel.by:
        case "plan":
            return tunnel.authority
        case "endpoint":
            return "%DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID%"
        case "host":
            return f"%FILTER_STATE({HOST}:PLAIN)%:{tunnel.port}"
        case "authority":
            return f"%FILTER_STATE({AUTHORITY}:PLAIN)%"
        case _ as unknown:
            assert_never(unknown)


def _shown() -> HeaderValueOption:
    return HeaderValueOption(header=HeaderValue(key="proxy-authorization", value=f"%FILTER_STATE({_SHOWN}:PLAIN)%"))

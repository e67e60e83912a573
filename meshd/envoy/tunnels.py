"""A tunnel of the plan -> how Envoy asks for it, and what it shows the proxy on the way.

The credentials never come here: Envoy reads their file itself, and again when it is exchanged.
"""

from __future__ import annotations

from typing import Final, assert_never

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from xds.type.v3.typed_struct_pb2 import TypedStruct

from meshd.envoy.formats import text_format
from meshd.envoy.led_on import AUTHORITY, HOST, network_state, state
from meshd.envoy.wire import packed
from meshd.plan import Tunnel

CREDENTIALS: Final = b"FILE_CONTENT("
"""These bytes stand wherever a file of credentials is named, and nowhere else."""
_SHOWN: Final = "meshd.proxy_authorization"

# Newer than xds-protos, so it cannot be written as its own message.
_FILE_CONTENT: Final = TypedExtensionConfig(
    name="envoy.formatter.file_content",
    typed_config=packed(
        TypedStruct(type_url="type.googleapis.com/envoy.extensions.formatter.file_content.v3.FileContent")
    ),
)


def naming(file: str) -> bytes:
    """What a rendered listener has that shows the content of this file."""
    return CREDENTIALS + f"{file}:".encode()


def tunneling(tunnel: Tunnel) -> TcpProxy.TunnelingConfig:
    return TcpProxy.TunnelingConfig(
        hostname=_authority(tunnel),
        use_post=tunnel.use_post,
        headers_to_add=[_shown()] if tunnel.credentials else [],
    )


def credential_filters(tunnel: Tunnel | None) -> list[Filter]:
    """A header of a tunnel cannot read files, but what a filter before it has read."""
    if tunnel is None or not tunnel.credentials:
        return []
    directory = tunnel.credentials.rpartition("/")[0] or "/"
    text = text_format(f"%FILE_CONTENT({tunnel.credentials}:{directory})%")
    text.formatters.append(_FILE_CONTENT)
    return [network_state(state(_SHOWN, text))]


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

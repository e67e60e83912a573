"""Texts with commands such as `%REQ(:authority)%` -> the messages by which Envoy fills them in."""

from __future__ import annotations

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from google.protobuf.json_format import Parse
from google.protobuf.struct_pb2 import Struct


def text_format(text: str) -> SubstitutionFormatString:
    return SubstitutionFormatString(text_format_source=DataSource(inline_string=text))


def json_format(text: str) -> SubstitutionFormatString:
    """What a line has nothing to say of is left out of it."""
    return SubstitutionFormatString(json_format=Parse(text, Struct()), omit_empty_values=True)

"""YAML documents come in; frozen objects, made as their annotations say, and all problems go out.

Knows the vocabulary of `fields.py` and the frame of an object (`apiVersion`, `kind`, `metadata`, `spec`); which kinds
there are, it is told.
"""

from __future__ import annotations

from meshd.decode.decoders import decode_message
from meshd.decode.durations import format_duration, parse_duration
from meshd.decode.objects import DecodedFile, Kinds, ResourceKind, decode_document, decode_file

__all__ = [
    "DecodedFile",
    "Kinds",
    "ResourceKind",
    "decode_document",
    "decode_file",
    "decode_message",
    "format_duration",
    "parse_duration",
]

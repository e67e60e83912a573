"""Any YAML value comes in; the same as JSON has it goes out. For what is handed on and read by somebody else."""

from __future__ import annotations

from typing import cast

from meshd.decode.report import WRONG, Report
from meshd.decode.scalars import boolean, integer, number, reading, text
from meshd.documents import Mapping, Node, Scalar, Sequence
from meshd.documents.nodes import is_null
from meshd.fields import Json

_SCALARS = {"boolean": boolean, "integer": integer, "number": number}


def json_value(node: Node, path: str, report: Report) -> object:
    if type(node) is Mapping:
        entries = {key.text: json_value(child, f"{path}.{key.text}", report) for key, child in node.entries}
        return WRONG if WRONG in entries.values() else entries
    if type(node) is Sequence:
        items = tuple(json_value(child, f"{path}[{index}]", report) for index, child in enumerate(node.items))
        return WRONG if WRONG in items else items
    return _scalar(cast("Scalar", node), path, report)


def _scalar(node: Scalar, path: str, report: Report) -> object:
    if is_null(node):
        return None
    decode = _SCALARS.get(reading(node.text) if node.plain else "text", text)
    return decode(node, path, report)


def plain_json(value: Json) -> object:
    """As `json.dumps` takes it."""
    if isinstance(value, dict):
        return {key: plain_json(each) for key, each in value.items()}
    return [plain_json(each) for each in value] if isinstance(value, tuple) else value

"""One file comes in; its objects, each of the kind that it says it is, go out, with every problem of the file."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar, cast

from meshd.decode.decoders import decoder, message_decoder
from meshd.decode.report import WRONG, Report
from meshd.decode.scalars import describe, text
from meshd.documents import Document, Mapping, Node, Scalar, Sequence, documents
from meshd.documents.nodes import is_null
from meshd.problems import Problems, ResourceId, in_order


class ResourceKind(Protocol):
    """What a class must say of itself to be decoded; see `Resource` in `resources/`."""

    KIND: ClassVar[str]
    GROUP: ClassVar[str]
    VERSIONS: ClassVar[tuple[str, ...]]  # none: any version will do
    SPEC: ClassVar[str]


R = TypeVar("R", bound=ResourceKind)

LEGACY_GROUP: Final = "config.istio.io"
"""Its kinds were written without `apiVersion` too (spec GP-06)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds(Generic[R]):
    """The kinds to decode, and by group the names of those that this version knows but does not act on."""

    types: tuple[type[R], ...]
    not_yet: MappingOf[str, tuple[str, ...]]

    def groups(self) -> frozenset[str]:
        return frozenset({kind.GROUP for kind in self.types} | self.not_yet.keys())

    def names(self, group: str) -> tuple[str, ...]:
        return (*(kind.KIND for kind in self.types if group == kind.GROUP), *self.not_yet.get(group, ()))

    def find(self, group: str, name: str) -> type[R] | None:
        return next((kind for kind in self.types if name == kind.KIND and group == kind.GROUP), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedFile(Generic[R]):
    """`resources` are those without an error; `skipped` counts the objects of other API groups."""

    resources: tuple[R, ...]
    problems: Problems
    skipped: int


def decode_file(file: str, content: bytes, kinds: Kinds[R]) -> DecodedFile[R]:
    """Everything in a file. A function of its arguments: the same bytes need decoding only once."""
    found, problems = documents(file, content)
    report = Report(file)
    reader = _Reader(kinds, report)
    for document in found:
        reader.document(document)
    return _result(reader, (*problems, *report.problems))


def decode_document(document: Document, kinds: Kinds[R]) -> DecodedFile[R]:
    """The object of one document, or the objects, when it is a List."""
    report = Report(document.file)
    reader = _Reader(kinds, report)
    reader.document(document)
    return _result(reader, tuple(report.problems))


def _result(reader: _Reader[R], problems: Problems) -> DecodedFile[R]:
    return DecodedFile(
        resources=tuple(reader.resources),
        problems=in_order(problems) if problems else (),
        skipped=reader.skipped,
    )


# --- one object -----------------------------------------------------------------------------------------------

_PARTS: Final = ("apiVersion", "kind", "metadata", "spec", "status")

SERVER_WRITTEN: Final = frozenset(
    {
        "clusterName",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "initializers",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
"""What a Kubernetes API server adds to metadata, and `kubectl get -o yaml` prints. It means nothing here."""

_OLD_TYPES: Final = {
    "route-rule": "RouteRule",
    "destination-policy": "DestinationPolicy",
    "egress-rule": "EgressRule",
    "ingress-rule": "IngressRule",
}
"""What stood as `type` where `kind` stands now, in 2017."""

_KUBERNETES_INGRESS: Final = frozenset({"extensions", "networking.k8s.io"})

_RENAMED: Final = {"ExternalService": "ServiceEntry"}

_NOT_OURS: Final = "keep files that are no mesh resources out of `repository.path`"


class _Reader(Generic[R]):
    """Reads the objects of one file."""

    def __init__(self, kinds: Kinds[R], report: Report) -> None:
        self._kinds = kinds
        self._groups = kinds.groups()
        self._report = report
        self.resources: list[R] = []
        self.skipped = 0

    def document(self, document: Document) -> None:
        self._object(document.root, "")

    def _object(self, root: Node, at: str) -> None:
        """`at`: the path of the object, ending in a dot; empty for a whole document."""
        self._report.resource = None
        if type(root) is not Mapping:
            message = f"an object must be a mapping, not {describe(root)}"
            self._report.add("E-TYPE", root, at.rstrip("."), message, _NOT_OURS)
            return
        parts = {key.text: value for key, value in root.entries if not is_null(value)}
        api, name = self._word(parts, "apiVersion", at), self._word(parts, "kind", at)
        if api is None or name is None:
            return
        if (api, name) == ("v1", "List"):
            self._list(parts, root, at)
        elif kind := self._kind(api, name, parts, root, at):
            self._resource(kind, parts, root, at)

    def _word(self, parts: dict[str, Node], part: str, at: str) -> str | None:
        """A part that is a word; empty when it is absent, None when it is wrong."""
        if part not in parts:
            return ""
        word = text(parts[part], at + part, self._report)
        return None if word is WRONG else str(word)

    def _list(self, parts: dict[str, Node], root: Mapping, at: str) -> None:
        """What `kubectl get -o yaml` prints for several objects."""
        items = parts.get("items", Sequence((), root.line, root.column))
        if type(items) is not Sequence:
            self._report.add("E-TYPE", items, f"{at}items", f"needs a list, not {describe(items)}")
            return
        for index, item in enumerate(items.items):
            self._object(item, f"{at}items[{index}].")

    # --- which kind -------------------------------------------------------------------------------------------

    def _kind(self, api: str, name: str, parts: dict[str, Node], root: Mapping, at: str) -> type[R] | None:
        """The kind of an object; None when it is not for us, or when what is wrong has been reported."""
        group, _, version = api.rpartition("/")
        if not api and name in self._kinds.names(LEGACY_GROUP):
            group, version = LEGACY_GROUP, ""
        elif not api or not name:
            self._nameless(name, parts, root, at)
            return None
        if group not in self._groups:
            self._foreign(group, name, parts, at)
            return None
        kind = self._kinds.find(group, name)
        if kind is None:
            self._unknown_kind(group, name, parts["kind"], at)
        elif version and kind.VERSIONS and version not in kind.VERSIONS:
            message = f"{version!r} is not a version of {name} that this version of meshd reads"
            self._report.add(
                "E-KIND", parts["apiVersion"], f"{at}apiVersion", message, f"use {group}/{kind.VERSIONS[-1]}"
            )
            return None
        return kind

    def _nameless(self, name: str, parts: dict[str, Node], root: Mapping, at: str) -> None:
        group = next((group for group in sorted(self._groups) if name in self._kinds.names(group)), "")
        kind = self._kinds.find(group, name)
        if kind is not None:
            hint = f"write `apiVersion: {group}/{kind.VERSIONS[-1]}`"
        elif not name and (renamed := _OLD_TYPES.get(_word_at(parts.get("type")))):
            hint = f"`type` is of early 2017: write `kind: {renamed}`, and the name as `metadata: {{name: ...}}`"
        elif parts.keys() & {"apiVersion", "kind"}:
            hint = "every object starts with `apiVersion:` and `kind:`"
        else:
            hint = _NOT_OURS
        missing = [part for part in ("apiVersion", "kind") if part not in parts]
        message = f"{missing[0]} is missing" if len(missing) == 1 else "apiVersion and kind are missing"
        self._report.add("E-KIND", root, at.rstrip("."), message, hint)

    def _foreign(self, group: str, name: str, parts: dict[str, Node], at: str) -> None:
        """Another API group: skipped, unless it looks like ours misspelt, which would be skipped in silence."""
        if name == "Ingress" and group in _KUBERNETES_INGRESS and self._kinds.find(LEGACY_GROUP, "IngressRule"):
            message = "meshd does not act on the Ingress of Kubernetes"
            self._report.add("E-KIND-INGRESS", parts["kind"], f"{at}kind", message, "write a Gateway or an IngressRule")
            return
        meant = [ours for ours in self._groups if name in self._kinds.names(ours) and _near(group, ours)]
        if not meant:
            self.skipped += 1
            return
        hint = f"did you mean {meant[0]!r}?"
        self._report.add("E-KIND", parts["apiVersion"], f"{at}apiVersion", f"no API group {group!r} has a {name}", hint)

    def _unknown_kind(self, group: str, name: str, node: Node, at: str) -> None:
        if name in self._kinds.not_yet.get(group, ()):
            message = f"{name} is a kind that this version of meshd reads, but does not act on yet"
            self._report.add("E-UNSUPPORTED", node, f"{at}kind", message, "remove the object, or keep it elsewhere")
            return
        renamed = _RENAMED.get(name)
        hint = f"it is called {renamed!r} now" if renamed else self._report.nearest(name, self._kinds.names(group))
        self._report.add("E-KIND", node, f"{at}kind", f"{group} has no kind {name!r}", hint)

    # --- one resource -----------------------------------------------------------------------------------------

    def _resource(self, kind: type[R], parts: dict[str, Node], root: Mapping, at: str) -> None:
        report = self._report
        report.resource = _identity(kind.KIND, parts.get("metadata"))
        before = report.errors
        self._check_parts(kind, root, parts, at)
        metadata = self._metadata(kind, parts.get("metadata"), at)
        spec = _spec(kind, parts["spec"], f"{at}spec", report) if "spec" in parts else None
        if report.errors > before or spec is None:
            return
        resource = message_decoder(kind, _METADATA).make({**spec, "metadata": metadata}, report)
        if report.errors == before:
            self.resources.append(cast("R", resource))

    def _check_parts(self, kind: type[R], root: Mapping, parts: dict[str, Node], at: str) -> None:
        for key, _ in root.entries:
            if key.text == "type" and _OLD_TYPES.get(_word_at(parts.get("type"))) == kind.KIND:
                self._report.add("W-LEGACY", key, f"{at}type", "kind says it already", "remove it")
            elif key.text not in _PARTS:
                hint = self._report.nearest(key.text, _PARTS)
                self._report.add("E-FIELD", key, at + key.text[:64], "there is no such field", hint)
        for part in ("metadata", "spec"):
            if part not in parts:
                self._report.add("E-REQUIRED", root, at + part, "is required")

    def _metadata(self, kind: type[R], node: Node | None, at: str) -> object:
        if node is None:
            return WRONG
        if type(node) is Mapping:
            kept = tuple(entry for entry in node.entries if entry[0].text not in SERVER_WRITTEN)
            node = Mapping(kept, node.line, node.column)
        return decoder(_annotation(kind, "metadata"))(node, f"{at}metadata", self._report)


_METADATA: Final = frozenset({"metadata"})


def _spec(kind: type[ResourceKind], node: Node, path: str, report: Report) -> dict[str, object] | None:
    """The attributes that come from the spec: one for each field, or the whole of it in one."""
    if not kind.SPEC:
        return message_decoder(kind, _METADATA).read(node, path, report)
    spec: Any = decoder(_annotation(kind, kind.SPEC))(node, path, report)
    return None if spec is WRONG else {kind.SPEC: spec, "origin": spec.origin}


def _annotation(kind: type[ResourceKind], attribute: str) -> Any:  # noqa: ANN401
    return message_decoder(kind).annotation(attribute)


def _word_at(node: Node | None) -> str:
    return node.text if type(node) is Scalar else ""


def _identity(kind: str, metadata: Node | None) -> ResourceId | None:
    """Which object it is, as far as that can be told before anything is checked."""
    if type(metadata) is not Mapping:
        return None
    words = {key.text: value.text for key, value in metadata.entries if type(value) is Scalar and not is_null(value)}
    if "name" not in words:
        return None
    return ResourceId(kind=kind, namespace=words.get("namespace", "default"), name=words["name"])


def _near(group: str, ours: str) -> bool:
    """A slip of the keyboard; `networking.k8s.io` is none."""
    return len(group) < 64 and SequenceMatcher(None, group, ours).ratio() >= 0.9

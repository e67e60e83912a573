"""manifest.json: which resources a generation consists of, by version, and which lines they came from.

Bodies are not in it. A manifest of another format, or one that was damaged, is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from meshd.deliver.pack import DamagedError, digest
from meshd.envoy.resource import CLUSTER, LISTENER, ROUTES, SECRET, EnvoyResource, TypeUrl
from meshd.names import ProxyName, RevisionId
from meshd.problems import Origin, ResourceId

FORMAT = 3

_WORDS: dict[TypeUrl, str] = {CLUSTER: "cluster", LISTENER: "listener", ROUTES: "routes", SECRET: "secret"}
_TYPES = {word: type_url for type_url, word in _WORDS.items()}
_NO_DIGEST = "0" * 32
_BREAK = ",\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A resource without its body."""

    type_url: TypeUrl
    name: str
    version: str
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What a generation is, for people and for `status`. `time` is when it was staged."""

    number: int
    revision: RevisionId
    meshd: str
    envoy: str
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    label: Label
    packs: tuple[str, ...]
    proxies: Mapping[ProxyName, tuple[Entry, ...]]


def written(label: Label, packs: Iterable[str], lines: Mapping[ProxyName, Iterable[str]]) -> bytes:
    """`lines`: what `line` makes of every resource; they are the bulk, and few of them are new."""
    head = json.dumps(
        {
            "format": FORMAT,
            "digest": _NO_DIGEST,
            "generation": label.number,
            "revision": label.revision,
            "meshd": label.meshd,
            "envoy": label.envoy,
            "time": label.time.isoformat(),
            "packs": sorted(packs),
        },
        indent=1,
    )
    proxies = ",".join(f'"{proxy}": [{_BREAK.join(of)}]' for proxy, of in lines.items())
    text = head.removesuffix("\n}") + f',\n "proxies": {{{proxies}}}\n}}\n'
    return text.replace(_NO_DIGEST, digest(text.encode()), 1).encode()


def line(resource: EnvoyResource) -> str:
    at = resource.origin
    of = (at.resource.kind, at.resource.namespace, at.resource.name) if at.resource else None
    origin = (at.file, at.line, at.column, at.path, of)
    return json.dumps((_WORDS[resource.type_url], resource.name, resource.version, origin))


def read(content: bytes) -> Manifest:
    try:
        manifest = json.loads(content)
    except ValueError as error:
        raise DamagedError(f"manifest.json is damaged: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DamagedError(f"manifest.json is not of format {FORMAT}")
    seal = str(manifest.get("digest"))
    if seal != digest(content.replace(seal.encode(), _NO_DIGEST.encode(), 1)):
        raise DamagedError("manifest.json is damaged")
    return _manifest(manifest)


def _manifest(manifest: dict[str, Any]) -> Manifest:
    """Its digest is right: it has the shape in which this format is written."""
    label = Label(
        number=manifest["generation"],
        revision=manifest["revision"],
        meshd=manifest["meshd"],
        envoy=manifest["envoy"],
        time=datetime.fromisoformat(manifest["time"]),
    )
    proxies = {proxy: tuple(_entry(*line) for line in lines) for proxy, lines in manifest["proxies"].items()}
    return Manifest(label=label, packs=tuple(manifest["packs"]), proxies=proxies)


def _entry(word: str, name: str, version: str, origin: list[Any]) -> Entry:
    return Entry(type_url=_TYPES[word], name=name, version=version, origin=_origin(*origin))


def _origin(file: str, line: int, column: int, path: str, of: list[str] | None) -> Origin:
    resource = ResourceId(kind=of[0], namespace=of[1], name=of[2]) if of else None
    return Origin(file, line, column, path, resource)

"""Of each field: which roles are told of it, or what says that it has no effect.

A field is tried in every carrier of its kind with every sample, against the same document without it (or with another
sample, where it is required). Who is told something else is told of the field.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from kit.fields.carriers import BESIDE, CARRIERS, TRUST, WORLD
from kit.fields.composition import Composition
from kit.fields.mesh import MESH_CONFIG, mesh_config
from kit.fields.outcome import PODS, ROLES, Outcome, Trial, Word
from kit.fields.samples import WITH, samples
from kit.fields.walking import Document, Field, at, changed, fields
from plait.model.compile.traffic.report import NO_EFFECT, NOT_SUPPORTED
from plait.resources.kinds import Kind
from plait.resources.mesh_config.mesh import MeshConfig, understood
from plait.resources.schema import schema_of, schema_of_type
from plait.resources.validate import validate

UNREAD = frozenset({NOT_SUPPORTED, NO_EFFECT})
"""Codes that refuse a field itself, not what stands in it; said of a whole, they hold for everything in it."""
_ENOUGH = 5
"""Trials after which somebody told, or a refusal, is answer enough."""
_REMEMBERED = 64


@dataclass
class Verdict:
    field: str
    roles: set[str] = field(default_factory=set)
    refused: set[Word] = field(default_factory=set)
    """Problems which say that the field, or what it stands in, has no effect."""
    tried: int = 0
    invalid: set[str] = field(default_factory=set)
    """Why a sample of ours could not be tried."""


def titled(kind: Kind | None) -> str:
    """None stands for the mesh configuration, which is the text of a ConfigMap."""
    if kind is None:
        return MESH_CONFIG
    return f"{kind.group} {kind.kind}" if kind.kind == "Gateway" else kind.kind


class Tried:
    """One kind. `composition`: what proxies were told while its fields were tried; complete after `verdicts`."""

    def __init__(self, kind: Kind | None) -> None:
        self.name = titled(kind)
        self.composition = Composition(TRUST)
        self._schema = schema_of_type(MeshConfig) if kind is None else schema_of(kind)["properties"]["spec"]
        self._samples = samples(self.name)
        self._trial = Trial(_world(self.name))
        self._told = lru_cache(_REMEMBERED)(lambda text: self._trial.outcome(_kept(json.loads(text))))

    def verdicts(self) -> Iterator[Verdict]:
        return map(self._verdict, fields(self._schema))

    def _verdict(self, each: Field) -> Verdict:
        found = Verdict(each.path)
        for carrier, value in itertools.product(CARRIERS[self.name], self._samples(each.path, each.schema)):
            pair = self._pair(carrier, each, value)
            if wrong := _wrong(pair[0]):
                found.invalid |= wrong
            else:
                self._compare(found, each, *pair)
            if found.roles >= PODS.keys() or (found.tried >= _ENOUGH and (found.refused or found.roles & PODS.keys())):
                break
        return found

    def _compare(self, found: Verdict, each: Field, with_it: Document, without: Document) -> None:
        found.tried += 1
        after, before = self._outcome(with_it), self._outcome(without)
        differs = {role for role in ROLES if after.told[role] != before.told[role]}
        found.roles |= differs
        for role in differs & PODS.keys():
            for documents, others in zip(after.told[role], before.told[role], strict=True):
                self.composition.add(documents, others)
        said = (after.said - before.said) | {word for word in before.said if _above(word.path, each)}
        own = with_it["kind"], with_it["metadata"]["name"]
        found.refused |= {word for word in said if word.code in UNREAD and (word.kind, word.name) == own}

    def _outcome(self, document: Document) -> Outcome:
        return self._told(json.dumps(document))

    def _pair(self, plain: Document, each: Field, value: Any) -> tuple[Document, Document]:
        """The carrier with the field, and the same without it: as far as it can stand without."""
        carrier = self._standing(plain, each)

        def made(value: Any) -> Document:
            return {**carrier, "spec": changed(carrier["spec"], each, self._schema, value, self._samples)}

        with_it = made(value)
        if each.required:
            others = [other for other in self._samples(each.path, each.schema) if other != value]
            without = made(others[0]) if others else carrier
        else:
            without = made(None) if at(carrier["spec"], each.tokens) is None else copy.deepcopy(carrier)
        # Where it cannot stand without the field, what is compared is the whole that the field makes.
        stands = (each for each in (without, carrier) if each != with_it and not _wrong(each))
        return with_it, next(stands, plain)

    def _standing(self, carrier: Document, each: Field) -> Document:
        """The carrier with what the field only makes sense with."""
        spec = carrier["spec"]
        for pattern, more in WITH:
            if re.search(pattern, f"{self.name}:{each.path}"):
                spec = _laid(spec, more)
        return {**carrier, "spec": spec}


def _world(kind: str) -> list[Document]:
    found = {_key(each): each for each in (*WORLD, *BESIDE.get(kind, ()))}
    return list(found.values())


def _key(document: Document) -> tuple[str, ...]:
    metadata = document["metadata"]
    return document["kind"], document["apiVersion"], metadata.get("namespace", ""), metadata["name"]


def _kept(document: Document) -> Document:
    """As the API server has it."""
    return mesh_config(document["spec"]) if document["kind"] == MESH_CONFIG else document


def _wrong(document: Document) -> set[str]:
    if document["kind"] == MESH_CONFIG:
        return {str(each) for each in understood(json.dumps(document["spec"]))[1]}
    return {f"{p.path}: {p.message}" for p in validate(document) if p.severity == "error"}


def _above(path: str, each: Field) -> bool:
    """Whether this is said of something the field stands in."""
    plain = re.sub(r"\[\d*\]", "", path.removeprefix("spec."))
    return path == "spec" or f"{each.path.replace('[]', '')}.".startswith(f"{plain}.")


def _laid(below: Any, above: Any) -> Any:
    """`above` over `below`; of lists the first item."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: _laid(below.get(key), value) for key, value in above.items()}}
    if isinstance(below, list) and isinstance(above, list) and below and above and isinstance(above[0], dict):
        return [_laid(below[0], above[0]), *(above[1:] or below[1:])]
    return above

"""What every object has: metadata, its key, conditions; and label selectors with their text grammar.

Metadata is read leniently (a server adds fields we do not know); `structure.py` checks its names for what users write.
"""

# ruff: noqa: RUF012 (a struct copies its mutable defaults)
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from plait.resources.markers import ATOMIC, INT_OR_STRING, Lenient, Model


class Key(NamedTuple):
    """Who an object is: kind as `plural.group`, namespace ("" when cluster-scoped), name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class OwnerReference(Lenient, frozen=True, kw_only=True):
    """The object that owns this one."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class ObjectMeta(Lenient, frozen=True, kw_only=True):
    """Metadata as far as a mesh reads it."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    owner_references: tuple[OwnerReference, ...] = ()


class Resource(Lenient, frozen=True, kw_only=True):
    """An object of the API with its metadata; what else it has is said by the subclass."""

    api_version: str = ""
    kind: str = ""
    meta: ObjectMeta = msgspec.field(default_factory=ObjectMeta, name="metadata")

    @property
    def name(self) -> str:
        return self.meta.name

    @property
    def namespace(self) -> str:
        return self.meta.namespace

    @property
    def ident(self) -> tuple[str, str]:
        """(namespace, name), the key inside one kind."""
        return self.meta.namespace, self.meta.name


class IstioCondition(Lenient, frozen=True, kw_only=True):
    """One condition of an Istio status."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_probe_time: str | None = None
    last_transition_time: str | None = None
    observed_generation: Annotated[int | str, INT_OR_STRING] = 0


class IstioStatus(Lenient, frozen=True, kw_only=True):
    """What controllers say about an Istio object."""

    conditions: tuple[IstioCondition, ...] = ()
    validation_messages: tuple[dict[str, Any], ...] = ()
    observed_generation: Annotated[int | str, INT_OR_STRING] = 0


class IstioResource(Resource, frozen=True, kw_only=True):
    """An object of one of Istio's groups."""

    status: IstioStatus | None = None


class LabelSelectorRequirement(Model, frozen=True, kw_only=True):
    """One requirement on a label."""

    key: str
    operator: str
    values: Annotated[tuple[str, ...], ATOMIC] = ()


class LabelSelector(Model, frozen=True, kw_only=True):
    """Kubernetes label selector; an empty one matches everything."""

    match_labels: dict[str, str] = {}
    match_expressions: Annotated[tuple[LabelSelectorRequirement, ...], ATOMIC] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet every requirement."""
        return all(labels.get(k) == v for k, v in self.match_labels.items()) and all(
            _meets(requirement, labels) for requirement in self.match_expressions
        )


def _meets(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    has, value = requirement.key in labels, labels.get(requirement.key, "")
    match requirement.operator:
        case "In":
            return has and value in requirement.values
        case "NotIn":
            return not has or value not in requirement.values
        case "Exists":
            return has
        case "DoesNotExist":
            return not has
    return False  # an unknown operator selects nothing


Operator = Literal["In", "NotIn", "Exists", "DoesNotExist"]
_KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_VALUE = r"[-A-Za-z0-9_.]*"
_TERM = re.compile(
    rf"\s*(?:!\s*(?P<absent>{_KEY})"
    rf"|(?P<key>{_KEY})\s*(?:(?P<eq>==?|!=)\s*(?P<value>{_VALUE})"
    rf"|\s(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*(?:,|$)"
)


def parse_selector(text: str) -> LabelSelector:
    """The selector of `labelSelector=` and `kubectl -l`: `a=b,c!=d,e in (x,y),!f,g`. ValueError says where."""
    requirements: list[LabelSelectorRequirement] = []
    position = 0
    while text[position:].strip():
        found = _TERM.match(text, position)
        if found is None:
            raise ValueError(f"cannot read the label selector at {text[position:]!r}; use a=b, a!=b, a in (x,y), a, !a")
        requirements.append(_requirement(found))
        position = found.end()
    return LabelSelector(match_expressions=tuple(requirements))


def _requirement(found: re.Match[str]) -> LabelSelectorRequirement:
    operator: Operator = "Exists"
    values: tuple[str, ...] = ()
    if found["absent"]:
        return LabelSelectorRequirement(key=found["absent"], operator="DoesNotExist")
    if found["eq"]:
        operator, values = ("NotIn" if found["eq"] == "!=" else "In"), (found["value"],)
    elif found["set"]:
        operator = "In" if found["set"] == "in" else "NotIn"
        values = tuple(value.strip() for value in found["values"].split(","))
    return LabelSelectorRequirement(key=found["key"], operator=operator, values=values)

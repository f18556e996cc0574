"""Parameters -> overlays: ConfigMaps whose values are YAML, merged onto what is made.

First those of the class, then those that `infrastructure.parametersRef` of the Gateway names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from plait.deploy.desired import KEYS
from plait.deploy.operation import PARAMETER
from plait.deploy.plans import Plan
from plait.resources import documents

Document = dict[str, Any]
DEFAULTS_FOR = "gateway.istio.io/defaults-for-class"
"""Label of a ConfigMap of the root namespace: its parameters are for all Gateways of the class it names."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The parameters cannot be used: what was made before stays as it is."""

    reason: str


def config_map(plan: Plan) -> tuple[str, str] | None:
    """The ConfigMap (namespace, name) of the Gateway's parameters."""
    infrastructure = plan.gateway.spec.infrastructure
    reference = infrastructure.parameters_ref if infrastructure is not None else None
    return (plan.gateway.namespace, reference.name) if reference is not None else None


def overlays(plan: Plan, found: Document | None) -> Mapping[str, Document] | Refused:
    """By the keys of `desired.KEYS`, and `operation.PARAMETER`. `found`: what `config_map` names, as it is now."""
    infrastructure = plan.gateway.spec.infrastructure
    reference = infrastructure.parameters_ref if infrastructure is not None else None
    if reference is None:
        return {}
    where = f"spec.infrastructure.parametersRef: {reference.kind} {plan.gateway.namespace}/{reference.name}"
    if reference.group not in ("", "core") or reference.kind != "ConfigMap":
        return Refused(f"{where} is no ConfigMap; name one")
    if found is None:
        return Refused(f"{where} does not exist; create it")
    return _read(found, where, (*KEYS, PARAMETER))


def defaults(plan: Plan, found: Iterable[Document]) -> Mapping[str, Document] | Refused:
    """The same for all Gateways of a class. `found`: ConfigMaps of the root namespace, which say so by their label.

    How a waypoint is operated is for its own parameters to say: its account, which policies name, hangs on it.
    """
    class_name = plan.gateway.spec.gateway_class_name
    said = sorted(
        (each for each in found if default_for(each) == class_name), key=lambda each: each["metadata"]["name"]
    )
    if not said:
        return {}
    names = [each["metadata"]["name"] for each in said]
    if len(said) > 1:
        return Refused(f"ConfigMaps {', '.join(names)} are all labelled {DEFAULTS_FOR}={class_name}; keep one of them")
    return _read(
        said[0], f"defaults of class {class_name}: ConfigMap {said[0]['metadata']['namespace']}/{names[0]}", KEYS
    )


def default_for(config_map: Document) -> str:
    """The class whose Gateways a ConfigMap has defaults for; "" none."""
    return str((config_map["metadata"].get("labels") or {}).get(DEFAULTS_FOR, ""))


def stacked(*layers: Mapping[str, Document]) -> dict[str, tuple[Document, ...]]:
    """By key, in the order in which they are merged: the last has the last word."""
    made: dict[str, tuple[Document, ...]] = {}
    for layer in layers:
        for key, overlay in layer.items():
            made[key] = (*made.get(key, ()), overlay)
    return made


def _read(found: Document, where: str, known: Iterable[str]) -> Mapping[str, Document] | Refused:
    made: dict[str, Document] = {}
    for key, text in (found.get("data") or {}).items():
        if key not in known:
            return Refused(f"{where} has the unknown key {key}; use {', '.join(known)}")
        read, wrong = documents.read(str(text), key)
        if wrong or len(read) != 1:
            why = wrong[0].message if wrong else f"{len(read)} documents"
            return Refused(f"{where}, key {key}: {why}; write one YAML mapping")
        made[key] = read[0].document
    return made

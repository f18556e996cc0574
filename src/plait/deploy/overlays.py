"""`infrastructure.parametersRef` -> overlays: a ConfigMap whose values are YAML, merged onto what is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plait.deploy.desired import KEYS
from plait.deploy.operation import PARAMETER
from plait.deploy.plans import Plan
from plait.resources import documents

Document = dict[str, Any]


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
    made: dict[str, Document] = {}
    for key, text in (found.get("data") or {}).items():
        if key not in KEYS and key != PARAMETER:
            return Refused(f"{where} has the unknown key {key}; use {', '.join((*KEYS, PARAMETER))}")
        read, wrong = documents.read(str(text), key)
        if wrong or len(read) != 1:
            why = wrong[0].message if wrong else f"{len(read)} documents"
            return Refused(f"{where}, key {key}: {why}; write one YAML mapping")
        made[key] = read[0].document
    return made

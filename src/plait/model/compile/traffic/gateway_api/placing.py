"""Who the proxies of a Gateway are: an account of its namespace, or of the pool when it asks to be managed.

Whether it may be (quota) is for who makes them; a waypoint that asks and may not has no proxies there to be taken for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from plait.base.wellknown import OPERATION, PLACEMENT, POOL_NAMESPACE
from plait.model import pool
from plait.model.compile.memory import Memory
from plait.model.gateways import names
from plait.resources import documents
from plait.resources.gateway_api.gateway import Gateway
from plait.resources.kubernetes import ConfigMap


def account(
    gateway: Gateway, waypoint: bool, parameters: Mapping[tuple[str, str], ConfigMap], memory: Memory
) -> tuple[str, str]:
    """(namespace, name); the namespace is "" for the Gateway's own."""
    if waypoint and _placement(gateway, parameters, memory) == "managed":
        return POOL_NAMESPACE, pool.account(*gateway.ident)
    own = names(gateway.name, gateway.spec.gateway_class_name, waypoint, gateway.meta.annotations)
    return "", own.account


def _placement(gateway: Gateway, parameters: Mapping[tuple[str, str], ConfigMap], memory: Memory) -> str:
    infrastructure = gateway.spec.infrastructure
    annotations = (infrastructure.annotations if infrastructure is not None else {}) or gateway.meta.annotations
    if PLACEMENT in annotations:
        return annotations[PLACEMENT].strip()
    reference = infrastructure.parameters_ref if infrastructure is not None else None
    found = parameters.get((gateway.namespace, reference.name)) if reference is not None else None
    if found is None:
        return ""
    return memory.made(("placement", found.ident), found, partial(_said, found))


def _said(parameters: ConfigMap) -> str:
    read, _ = documents.read(str((parameters.data or {}).get(OPERATION, "")), OPERATION)
    said: Any = read[0].document if read else {}
    return str(said.get("placement", "")) if isinstance(said, dict) else ""

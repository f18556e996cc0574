"""What the injectors of this and of another mesh are told in their ConfigMaps, read where it is needed for analysis."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from plait.diagnose.evidence import Evidence, part
from plait.resources.kubernetes import ConfigMap

NAME = "istio-sidecar-injector"
DEFAULT = "default"


def values(evidence: Evidence) -> Mapping[str, dict[str, Any]]:
    """The values of Istio's charts, by revision."""
    found: dict[str, dict[str, Any]] = {}
    for each in evidence.all(ConfigMap):
        if each.name == NAME or each.name.startswith(f"{NAME}-"):
            try:
                text = json.loads((each.data or {}).get("values", ""))
            except (ValueError, RecursionError):
                continue
            if isinstance(text, dict):
                found[each.name.removeprefix(NAME).removeprefix("-") or DEFAULT] = text
    return found


def everywhere(found: dict[str, Any]) -> bool:
    """Are namespaces injected that say nothing?"""
    return part(found, "sidecarInjectorWebhook").get("enableNamespacesByDefault") is True


def image(found: dict[str, Any]) -> str:
    """The proxy's image; "" when the values do not say it."""
    whole = part(found, "global")
    name = part(whole, "proxy").get("image") or ""
    if "/" in name or not name:
        return str(name)
    return f"{whole.get('hub')}/{name}:{whole.get('tag')}"

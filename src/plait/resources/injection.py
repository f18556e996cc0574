"""What a pod's annotations say of an injected proxy: is there one, a sidecar or a gateway. Read once for all."""

from __future__ import annotations

from collections.abc import Mapping

from plait.base.wellknown import SIDECAR_STATUS, TEMPLATES


def templates(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """The templates that a pod asks for by name."""
    return tuple(filter(None, (word.strip() for word in annotations.get(TEMPLATES, "").split(","))))


def is_gateway(annotations: Mapping[str, str]) -> bool:
    """Is the proxy that the pod has, or asks for, a gateway's?"""
    return "gateway" in templates(annotations)


def has_sidecar(annotations: Mapping[str, str]) -> bool:
    """Was a proxy injected that shares the pod with an application?"""
    return SIDECAR_STATUS in annotations and not is_gateway(annotations)

"""exportTo: which namespaces see an object. A word of Istio's becomes a tuple of namespaces, "*" for all."""

from __future__ import annotations

from collections.abc import Iterable

EVERYBODY = ("*",)
EXPORT = "networking.istio.io/exportTo"


def visible(export_to: Iterable[str], namespace: str, default: Iterable[str] = EVERYBODY) -> tuple[str, ...]:
    """`.` is the object's own namespace, `~` nobody, `*` everybody; nothing written means the mesh's default."""
    words = tuple(word.strip() for word in export_to if word.strip()) or tuple(default) or EVERYBODY
    if "*" in words:
        return EVERYBODY
    return tuple(sorted({namespace if word == "." else word for word in words if word != "~"}))


def exported(annotations: dict[str, str], namespace: str, default: Iterable[str] = EVERYBODY) -> tuple[str, ...]:
    """The same for a Kubernetes Service, which has an annotation for it."""
    return visible(annotations.get(EXPORT, "").split(","), namespace, default)

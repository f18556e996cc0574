"""Host names: from what people write to full names, which patterns fit, which of several is the most specific."""

from __future__ import annotations

from collections.abc import Iterable

from plait.model.mesh import Settings


def full(host: str, namespace: str, settings: Settings) -> str:
    """A name without dots is a service of the object's own namespace; everything else is taken as it is."""
    if not host or "." in host or "*" in host or ":" in host:
        return host.lower()
    return f"{host}.{namespace}.svc.{settings.cluster_domain}".lower()


def fits(pattern: str, host: str) -> bool:
    """Whether `host` (maybe a wildcard itself) is inside `pattern`."""
    if pattern == "*" or pattern == host:
        return True
    return pattern.startswith("*") and host.endswith(pattern[1:]) and len(host.lstrip("*")) >= len(pattern) - 1


def overlap(one: str, other: str) -> str | None:
    """What both mean: the narrower of the two, or None."""
    if fits(one, other):
        return other
    return one if fits(other, one) else None


def covers(pattern: str, host: str) -> bool:
    """As the Gateway API has it: `*.a` covers any name below a, never a itself."""
    if pattern in ("", "*") or pattern == host:
        return True
    return pattern.startswith("*.") and host.endswith(pattern[1:]) and len(host) > len(pattern) - 1


def meet(one: str, other: str) -> str | None:
    """The narrower of two Gateway API hostnames ("" any), or None."""
    if one in ("", "*"):
        return other
    if other in ("", "*"):
        return one
    if covers(one, other):
        return other
    return one if covers(other, one) else None


def specificity(host: str) -> tuple[bool, int, str]:
    """Sorts exact names first, then long wildcards, then by name."""
    return host.startswith("*"), -len(host), host


def most_specific(patterns: Iterable[str], host: str) -> str | None:
    """The pattern that speaks for `host`: exact, else the longest wildcard."""
    found = [pattern for pattern in patterns if fits(pattern, host)]
    return min(found, key=specificity) if found else None

"""Names that fields of several kinds hold: DNS labels, hosts, gateways, namespaces, labels and selectors of labels."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from plait.resources import metadata
from plait.resources.rules import words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_LABEL = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def is_label(value: str) -> bool:
    """One label of a DNS name, at most 63 characters."""
    return _LABEL.fullmatch(value) is not None


def is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def is_domain(value: str) -> bool:
    """A whole DNS name without wildcards; a dot at the end is fine, a number as its last label is not."""
    parts = value.split(".")
    if len(parts) > 1 and not parts[-1]:
        parts = parts[:-1]
    return 0 < len(value) <= 255 and not value.rsplit(".", 1)[-1].isdecimal() and all(map(is_label, parts))


def label(path: str, value: str, what: str) -> Iterator[Finding]:
    if not is_label(value):
        yield bad(path, f"{value!r} is not a {what}; use up to 63 letters, digits and '-'")


def domain(path: str, value: str) -> Iterator[Finding]:
    if not is_domain(value):
        yield bad(path, f"{value!r} is not a whole host name; write one such as a.example.com")


def host_or_address(path: str, value: str) -> Iterator[Finding]:
    """A host name, perhaps with a wildcard, or an IP address."""
    if not is_address(value):
        yield from words.host(path, value)


def namespaced_host(path: str, value: str, *, none: bool) -> Iterator[Finding]:
    """`namespace/host` where the namespace is a name, `.`, `*`, or (`none`) `~`, with which the host is `*`."""
    namespace, _, name = value.partition("/")
    known = ("*", ".", "~") if none else ("*", ".")
    if namespace not in known and not is_label(namespace):
        text = f"{namespace!r} is no namespace; write a name or one of {', '.join(known)}"
        yield bad(path, text)
    elif namespace == "~" and name != "*":
        yield bad(path, f"~ stands for no namespace, so no host is left of {value!r}; write ~/*")
    yield from words.host(path, name)


def gateways(path: str, values: tuple[str, ...]) -> Iterator[Finding]:
    """Names of gateways: `namespace/name`, a name, or the old whole host name."""
    for index, value in enumerate(values):
        namespace, slash, name = value.partition("/")
        fine = is_label(namespace) and is_label(name) if slash else is_domain(value)
        if not fine:
            yield bad(f"{path}[{index}]", f"{value!r} is not the name of a gateway; write namespace/name, or name")


def namespace(path: str, value: str) -> Iterator[Finding]:
    if value and not is_label(value):
        yield bad(path, f"{value!r} is no namespace; use up to 63 letters, digits and '-'")


def labels(path: str, values: Mapping[str, str]) -> Iterator[Finding]:
    """Labels as objects carry them."""
    for found in metadata.label_findings(dict(values), path):
        yield bad(found.path, found.message)


def selector(path: str, values: Mapping[str, str]) -> Iterator[Finding]:
    """Labels that choose workloads: every one is compared as it stands."""
    for key, value in values.items():
        if not key:
            yield bad(path, "a label has no name; give it one")
        elif "*" in key or "*" in value:
            yield bad(f"{path}[{key}]", "labels are compared literally, '*' is no wildcard; write the whole label")


def match_labels(path: str, found: Any) -> Iterator[Finding]:
    """A selector field with `matchLabels`, if it is given."""
    if found is not None:
        yield from selector(f"{path}.matchLabels", found.match_labels)


def workload_labels(path: str, found: Any) -> Iterator[Finding]:
    """A selector field with `labels`, if it is given."""
    if found is not None:
        yield from selector(f"{path}.labels", found.labels)


def export_to(values: tuple[str, ...], own: str, *, none: bool = False, alone: bool = False) -> Iterator[Finding]:
    """Namespaces that see an object of the namespace `own`.

    `none`: it may be shown to nobody (`~`). `alone`: it may be shown to its own namespace only.
    """
    path, seen = "spec.exportTo", set[str]()
    for index, value in enumerate(values):
        key = own if value == "." and own else value
        if key in seen:
            yield bad(f"{path}[{index}]", f"the namespace {value!r} is given twice; remove one")
        elif value not in (".", "*", "~") and not _NAMESPACE.fullmatch(value):
            yield bad(f"{path}[{index}]", f"{value!r} is no namespace; write a name, '.' or '*'")
        elif value == "~" and not none:
            yield bad(f"{path}[{index}]", "only a ServiceEntry can be shown to nobody; write '.' for this namespace")
        seen.add(key)
    for every in ("*", "~"):
        if every in seen and len(seen) > 1:
            meaning = "all namespaces" if every == "*" else "no namespace"
            yield bad(path, f"{every!r} stands for {meaning} and excludes other entries; keep one of them")
    if alone and seen - {own, "."}:
        yield bad(path, "with a workloadSelector it holds in its own namespace only; write '.' or remove the field")

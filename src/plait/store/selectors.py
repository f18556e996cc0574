"""Label and field selectors: text -> a predicate on documents. Refuses what it cannot read with a 400 that says why."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from plait.resources.kinds import Kind
from plait.store import errors
from plait.store.api import Document

Labels = Mapping[str, str]
Test = Callable[[Labels], bool]
_TOKEN = re.compile(r"\s*(?:(!=|==|=|!|\(|\)|,|>|<)|([^\s=!(),<>]+))")

_FIELDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "pods"): (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    ("", "events"): (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    ("", "secrets"): ("type",),
    ("", "nodes"): ("spec.unschedulable",),
    ("", "namespaces"): ("status.phase",),
    ("", "services"): ("spec.clusterIP", "spec.type"),
    ("apps", "replicasets"): ("status.replicas",),
    ("batch", "jobs"): ("status.successful",),
}


def labels(text: str) -> Test:
    """The full grammar: `a=b, c==d, e!=f, g in (x,y), h notin (z), i, !j, k>1`."""
    tokens, at = [], 0
    text = text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise errors.bad_request(f"unable to parse label selector {text!r} at {text[at:]!r}")
        tokens.append(found[1] or found[2])
        at = found.end()
    try:
        tests = _requirements(tokens, text)
    except StopIteration:
        raise errors.bad_request(f"unable to parse label selector {text!r}: it ends too early") from None
    return lambda have: all(test(have) for test in tests)


def _requirements(tokens: list[str], text: str) -> list[Test]:
    def fail(why: str) -> Exception:
        return errors.bad_request(f"unable to parse label selector {text!r}: {why}")

    tests: list[Test] = []
    rest = iter([*tokens, ","] if tokens else [])
    for token in rest:
        if token == "!":
            key = next(rest)
            tests.append(_absent(key))
            operator = next(rest)
        elif token in "=!(),<>==!=":
            raise fail(f"found {token!r}, expected a key")
        else:
            key, operator = token, next(rest)
            if operator == ",":
                tests.append(_present(key))
            elif operator in ("=", "==", "!=", ">", "<"):
                value = next(rest)
                ended = value == ","
                tests.append(_compare(key, operator, "" if ended else value))
                operator = "," if ended else next(rest)
            elif operator in ("in", "notin"):
                if next(rest) != "(":
                    raise fail(f"expected '(' after {operator!r}")
                values = set()
                while (word := next(rest, ")")) != ")":
                    if word != ",":
                        values.add(word)
                tests.append(_among(key, frozenset(values), operator == "in"))
                operator = next(rest, "")
            else:
                raise fail(f"found {operator!r}, expected one of: in, notin, =, ==, !=, >, <")
        if operator != ",":
            raise fail(f"found {operator!r}, expected ','")
    return tests


def _present(key: str) -> Test:
    return lambda have: key in have


def _absent(key: str) -> Test:
    return lambda have: key not in have


def _among(key: str, values: frozenset[str], inside: bool) -> Test:
    return (lambda have: have.get(key) in values) if inside else (lambda have: have.get(key) not in values)


def _compare(key: str, operator: str, value: str) -> Test:
    if operator in ("=", "=="):
        return lambda have: have.get(key) == value
    if operator == "!=":
        return lambda have: have.get(key) != value
    if not value.lstrip("-").isdigit():
        raise errors.bad_request(f"label selector {key}{operator}{value}: the value must be an integer")
    limit, above = int(value), operator == ">"

    def ordered(have: Labels) -> bool:
        given = have.get(key, "")
        return given.lstrip("-").isdigit() and (int(given) > limit if above else int(given) < limit)

    return ordered


def of_document(selector: Document | None) -> Test:
    """A LabelSelector object (matchLabels, matchExpressions). None selects nothing, an empty one everything."""
    if selector is None:
        return lambda have: False
    tests: list[Test] = [_compare(k, "=", v) for k, v in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or ():
        key, operator, values = one["key"], one["operator"], frozenset(one.get("values") or ())
        if operator in ("In", "NotIn"):
            tests.append(_among(key, values, operator == "In"))
        else:
            tests.append(_present(key) if operator == "Exists" else _absent(key))
    return lambda have: all(test(have) for test in tests)


def fields(kind: Kind, text: str) -> Callable[[Document], bool]:
    """`path=value,path!=value` over the fields this kind can be selected by."""
    known = ("metadata.name", "metadata.namespace", *_FIELDS.get((kind.group, kind.plural), ()))
    tests: list[tuple[str, str, bool]] = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        found = re.match(r"([^=!]+)(==|=|!=)(.*)\Z", part)
        if found is None:
            raise errors.bad_request(f"invalid field selector {part!r}: write path=value or path!=value")
        path, operator, value = found[1].strip(), found[2], found[3].strip()
        if path not in known:
            raise errors.bad_request(f"field label not supported: {path} (of {kind}; known: {', '.join(known)})")
        tests.append((path, value, operator != "!="))
    return lambda document: all((field(document, path) == value) is wanted for path, value, wanted in tests)


def field(document: Document, path: str) -> str:
    """A scalar at a dotted path as text; "" when absent."""
    at: Any = document
    for step in path.split("."):
        at = at.get(step) if isinstance(at, dict) else None
    if at is None:
        return ""
    return str(at).lower() if isinstance(at, bool) else str(at)


def both(kind: Kind, label_text: str, field_text: str) -> Callable[[Document], bool]:
    """One predicate from the two query parameters of list, watch and deletecollection."""
    if not label_text and not field_text:
        return lambda document: True
    by_label, by_field = labels(label_text), fields(kind, field_text)
    return lambda d: by_label(d["metadata"].get("labels") or {}) and by_field(d)


def selector_text(selector: Document | None) -> str:
    """A LabelSelector in the grammar of query parameters."""
    selector = selector or {}
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or ():
        key, values = one["key"], ",".join(one.get("values") or ())
        forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        parts.append(forms.get(one["operator"], f"!{key}"))
    return ",".join(parts)

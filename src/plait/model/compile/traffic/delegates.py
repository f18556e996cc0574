"""Joining the match of a rule with those of its delegate, and what a delegate's rule inherits.

Both matches must hold, so two tests of one thing are joined only where one is inside the other; else there is no such
request and the delegate's whole rule is left out, as in Istio.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from plait.model.routes import NO_CHANGE, FieldMatch, Match, PathMatch, Route, TextMatch

T = TypeVar("T", int, str)


def joined(roots: tuple[Match, ...], leaves: tuple[Match, ...]) -> tuple[Match, ...] | None:
    """All pairs that can hold together; None when one of the delegate's has no part in any that leads to it."""
    if not roots or not leaves:
        return roots or leaves
    found: list[Match] = []
    for leaf in leaves:
        both = [match for root in roots if (match := _both(root, leaf)) is not None]
        if not both:
            return None
        found += both
    return tuple(found)


def inherit(root: Route, leaf: Route, matches: tuple[Match, ...]) -> Route:
    """The delegate's rule, with what it does not say itself taken from the rule that led to it."""
    return msgspec.structs.replace(
        leaf,
        name="-".join(filter(None, (root.name, leaf.name))),
        matches=matches,
        rewrite=leaf.rewrite or root.rewrite,
        timeout=root.timeout if leaf.timeout is None else leaf.timeout,
        retry=leaf.retry or root.retry,
        fault=leaf.fault or root.fault,
        mirrors=leaf.mirrors or root.mirrors,
        cors=leaf.cors or root.cors,
        request=root.request if leaf.request == NO_CHANGE else leaf.request,
        response=root.response if leaf.response == NO_CHANGE else leaf.response,
    )


class _Never(Exception):
    """No request can meet both."""


def _both(root: Match, leaf: Match) -> Match | None:
    try:
        return Match(
            name="-".join(filter(None, (root.name, leaf.name))),
            path=_path(root.path, leaf.path),
            method=_text(root.method, leaf.method),
            scheme=_text(root.scheme, leaf.scheme),
            authority=_text(root.authority, leaf.authority),
            headers=_fields(root.headers, leaf.headers),
            query=_fields(root.query, leaf.query),
            claims=(*root.claims, *leaf.claims),
            port=_same(root.port, leaf.port),
            source_labels=_labels(dict(root.source_labels), dict(leaf.source_labels)),
            source_namespace=_same(root.source_namespace, leaf.source_namespace),
            gateways=_gateways(root.gateways, leaf.gateways),
            stat_prefix=leaf.stat_prefix or root.stat_prefix,
        )
    except _Never:
        return None


def _same(one: T, other: T) -> T:
    if one and other and one != other:
        raise _Never
    return one or other


def _labels(one: dict[str, str], other: dict[str, str]) -> tuple[tuple[str, str], ...]:
    if any(one[key] != other[key] for key in one.keys() & other.keys()):
        raise _Never
    return tuple(sorted({**one, **other}.items()))


def _gateways(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    if not one or not other:
        return one or other
    if not set(other) <= set(one):
        raise _Never
    return other


def _path(root: PathMatch | None, leaf: PathMatch | None) -> PathMatch | None:
    if root is None or leaf is None:
        return root or leaf
    if root.ignore_case != leaf.ignore_case or not _inside(root.how, root.value, leaf.how, leaf.value):
        raise _Never
    return leaf


def _text(root: TextMatch | None, leaf: TextMatch | None) -> TextMatch | None:
    if root is None or leaf is None:
        return root or leaf
    if not _inside(root.how, root.value, leaf.how, leaf.value):
        raise _Never
    return leaf


def _inside(root: str, value: str, leaf: str, inner: str) -> bool:
    if root == leaf and value == inner:
        return True
    if root == "prefix" and leaf in ("prefix", "exact"):
        return inner.startswith(value)
    return root == "present"


def _fields(root: tuple[FieldMatch, ...], leaf: tuple[FieldMatch, ...]) -> tuple[FieldMatch, ...]:
    own = {field.name: field for field in leaf if not field.negated}
    for field in root:
        if not field.negated and field.name in own:
            _text(field.value, own[field.name].value)
    kept = (field for field in root if field.negated or field.name not in own)
    return tuple(dict.fromkeys((*leaf, *kept)))

"""Rules of Istio's security kinds."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from plait.resources.markers import camel
from plait.resources.rules import names, targets, words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_KEYS = frozenset(
    [
        "source.ip",
        "remote.ip",
        "source.namespace",
        "source.principal",
        "source.serviceAccount",
        "source.trustDomain",
        "request.auth.principal",
        "request.auth.audiences",
        "request.auth.presenter",
        "destination.ip",
        "destination.port",
        "connection.sni",
    ]
)
_SEGMENT = re.compile(r"[A-Za-z0-9._~%!$&'()+,;:@=-]+")
_KEY_FORMS = re.compile(
    r"request\.(experimental\.inline\.)?headers\[.+\]|request\.auth\.claims(\[.+\])+|experimental\.envoy\.filters\..*\[.+\]"
)
_URL = re.compile(r"https?://([^/\s:\[\]]+|\[[0-9A-Fa-f:.]+\])(:\d+)?([/?#]|$)")
_IDENTITY = (
    "namespaces",
    "not_namespaces",
    "service_accounts",
    "not_service_accounts",
    "principals",
    "not_principals",
    "request_principals",
    "not_request_principals",
)
_UNASKED = ("source.namespace", "source.serviceAccount", "source.principal", "request.auth.")


def peer(each: Any) -> Iterator[Finding]:
    spec = each.spec
    yield from names.match_labels("spec.selector", spec.selector)
    if spec.port_level_mtls and (spec.selector is None or not spec.selector.match_labels):
        yield bad("spec.portLevelMtls", "portLevelMtls needs a selector with matchLabels; add one")
    for port in spec.port_level_mtls:
        if not port.isdecimal() or not 1 <= int(port) <= 65535:
            yield bad(f"spec.portLevelMtls[{port}]", f"{port!r} is not a port; write a number of 1 to 65535")


def request(each: Any) -> Iterator[Finding]:
    yield from targets.targets(each)
    for index, rule in enumerate(each.spec.jwt_rules):
        path = f"spec.jwtRules[{index}]"
        uri = rule.jwks_uri or rule.jwks_uri_old
        if not rule.issuer and not uri:
            yield bad(f"{path}.issuer", "the issuer is missing; add it, or jwksUri to take any issuer's tokens")
        yield from words.exactly_one(path, {"jwksUri": uri, "jwks": rule.jwks}, none_is_fine=True)
        if uri and not _URL.match(uri):
            yield bad(f"{path}.jwksUri", f"{uri!r} is not a URL; write one that begins with http:// or https://")
        if rule.jwks:
            yield from _jwks(f"{path}.jwks", rule.jwks)
        for number, header in enumerate(rule.from_headers):
            if not header.name:
                yield bad(f"{path}.fromHeaders[{number}].name", "the header has no name; add it")
        for number, each_claim in enumerate(rule.output_claim_to_headers):
            if not each_claim.header or not each_claim.claim:
                yield bad(f"{path}.outputClaimToHeaders[{number}]", "header and claim are both needed; add them")
        yield from words.positive(f"{path}.timeout", rule.timeout)


def _jwks(path: str, text: str) -> Iterator[Finding]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        yield bad(path, 'the value is not a key set; write JSON such as {"keys": [...]}')


def policy(each: Any) -> Iterator[Finding]:
    yield from targets.targets(each)
    spec = each.spec
    if spec.action == "CUSTOM":
        if spec.provider is None or not spec.provider.name:
            yield bad("spec.provider", "action CUSTOM needs provider.name; add it")
        if not spec.rules:
            yield bad("spec.rules", "action CUSTOM needs at least one rule; add one")
    elif spec.provider is not None:
        yield bad("spec.provider", f"only action CUSTOM has a provider, not {spec.action}; remove one of them")
    if spec.action == "DENY" and spec.rules is None:
        yield bad("spec.rules", "action DENY without rules never applies; add a rule")
    for index, rule in enumerate(spec.rules or ()):
        path = f"spec.rules[{index}]"
        for number, each_from in enumerate(rule.from_):
            yield from _source(f"{path}.from[{number}].source", each_from.source)
        for number, each_to in enumerate(rule.to):
            yield from _operation(f"{path}.to[{number}].operation", each_to.operation)
        for number, when in enumerate(rule.when):
            yield from _condition(f"{path}.when[{number}]", when)
        if spec.action == "CUSTOM":
            yield from _before_identity(path, rule)


def _before_identity(path: str, rule: Any) -> Iterator[Finding]:
    """An external authorizer is asked before it is known who calls."""
    text = "action CUSTOM decides before the identity is known; remove it, or use another action"
    for number, each in enumerate(rule.from_):
        for name in _IDENTITY if each.source is not None else ():
            if getattr(each.source, name):
                yield bad(f"{path}.from[{number}].source.{camel(name)}", text)
    for number, when in enumerate(rule.when):
        if when.key.startswith(_UNASKED):
            yield bad(f"{path}.when[{number}].key", text)


def _empty(value: Any) -> bool:
    return value is None or not any(getattr(value, name) for name in value.__struct_fields__)


def _source(path: str, source: Any) -> Iterator[Finding]:
    if _empty(source):
        yield bad(path, "the source is empty; give it a field or remove `from`")
        return
    for name in ("ip_blocks", "not_ip_blocks", "remote_ip_blocks", "not_remote_ip_blocks"):
        field = camel(name)
        for index, block in enumerate(getattr(source, name)):
            yield from words.address(f"{path}.{field}[{index}]", block)
    accounts = source.service_accounts or source.not_service_accounts
    if accounts and (source.principals or source.not_principals or source.namespaces or source.not_namespaces):
        yield bad(path, "serviceAccounts excludes principals and namespaces; keep one of them")
    yield from _accounts(f"{path}.serviceAccounts", source.service_accounts)
    yield from _accounts(f"{path}.notServiceAccounts", source.not_service_accounts)
    for name in source.__struct_fields__:
        yield from _no_blanks(path, name, getattr(source, name))


def _accounts(path: str, values: tuple[str, ...]) -> Iterator[Finding]:
    for index, account in enumerate(values):
        if account.count("/") > 1 or not all(account.split("/")) or "*" in account or len(account) > 320:
            text = "has no form namespace/name, nor name alone (up to 320 signs, none a *); write one"
            yield bad(f"{path}[{index}]", f"{account!r} {text}")


def _no_blanks(path: str, name: str, values: tuple[str, ...]) -> Iterator[Finding]:
    if "" in values:
        yield bad(f"{path}.{camel(name)}", "a value is empty; remove it")


def _operation(path: str, operation: Any) -> Iterator[Finding]:
    if _empty(operation):
        yield bad(path, "the operation is empty; give it a field or remove `to`")
        return
    for field, values in (("ports", operation.ports), ("notPorts", operation.not_ports)):
        for index, port in enumerate(values):
            if not port.isdecimal() or not 1 <= int(port) <= 65535:
                yield bad(f"{path}.{field}[{index}]", f"{port!r} is not a port; write a number of 1 to 65535 in quotes")
    for field, values in (("paths", operation.paths), ("notPaths", operation.not_paths)):
        for index, value in enumerate(values):
            yield from _path(f"{path}.{field}[{index}]", value)
    for name in operation.__struct_fields__:
        yield from _no_blanks(path, name, getattr(operation, name))


def _path(path: str, value: str) -> Iterator[Finding]:
    if "{" not in value and "}" not in value:
        return
    segments = value.split("/")
    wrong = [each for each in segments if ("{" in each or "}" in each) and each not in ("{*}", "{**}")]
    if wrong:
        yield bad(path, f"{wrong[0]!r} is not a template; a whole segment is {{*}} or {{**}}")
    elif "*" in value.replace("{**}", "").replace("{*}", ""):
        yield bad(path, "a template cannot be mixed with a plain *; use {*} or {**}")
    elif "{**}" in segments and {"{*}", "{**}"}.intersection(segments[segments.index("{**}") + 1 :]):
        yield bad(path, "{**} is the last template of a path; keep one, or put the others before it")
    elif strange := [e for e in value.strip("/").split("/") if not e.startswith("{") and not _SEGMENT.fullmatch(e)]:
        yield bad(path, f"{strange[0]!r} cannot stand beside a template; write what a path may hold, escaped by %")


def _condition(path: str, when: Any) -> Iterator[Finding]:
    if when.key not in _KEYS and not _KEY_FORMS.fullmatch(when.key):
        yield bad(
            f"{path}.key",
            f"{when.key!r} is not a known key; use request.headers[...] or one of {', '.join(sorted(_KEYS))}",
        )
    if not when.values and not when.not_values:
        yield bad(path, "neither values nor notValues is given; add one")
    for name in ("values", "not_values"):
        if when.key == "source.serviceAccount":
            yield from _accounts(f"{path}.{camel(name)}", getattr(when, name))
        else:
            yield from _no_blanks(path, name, getattr(when, name))
    if when.key in ("source.ip", "remote.ip", "destination.ip"):
        for index, value in enumerate((*when.values, *when.not_values)):
            yield from words.address(f"{path}.values[{index}]", value)
    if when.key == "destination.port":
        for index, value in enumerate((*when.values, *when.not_values)):
            if not value.isdecimal() or not 1 <= int(value) <= 65535:
                yield bad(f"{path}.values[{index}]", f"{value!r} is not a port; write a number of 1 to 65535")

"""HTTP authorization: policies with every attribute as RBAC filters, in the order CUSTOM, AUDIT, DENY, ALLOW.

`where` says how a caller's identity is known: from the TLS connection (`tls`), or from the filter state a tunnel's end
left behind (`state`). The network form for plain TCP drops what only HTTP can check, always toward refusing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

from plait.envoy.l7.matchers import JWT, PAYLOAD, Form, metadata, text
from plait.envoy.pieces import Doc, any_of, extension
from plait.envoy.rbac import principal_test
from plait.model.http_security import Condition, HttpPolicy, HttpRule, Operation, PathText, Source, token_parts
from plait.model.policies import Account, Range, Text

T = TypeVar("T")
Where = Literal["tls", "state"]
FS_PRINCIPAL = "io.istio.peer_principal"
_ANY: Doc = {"any": True}
_DESTINATION = ("destination.ip", "destination.port", "sni")


@dataclass(frozen=True, slots=True)
class _Scope:
    where: Where
    http: bool

    @property
    def source_ip(self) -> str:
        """Inside a tunnel the connection itself comes from nowhere: its client's address was put in its place.

        No client can write that one; `remote_ip` it could, by X-Forwarded-For.
        """
        return "source_ip" if self.where == "state" else "direct_remote_ip"


def rules(
    policies: Iterable[HttpPolicy], action: str, where: Where, *, http: bool = True, before: str = "", after: str = ""
) -> Doc:
    """An RBAC rule set. One policy without rules is kept out of it: it never matches.

    `before` and `after` go around the rules' names, which users read in logs, statistics and metadata.
    """
    scope = _Scope(where, http)
    entries: dict[str, Doc] = {}
    for policy in policies:
        for number, rule in enumerate(policy.rules):
            if not http and policy.action == "allow" and rule.of_requests:
                continue  # a rule that cannot be checked cannot allow
            name = f"ns[{policy.namespace}]-policy[{policy.name}]-rule[{number}]"
            entries[f"{before}{name}{after}"] = _rule(rule, scope)
    return {"action": action, "policies": entries}


def _rule(rule: HttpRule, scope: _Scope) -> Doc:
    permissions = [_operation(each, scope) for each in rule.operations] or [_ANY]
    principals = [_source(each, scope) for each in rule.sources] or [_ANY]
    here = [c for c in rule.conditions if scope.http or not c.of_requests]
    targets = [_on_target(each) for each in here if each.attribute in _DESTINATION]
    others = [_on_caller(each, scope) for each in here if each.attribute not in _DESTINATION]
    if targets:
        permissions = [_all("rules", [_any("rules", permissions), *targets])]
    if others:
        principals = [_all("ids", [_any("ids", principals), *others])]
    return {"permissions": permissions, "principals": principals}


def _all(kind: Literal["ids", "rules"], parts: list[Doc]) -> Doc:
    if not parts:
        return _ANY
    return parts[0] if len(parts) == 1 else {f"and_{kind}": {kind: parts}}


def _any(kind: Literal["ids", "rules"], parts: list[Doc]) -> Doc:
    return parts[0] if len(parts) == 1 else {f"or_{kind}": {kind: parts}}


def _not(kind: Literal["ids", "rules"], part: Doc) -> Doc:
    return {"not_id" if kind == "ids" else "not_rule": part}


def _tests(kind: Literal["ids", "rules"], wanted: list[Doc], unwanted: list[Doc]) -> list[Doc]:
    found = [_any(kind, wanted)] if wanted else []
    return [*found, _not(kind, _any(kind, unwanted))] if unwanted else found


# What is called ---


def _operation(operation: Operation, scope: _Scope) -> Doc:
    parts = _tests(
        "rules",
        [{"destination_port": p} for p in operation.ports],
        [{"destination_port": p} for p in operation.not_ports],
    )
    if scope.http:
        for name, wanted, unwanted, fold in (
            (":authority", operation.hosts, operation.not_hosts, True),
            (":method", operation.methods, operation.not_methods, False),
        ):
            parts += _tests(
                "rules", [_header(name, t, fold) for t in wanted], [_header(name, t, fold) for t in unwanted]
            )
        parts += _tests("rules", [_path(t) for t in operation.paths], [_path(t) for t in operation.not_paths])
    return _all("rules", parts)


def _header(name: str, test: Text, fold: bool = False) -> Doc:
    if test.how == "presence":
        return {"header": {"name": name, "present_match": True}}
    return {"header": {"name": name, "string_match": text(test, ignore_case=fold)}}


def _item(name: str, test: Text) -> Doc:
    """One of the values that commas part; blanks around it are not of it, as every reader of lists has it."""
    if test.how == "presence":
        return _header(name, test)
    value = {"prefix": "{}.*", "suffix": ".*{}"}.get(test.how, "{}").format(re.escape(test.value))
    return {
        "header": {"name": name, "string_match": {"safe_regex": {"regex": f"(?:.*,)?[ \\t]*{value}[ \\t]*(?:,.*)?"}}}
    }


def _path(test: PathText) -> Doc:
    if test.how == "template":
        return {
            "uri_template": extension(
                "uri-template",
                "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
                path_template=test.value.replace("{**}", "**").replace("{*}", "*"),
            )
        }
    return {"url_path": {"path": text(Text(test.how, test.value))}}


# Who calls ---


def _source(source: Source, scope: _Scope) -> Doc:
    where = scope.where
    parts = _both(lambda t: _principal(t, where), source.principals, source.not_principals)
    parts += _both(lambda t: _namespace(t, where), source.namespaces, source.not_namespaces)
    parts += _both(lambda a: _account(a, where), source.accounts, source.not_accounts)
    parts += _both(lambda t: _domain(t, where), source.trust_domains, source.not_trust_domains)
    parts += _both(lambda r: {scope.source_ip: _cidr(r)}, source.ips, source.not_ips)
    parts += _both(lambda r: {"remote_ip": _cidr(r)}, source.remote_ips, source.not_remote_ips)
    if scope.http:
        parts += _both(_token, source.request_principals, source.not_request_principals)
    return _all("ids", parts)


def _both(make: Callable[[T], Doc], wanted: Iterable[T], unwanted: Iterable[T]) -> list[Doc]:
    return _tests("ids", [make(each) for each in wanted], [make(each) for each in unwanted])


def _identity(matcher: Doc, where: Where) -> Doc:
    if where == "state":
        return {"filter_state": {"key": FS_PRINCIPAL, "string_match": matcher}}
    return {"authenticated": {"principal_name": matcher}}


def _principal(test: Text, where: Where) -> Doc:
    """Anybody with a certificate may be one without a SPIFFE name: a gateway takes those of other authorities, too."""
    return _identity(text(test) if test.how == "presence" else principal_test(test), where)


def _part(test: Text) -> str:
    """Part of an identity. No name holds a star, so one inside the test stands for anything, as in Istio."""
    value = "[^/]*".join(map(re.escape, test.value.split("*")))
    return {"exact": value, "prefix": f"{value}[^/]*", "suffix": f"[^/]*{value}"}.get(test.how, "[^/]+")


def of_namespace(regex: str) -> Doc:
    """A matcher of identities whose namespace matches."""
    return {"safe_regex": {"regex": f"spiffe://[^/]+/ns/{regex}/sa/[^/]+"}}


def _namespace(test: Text, where: Where) -> Doc:
    return _identity(of_namespace(_part(test)), where)


def _account(account: Account, where: Where) -> Doc:
    named = f"spiffe://[^/]+/ns/{re.escape(account.namespace)}/sa/{re.escape(account.name)}"
    return _identity({"safe_regex": {"regex": named}}, where)


def _domain(test: Text, where: Where) -> Doc:
    return _identity({"safe_regex": {"regex": f"spiffe://{_part(test)}/.*"}}, where)


def _token(test: Text) -> Doc:
    """Of the verified token both issuer and subject: a token without a subject is nobody."""
    parts = zip(("iss", "sub"), token_parts(test), strict=True)
    claims = [{"metadata": metadata(JWT, (PAYLOAD, claim), [text(asked)], form="text")} for claim, asked in parts]
    return {"and_ids": {"ids": claims}}


def _cidr(block: Range) -> Doc:
    return {"address_prefix": block.address, "prefix_len": block.length}


# Conditions ---


def _on_target(condition: Condition) -> Doc:
    make: dict[str, tuple[list[Doc], list[Doc]]] = {
        "destination.ip": (
            [{"destination_ip": _cidr(r)} for r in condition.ranges],
            [{"destination_ip": _cidr(r)} for r in condition.not_ranges],
        ),
        "destination.port": (
            [{"destination_port": p} for p in condition.ports],
            [{"destination_port": p} for p in condition.not_ports],
        ),
        "sni": (
            [{"requested_server_name": text(t)} for t in condition.texts],
            [{"requested_server_name": text(t)} for t in condition.not_texts],
        ),
    }
    return _all("rules", _tests("rules", *make[condition.attribute]))


def _on_caller(condition: Condition, scope: _Scope) -> Doc:
    where = scope.where
    match condition.attribute:
        case "source.ip" | "remote.ip":
            kind = scope.source_ip if condition.attribute == "source.ip" else "remote_ip"
            wanted = [{kind: _cidr(r)} for r in condition.ranges]
            unwanted = [{kind: _cidr(r)} for r in condition.not_ranges]
        case "source.account":
            wanted = [_account(a, where) for a in condition.accounts]
            unwanted = [_account(a, where) for a in condition.not_accounts]
        case _:
            wanted = [_of_text(condition, t, where) for t in condition.texts]
            unwanted = [_of_text(condition, t, where) for t in condition.not_texts]
    return _all("ids", _tests("ids", wanted, unwanted))


def _of_text(condition: Condition, test: Text, where: Where) -> Doc:
    match condition.attribute:
        case "header":
            return _header(condition.name, test)
        case "header.item":
            return _item(condition.name, test)
        case "source.namespace":
            return _namespace(test, where)
        case "source.principal":
            return _principal(test, where)
        case "source.trust_domain":
            return _domain(test, where)
        case "token.principal":
            return _token(test)
        case "token.audience":
            return {"metadata": metadata(JWT, (PAYLOAD, "aud"), [text(test)])}
        case "token.presenter":
            return {"metadata": metadata(JWT, (PAYLOAD, "azp"), [text(test)])}
        case "token.claim":
            return {"metadata": metadata(JWT, (PAYLOAD, *condition.path), [text(test)])}
        case "filter":
            form: Form = "list" if condition.is_list else "text"
            found = metadata(condition.name, condition.path, [text(test)], form=form)
            return {"metadata": found}
    raise AssertionError(condition.attribute)


# Filters ---


def http_filter(name: str, rule_set: Doc | None, shadow: Doc | None, prefix: str) -> Doc:
    document = any_of("envoy.extensions.filters.http.rbac.v3.RBAC")
    if rule_set is not None:
        document["rules"] = rule_set
    if shadow is not None:
        document |= {"shadow_rules": shadow, "shadow_rules_stat_prefix": prefix}
    return {"name": name, "typed_config": document}


def network_filter(name: str, rule_set: Doc | None, shadow: Doc | None, prefix: str) -> Doc:
    document = any_of("envoy.extensions.filters.network.rbac.v3.RBAC", stat_prefix="tcp.")
    if rule_set is not None:
        document["rules"] = rule_set
    if shadow is not None:
        document |= {"shadow_rules": shadow, "shadow_rules_stat_prefix": prefix}
    return {"name": name, "typed_config": document}


def filters(policies: Iterable[HttpPolicy], where: Where, *, http: bool = True) -> list[Doc]:
    """AUDIT (of what is refused, too), DENY, ALLOW; an ALLOW that allows nothing stays, for it refuses everybody."""
    every = tuple(policies)
    make = http_filter if http else network_filter
    name = f"envoy.filters.{'http' if http else 'network'}.rbac"
    found: list[Doc] = []
    for action, word in (("audit", "LOG"), ("deny", "DENY"), ("allow", "ALLOW")):
        of = [policy for policy in every if policy.action == action]
        live = [policy for policy in of if not policy.dry_run]
        trial = [policy for policy in of if policy.dry_run]
        if not of:
            continue
        found.append(
            make(
                name,
                rules(live, word, where, http=http) if live else None,
                rules(trial, word, where, http=http) if trial else None,
                f"istio_dry_run_{action}_",
            )
        )
    return found

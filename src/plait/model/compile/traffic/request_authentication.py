"""RequestAuthentication: accepted issuers. Inline keys are read here, so that a typo is said early.

Keys that nobody wrote are where the issuer's own configuration says; until it is known, no token of the issuer passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from plait.model.compile.memory import Memory
from plait.model.compile.traffic import key_sets
from plait.model.compile.traffic.attachments import attachment
from plait.model.compile.traffic.report import BAD_VALUE, DISCOVERY, Report
from plait.model.compile.traffic.values import seconds
from plait.model.http_security import JwtRule, RequestAuthentication
from plait.model.issuers import Provider, Providers, configuration
from plait.model.mesh import Settings
from plait.resources import security
from plait.resources.problems import Problem

KIND = "RequestAuthentication"


def authentication(
    found: Iterable[security.RequestAuthentication],
    settings: Settings,
    providers: Providers,
    memory: Memory,
    problems: list[Problem],
) -> Iterator[RequestAuthentication]:
    for each in found:
        known = {issuer: providers[issuer] for issuer in undiscovered((each,)) if issuer in providers}
        made, said = memory.made(("jwt", each.ident), each, partial(_made, each, settings, known), known)
        problems.extend(said)
        if made is not None:
            yield made


def undiscovered(found: Iterable[security.RequestAuthentication]) -> Mapping[str, float]:
    """The issuers that have to be asked where their keys are, and the seconds to wait for each."""
    asked: dict[str, float] = {}
    for rule in (rule for each in found for rule in each.spec.jwt_rules):
        if not (rule.jwks or rule.jwks_uri or rule.jwks_uri_old) and configuration(rule.issuer):
            patience = seconds(rule.timeout, "", Report(KIND, "", "")) or _PATIENCE
            asked[rule.issuer] = max(patience, asked.get(rule.issuer, 0.0))
    return asked


def _made(
    each: security.RequestAuthentication, settings: Settings, known: Providers
) -> tuple[RequestAuthentication | None, tuple[Problem, ...]]:
    report = Report(KIND, each.namespace, each.name)
    spec = each.spec
    bound = attachment(each.namespace, spec.selector, spec.target_ref, spec.target_refs, settings, report)
    if bound is None:
        return None, report.problems
    rules = tuple(_rule(rule, f"spec.jwtRules[{number}]", known, report) for number, rule in enumerate(spec.jwt_rules))
    created = each.meta.creation_timestamp or ""
    return RequestAuthentication(each.name, each.namespace, bound, rules, created), report.problems


_PATIENCE = 5.0
_NO_KEYS = '{"keys":[]}'
"""A known issuer without a key: its tokens are refused, which is the safe reading."""


def _rule(rule: security.JWTRule, path: str, known: Providers, report: Report) -> JwtRule:
    jwks, uri = rule.jwks or "", rule.jwks_uri or rule.jwks_uri_old or ""
    headers = tuple((each.name, each.prefix) for each in rule.from_headers if _readable(each))
    claims = tuple((each.header, each.claim) for each in rule.output_claim_to_headers if each.header and each.claim)
    if jwks and (why := key_sets.refused(jwks)):
        report.error(BAD_VALUE, f"{path}.jwks", f"{why}; no token of this issuer is accepted")
        jwks = _NO_KEYS
    if not rule.issuer and not jwks and not uri:
        report.error(BAD_VALUE, path, "there is neither an issuer nor keys; add jwks or jwksUri")
        jwks = _NO_KEYS
    if jwks and uri:
        report.say(BAD_VALUE, f"{path}.jwksUri", "jwks and jwksUri exclude each other; jwks counts, remove one")
        uri = ""
    if len(headers) < len(rule.from_headers):
        text = "a header has no name, or a prefix that no header has; no token of this issuer is accepted"
        report.error(BAD_VALUE, f"{path}.fromHeaders", text)
        jwks, uri = _NO_KEYS, ""
    if not jwks and not uri:
        uri = _discovered(rule.issuer, known.get(rule.issuer), path, report)
    if len(claims) < len(rule.output_claim_to_headers):
        text = "header and claim are both needed; one without is left out"
        report.error(BAD_VALUE, f"{path}.outputClaimToHeaders", text)
    return JwtRule(
        issuer=rule.issuer,
        audiences=rule.audiences,
        jwks=jwks,
        jwks_uri=uri,
        headers=headers,
        params=rule.from_params,
        cookies=rule.from_cookies,
        forward=rule.forward_original_token,
        payload_header=rule.output_payload_to_header,
        claim_headers=claims,
        timeout=seconds(rule.timeout, f"{path}.timeout", report),
        spaced_claims=rule.space_delimited_claims,
    )


def _discovered(issuer: str, provider: Provider | None, path: str, report: Report) -> str:
    """Where the issuer says that its keys are; "" nobody knows, and why is told."""
    at, way_out = configuration(issuer), "or write jwks or jwksUri"
    if not at:
        text = f"{issuer!r} is no URL to ask for its keys; no token of it is accepted; write jwks or jwksUri"
        report.error(BAD_VALUE, f"{path}.issuer", text)
        return ""
    if provider is None:
        text = f"a control plane asks {at} for the keys; no answer yet, so no token is accepted; wait, {way_out}"
        report.say(DISCOVERY, f"{path}.issuer", text, "info")
        return ""
    if provider.wrong:
        rest = f"{provider.jwks_uri} of before counts" if provider.jwks_uri else "no token is accepted"
        text = f"keys cannot be discovered at {at}: {provider.wrong}; {rest}; mend it (it is asked again), {way_out}"
        report.say(DISCOVERY, f"{path}.issuer", text, "warning" if provider.jwks_uri else "error")
    return provider.jwks_uri


def _readable(header: security.JWTHeader) -> bool:
    return bool(header.name) and not any(sign in header.prefix for sign in "\0\r\n")

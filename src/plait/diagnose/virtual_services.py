"""VirtualServices: is every rule reachable, does every destination name its port, are claims ever verified?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from plait.diagnose.evidence import Evidence
from plait.diagnose.messages import say
from plait.model import hostnames
from plait.resources.networking import gateway as istio
from plait.resources.networking.traffic import StringMatch
from plait.resources.networking.virtual_service import HTTPMatchRequest, HTTPRoute, L4MatchAttributes, VirtualService
from plait.resources.problems import Problem
from plait.resources.security import RequestAuthentication

_CLAIMS = "@request.auth.claims"


def ambiguous_ports(evidence: Evidence) -> Iterator[Problem]:
    """Destinations without a port whose service has several: none of them is meant."""
    services = {each.hostname: each for each in evidence.mesh.l7.services.values()}
    for each in evidence.all(VirtualService):
        for path, destination in _destinations(each):
            if destination.port is not None and destination.port.number:
                continue
            host = hostnames.full(destination.host, each.namespace, evidence.mesh.settings)
            ports = [port.number for port in services[host].ports] if host in services else []
            if len(ports) > 1:
                text = f"{host} has the ports {', '.join(map(str, ports))}; name the one that is meant"
                yield say("IST0112", each, f"{path}.port", text)


def unreachable(evidence: Evidence) -> Iterator[Problem]:
    """Rules, and single matches, that an earlier rule has taken everything from."""
    for each in evidence.all(VirtualService):
        rules: list[tuple[str, Sequence[Any]]] = [("http", each.spec.http), ("tls", each.spec.tls)]
        rules.append(("tcp", each.spec.tcp))
        for word, found in rules:
            yield from _taken(each, word, found)


def _taken(each: VirtualService, word: str, rules: Sequence[Any]) -> Iterator[Problem]:
    seen: dict[Any, int] = {}
    everything: int | None = None
    for number, rule in enumerate(rules):
        path, keys = f"spec.{word}[{number}]", [_key(match) for match in rule.match]
        before = [seen.get(key) for key in keys]
        if everything is not None:
            text = f"rule {everything} takes every request before this one; move that to the end or give it a match"
            yield say("IST0130", each, path, text)
        elif keys and all(earlier is not None for earlier in before):
            text = f"every match stands in an earlier rule ({_listed(before)}) already; remove the rule"
            yield say("IST0130", each, path, text)
        else:
            for place, earlier in enumerate(before):
                if earlier is not None:
                    text = f"rule {earlier} has the same match, so this never takes anything; remove it"
                    yield say("IST0131", each, f"{path}.match[{place}]", text)
        for key in keys:
            seen.setdefault(key, number)
        if everything is None and (not keys or any(_all(match) for match in rule.match)):
            everything = number


def _listed(found: Sequence[int | None]) -> str:
    return ", ".join(str(number) for number in sorted({each for each in found if each is not None}))


def _key(match: Any) -> bytes:
    """What a match takes; its name does not count."""
    bare = msgspec.structs.replace(match, name="", stat_prefix="") if isinstance(match, HTTPMatchRequest) else match
    return msgspec.json.encode(bare, order="sorted")


def _all(match: Any) -> bool:
    """Does this match take every request?"""
    if isinstance(match, L4MatchAttributes):
        return match == L4MatchAttributes()
    if not isinstance(match, HTTPMatchRequest):
        return False
    bare = msgspec.structs.replace(match, name="", stat_prefix="", ignore_uri_case=False)
    any_path = StringMatch(prefix="/")
    return bare in (HTTPMatchRequest(), HTTPMatchRequest(uri=any_path))


def claims_unverified(evidence: Evidence) -> Iterator[Problem]:
    """Routes by claims of a token at a gateway that verifies no token."""
    gateways = {f"{each.namespace}/{each.name}": each for each in evidence.all(istio.Gateway)}
    for each in evidence.all(VirtualService):
        paths = [path for number, rule in enumerate(each.spec.http) for path in _claimed(number, rule)]
        for name in each.spec.gateways if paths else ():
            gateway = gateways.get(name if "/" in name else f"{each.namespace}/{name}")
            if gateway is not None and not _verifies(evidence, gateway):
                text = f"gateway {name} verifies no token, so no claim ever matches; add a RequestAuthentication for it"
                yield say("IST0149", each, paths[0], text)


def _claimed(number: int, rule: HTTPRoute) -> Iterator[str]:
    for place, match in enumerate(rule.match):
        for field, headers in (("headers", match.headers), ("withoutHeaders", match.without_headers)):
            for header in headers:
                if header.startswith(_CLAIMS):
                    yield f"spec.http[{number}].match[{place}].{field}[{header}]"


def _verifies(evidence: Evidence, gateway: istio.Gateway) -> bool:
    proxies = [each for each in evidence.workloads if gateway.spec.selector and each.carries(gateway.spec.selector)]
    for policy in evidence.all(RequestAuthentication):
        labels = policy.spec.selector.match_labels if policy.spec.selector is not None else {}
        if any(policy.namespace in (evidence.root, proxy.namespace) and proxy.carries(labels) for proxy in proxies):
            return True
    return not proxies  # nobody serves the gateway: that is another message


def _destinations(each: VirtualService) -> Iterator[tuple[str, Any]]:
    for number, rule in enumerate(each.spec.http):
        for place, share in enumerate(rule.route):
            yield f"spec.http[{number}].route[{place}].destination", share.destination
        if rule.mirror is not None:
            yield f"spec.http[{number}].mirror", rule.mirror
    lower: list[tuple[str, Sequence[Any]]] = [("tls", each.spec.tls), ("tcp", each.spec.tcp)]
    for word, rules in lower:
        for number, rule in enumerate(rules):
            for place, share in enumerate(rule.route):
                yield f"spec.{word}[{number}].route[{place}].destination", share.destination

"""Which endpoints are near: priorities by failover, or percent by distribution, as seen from one proxy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from plait.model.locality import Locality
from plait.model.proxies import Proxy
from plait.model.traffic import LocalityPolicy
from plait.model.views.upstreams import UpstreamEndpoint

NOWHERE = Locality()
Weights = tuple[tuple[Locality, int], ...]
Pair = tuple[UpstreamEndpoint, Mapping[str, str]]


def ranked(
    found: Sequence[Pair], policy: LocalityPolicy | None, outliers: bool, proxy: Proxy
) -> tuple[tuple[UpstreamEndpoint, ...], Weights]:
    """Endpoints with priorities, and weights of localities. Failover needs outlier detection, as in Istio."""
    plain = tuple(endpoint for endpoint, _ in found)
    here = proxy.locality
    if policy is None or policy.enabled is False or not plain:
        return plain, ()
    if policy.distribute:
        weights = _distributed(plain, policy, here)
        if weights is not None:
            kept = {locality for locality, _ in weights}
            return tuple(each for each in plain if each.locality in kept), weights
    if (policy.zone_aware and not policy.failover and not policy.priority) or not outliers:
        return plain, ()
    if policy.priority:
        ranks = [_by_labels(policy.priority, proxy.tags, labels) for _, labels in found]
    elif here == NOWHERE:
        return plain, ()
    else:
        ranks = [_by_place(here, each.locality, policy) for each in plain]
    order = {rank: number for number, rank in enumerate(sorted(set(ranks)))}  # Envoy wants priorities without gaps
    return tuple(
        msgspec.structs.replace(each, priority=order[rank]) if order[rank] else each
        for each, rank in zip(plain, ranks, strict=True)
    ), ()


def _by_place(here: Locality, there: Locality, policy: LocalityPolicy) -> int:
    if there.region != here.region:
        wanted = next((to for region, to in policy.failover if region == here.region), None)
        return 3 if wanted is None or wanted == there.region else 4
    if there.zone != here.zone:
        return 2
    return 0 if there.subzone == here.subzone else 1


def _by_labels(priority: tuple[str, ...], mine: Mapping[str, str], theirs: Mapping[str, str]) -> int:
    for number, text in enumerate(priority):
        name, given, value = text.partition("=")
        if theirs.get(name) != (value if given else mine.get(name)):
            return len(priority) - number
    return 0


def _distributed(found: Sequence[UpstreamEndpoint], policy: LocalityPolicy, here: Locality) -> Weights | None:
    for rule in policy.distribute:
        if not _inside(rule.origin, here):
            continue
        weights: dict[Locality, int] = {}
        for place, percent in rule.shares:
            members = [each for each in found if _inside(place, each.locality) and each.locality not in weights]
            total = sum(each.weight for each in members) or 1
            for locality in dict.fromkeys(each.locality for each in members):
                own = sum(each.weight for each in members if each.locality == locality)
                weights[locality] = max(round(percent * own / total), 1 if percent else 0)
        return tuple((locality, weight) for locality, weight in weights.items() if weight)
    return None


def _inside(pattern: str, locality: Locality) -> bool:
    place = (locality.region, locality.zone, locality.subzone)
    for wanted, part in zip(pattern.split("/"), place, strict=False):
        if wanted == "*":
            return True
        if wanted != part:
            return False
    return True

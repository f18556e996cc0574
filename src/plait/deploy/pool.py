"""The pool of managed waypoints: what its operator settles (quota, nodes), who fits in, and what guards its door.

Its ConfigMap `pool` in the namespace plait-managed holds one YAML mapping under the key `pool`. The namespace is the
operator's: nobody who may only write Gateways can read or change anything there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from plait.base.wellknown import HBONE_PORT, HELD_PORT, MANAGED, POOL_NAMESPACE
from plait.resources import documents
from plait.resources.kinds import Kind

Document = dict[str, Any]
CONFIG_MAP: Final = (POOL_NAMESPACE, "pool")
KEY: Final = "pool"
NETWORK_POLICY: Final = Kind("networking.k8s.io", ("v1",), "NetworkPolicy", "networkpolicies")
_FIELDS: Final = ("waypoints", "replicas", "warm", "nodes", "namespaces")
_MOST_WARM: Final = 100


@dataclass(frozen=True, slots=True)
class Quota:
    """Of one namespace: how many waypoints it may have in the pool, and how many proxies all of them together."""

    waypoints: int = 5
    replicas: int = 20


@dataclass(frozen=True, slots=True)
class Pool:
    """What the operator settled. `nodes` are labels of the nodes that take its pods; `warm`: proxies kept running for
    who comes next."""

    quota: Quota = Quota()
    warm: int = 0
    nodes: Mapping[str, str] = field(default_factory=dict)
    namespaces: Mapping[str, Quota] = field(default_factory=dict)

    def of(self, namespace: str) -> Quota:
        return self.namespaces.get(namespace, self.quota)


def read(text: str) -> Pool | str:
    """What a ConfigMap says; a text says what is wrong with it and how to write it."""
    found, wrong = documents.read(text, KEY)
    if wrong or len(found) > 1:
        return f"{wrong[0].message if wrong else 'more than one document'}; write one YAML mapping"
    said: Mapping[str, Any] = found[0].document if found else {}
    if unknown := [name for name in said if name not in _FIELDS]:
        return f"{unknown[0]}: there is no such field; known are {', '.join(_FIELDS)}"
    nodes, namespaces = said.get("nodes") or {}, said.get("namespaces") or {}
    if not isinstance(nodes, dict) or not all(isinstance(each, str) for each in nodes.values()):
        return "nodes: write labels, for example {plait.dev/node-class: edge}"
    if not isinstance(namespaces, dict):
        return "namespaces: write a mapping, for example {shop: {waypoints: 1}}"
    warm = said.get("warm", 0)
    if not isinstance(warm, int) or isinstance(warm, bool) or not 0 <= warm <= _MOST_WARM:
        return f'warm: "{warm}" is not a number of proxies; write 0 to {_MOST_WARM}'
    quota = _quota(said, Quota())
    if isinstance(quota, str):
        return quota
    own: dict[str, Quota] = {}
    for name, each in namespaces.items():
        made = _quota(each, quota) if isinstance(each, dict) else "write a mapping, for example {waypoints: 1}"
        if isinstance(made, str):
            return f"namespaces.{name}: {made}"
        own[name] = made
    return Pool(quota, warm, nodes, own)


def _quota(said: Mapping[str, Any], usual: Quota) -> Quota | str:
    values = {"waypoints": usual.waypoints, "replicas": usual.replicas}
    for name in values:
        value = said.get(name, values[name])
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            return f'{name}: "{value}" is not a number; write 0 or more'
        values[name] = value
    return Quota(**values)


def refused(namespace: str, quota: Quota, others: Mapping[str, int], least: int) -> str:
    """Why one more waypoint of `least` proxies does not fit beside `others` (proxies by waypoint); "" when it does."""
    where = f"key {KEY} of ConfigMap {'/'.join(CONFIG_MAP)}"
    way_out = f"delete one, write plait.dev/placement: node, or have the operator raise it ({where})"
    if len(others) >= quota.waypoints:
        names = ", ".join(sorted(others)) or "none"
        return f"namespace {namespace} may have {quota.waypoints} managed waypoints and has {names}; {way_out}"
    if (used := sum(others.values())) + least > quota.replicas:
        text = f"namespace {namespace} may run {quota.replicas} managed proxies, {used} are taken and {least} asked for"
        return f"{text}; lower plait.dev/min-replicas, {way_out}"
    return ""


def most(quota: Quota, others: Mapping[str, int], least: int) -> int:
    """How many proxies one waypoint may grow to beside `others`; never less than it is to have."""
    return max(least, quota.replicas - sum(others.values()))


def namespace() -> Document:
    """The pool's namespace. What runs there is no client of the mesh and gets no sidecar."""
    labels = {"istio.io/dataplane-mode": "none", "istio-injection": "disabled"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": POOL_NAMESPACE, "labels": labels}}


def network_policy(activator: str) -> Document:
    """From other pods only HBONE is let in: mutual TLS, and only what the waypoint stands before. `activator`: the
    address from which held connections come, "" none."""
    ingress: list[Document] = [{"ports": [{"port": HBONE_PORT, "protocol": "TCP"}]}]
    if activator:
        block = {"cidr": f"{activator}/{128 if ':' in activator else 32}"}
        ingress.append({"from": [{"ipBlock": block}], "ports": [{"port": HELD_PORT, "protocol": "TCP"}]})
    selector = {"matchExpressions": [{"key": MANAGED, "operator": "Exists"}]}
    return {
        "apiVersion": NETWORK_POLICY.api_version(),
        "kind": NETWORK_POLICY.kind,
        "metadata": {"name": "waypoints", "namespace": POOL_NAMESPACE},
        "spec": {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": ingress},
    }

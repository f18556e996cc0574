"""Service addresses and node ports: defaults, allocation from the ranges, and what may not change."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from plait.store.api import ApiError, Document
from plait.store.errors import Cause
from plait.store.state import State
from plait.store.strategies import families

Range = IPv4Network | IPv6Network
Ranges = Sequence[Range]
"""One of each family of the cluster, its default family's first."""
_SERVICES = ("", "services")
RESERVED = 16  # the first addresses of the range are given out on request only (API server, DNS)


def default(ranges: Ranges, new: Document, old: Document | None) -> None:
    """Derived defaults; what was allocated before stays when an update leaves it out."""
    spec = new.setdefault("spec", {})
    kind = spec.setdefault("type", "ClusterIP")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    if spec.setdefault("sessionAffinity", "None") == "ClientIP":
        config = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        config.setdefault("timeoutSeconds", 10800)
    if kind == "ExternalName":
        return
    spec.setdefault("internalTrafficPolicy", "Cluster")
    families.default(new, old, _offered(ranges))
    if kind in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if old is not None:
        before = old["spec"]
        if kind in ("NodePort", "LoadBalancer"):
            ports = {(p.get("protocol"), p.get("port")): p.get("nodePort") for p in before.get("ports") or ()}
            for port in spec.get("ports") or ():
                kept = ports.get((port.get("protocol"), port.get("port")))
                if not port.get("nodePort") and kept:
                    port["nodePort"] = kept


def _offered(ranges: Ranges) -> list[str]:
    return [f"IPv{each.version}" for each in ranges]


def allocate(state: State, ranges: Ranges, node_ports: range, new: Document, old: Document | None) -> None:
    """Fill in what is still missing, from what no other Service holds."""
    spec = new["spec"]
    if spec["type"] == "ExternalName":
        return
    if spec.get("clusterIPs") and not spec.get("clusterIP"):
        spec["clusterIP"] = spec["clusterIPs"][0]
    given = list(spec.get("clusterIPs") or ())
    if given != ["None"]:
        by_family = {f"IPv{each.version}": each for each in ranges}
        for family in spec["ipFamilies"][len(given) :]:
            if family in by_family:
                given.append(_free_address(state, by_family[family]))
    spec["clusterIP"], spec["clusterIPs"] = given[0], given
    wants_ports = spec["type"] == "NodePort" or (
        spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True)
    )
    if wants_ports:
        used = _used_ports(state, new)
        for port in spec.get("ports") or ():
            if not port.get("nodePort"):
                port["nodePort"] = next((p for p in node_ports if p not in used), None)
                if port["nodePort"] is None:
                    raise ApiError(500, "InternalError", f"all node ports of {node_ports} are in use; delete a Service")
            used.add(port["nodePort"])


def _in_use(state: State) -> set[str]:
    return {address for r in state.list(_SERVICES) for address in r.document["spec"].get("clusterIPs") or ()}


def _free_address(state: State, services: Range) -> str:
    used = _in_use(state)
    for number in range(RESERVED, services.num_addresses - 1):
        if (address := str(services[number])) not in used:
            return address
    raise ApiError(500, "InternalError", f"all service addresses of {services} are in use; delete a Service")


def _used_ports(state: State, new: Document) -> set[int]:
    meta = new["metadata"]
    return {
        port["nodePort"]
        for record in state.list(_SERVICES)
        if (record.document["metadata"]["namespace"], record.document["metadata"]["name"])
        != (meta["namespace"], meta["name"])
        for port in record.document["spec"].get("ports") or ()
        if port.get("nodePort")
    }


def problems(state: State, ranges: Ranges, node_ports: range, new: Document, old: Document | None) -> list[Cause]:
    """Ports, cluster address and node ports that cannot be."""
    spec, found = new["spec"], list[Cause]()
    given = spec.get("clusterIP")
    if spec["type"] == "ExternalName":
        if not spec.get("externalName"):
            found.append(("spec.externalName", "Required value", "FieldValueRequired"))
        return found
    if not spec.get("ports") and given != "None":
        found.append(("spec.ports", "Required value", "FieldValueRequired"))
    ports = spec.get("ports") or []
    for i, port in enumerate(ports):
        if len(ports) > 1 and not port.get("name"):
            found.append(
                (f"spec.ports[{i}].name", "Required value: with several ports each needs a name", "FieldValueRequired")
            )
        number = port.get("port")
        if not isinstance(number, int) or not 1 <= number <= 65535:
            text = f"Invalid value: {number}: must be between 1 and 65535, inclusive"
            found.append((f"spec.ports[{i}].port", text, "FieldValueInvalid"))
        if port.get("nodePort") and port["nodePort"] in _used_ports(state, new):
            text = f"Invalid value: {port['nodePort']}: provided port is already allocated"
            found.append((f"spec.ports[{i}].nodePort", text, "FieldValueInvalid"))
        elif port.get("nodePort") and port["nodePort"] not in node_ports:
            text = f"Invalid value: {port['nodePort']}: not in {node_ports.start}-{node_ports.stop - 1}"
            found.append((f"spec.ports[{i}].nodePort", text, "FieldValueInvalid"))
    found += families.problems(new, old, _offered(ranges))
    before = list(old["spec"].get("clusterIPs") or ()) if old is not None else []
    for number, address in enumerate(spec.get("clusterIPs") or ()):
        path = f"spec.clusterIPs[{number}]" if number else "spec.clusterIP"
        if number < len(before):
            if address != before[number]:
                found.append((path, "Invalid value: field is immutable", "FieldValueInvalid"))
        elif address != "None":
            found += _address(state, ranges, path, address)
    return found


def _address(state: State, ranges: Ranges, path: str, given: str) -> list[Cause]:
    if not any(families.of_address(given) and ip_address(given) in each for each in ranges):
        where = " or ".join(map(str, ranges))
        text = f"Invalid value: {given}: must be an address in {where}, empty, or None"
        return [(path, text, "FieldValueInvalid")]
    if given in _in_use(state):
        return [(path, f"Invalid value: {given}: provided IP is already allocated", "FieldValueInvalid")]
    return []

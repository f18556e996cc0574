"""Service addresses and node ports: defaults, allocation from the ranges, and what may not change."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv4Network

from plait.store.api import ApiError, Document
from plait.store.errors import Cause
from plait.store.state import State

_SERVICES = ("", "services")
RESERVED = 16  # the first addresses of the range are given out on request only (API server, DNS)


def default(new: Document, old: Document | None) -> None:
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
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if kind in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if old is not None:
        before = old["spec"]
        for key in ("clusterIP", "clusterIPs"):
            if not spec.get(key) and key in before and before.get("type") != "ExternalName":
                spec[key] = before[key]
        if kind in ("NodePort", "LoadBalancer"):
            ports = {(p.get("protocol"), p.get("port")): p.get("nodePort") for p in before.get("ports") or ()}
            for port in spec.get("ports") or ():
                kept = ports.get((port.get("protocol"), port.get("port")))
                if not port.get("nodePort") and kept:
                    port["nodePort"] = kept


def allocate(state: State, services: IPv4Network, node_ports: range, new: Document, old: Document | None) -> None:
    """Fill in what is still missing, from what no other Service holds."""
    spec = new["spec"]
    if spec["type"] == "ExternalName":
        return
    if spec.get("clusterIPs") and not spec.get("clusterIP"):
        spec["clusterIP"] = spec["clusterIPs"][0]
    if not spec.get("clusterIP"):
        spec["clusterIP"] = _free_address(state, services)
    spec["clusterIPs"] = [spec["clusterIP"]]
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


def _free_address(state: State, services: IPv4Network) -> str:
    used = {r.document["spec"].get("clusterIP") for r in state.list(_SERVICES)}
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


def problems(
    state: State, services: IPv4Network, node_ports: range, new: Document, old: Document | None
) -> list[Cause]:
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
    if given and old is not None and old["spec"].get("clusterIP") not in (None, "", given):
        found.append(("spec.clusterIP", "Invalid value: field is immutable", "FieldValueInvalid"))
    elif given and given != "None" and old is None:
        found += _address(state, services, given, new)
    return found


def _address(state: State, services: IPv4Network, given: str, new: Document) -> list[Cause]:
    try:
        inside = IPv4Address(given) in services
    except AddressValueError:
        inside = False
    if not inside:
        text = f"Invalid value: {given}: must be an address in {services}, empty, or None"
        return [("spec.clusterIP", text, "FieldValueInvalid")]
    if any(r.document["spec"].get("clusterIP") == given for r in state.list(_SERVICES)):
        return [("spec.clusterIP", f"Invalid value: {given}: provided IP is already allocated", "FieldValueInvalid")]
    return []

"""Endpoints of an upstream as a ClusterLoadAssignment: by priority and locality, each with its way and its labels."""

from __future__ import annotations

from itertools import groupby

from plait.envoy import names, telemetry
from plait.envoy.l7 import pinning
from plait.envoy.pieces import Doc, socket_address
from plait.model.locality import Locality
from plait.model.views.upstreams import Upstream, UpstreamEndpoint


def assignment(cluster: str, upstream: Upstream) -> Doc:
    """Priorities without gaps (Envoy wants that), localities with their share where the policy gives one."""
    ranks = {rank: number for number, rank in enumerate(sorted({end.priority for end in upstream.endpoints}))}
    shares = dict(upstream.locality_weights)
    ordered = sorted(
        upstream.endpoints, key=lambda end: (ranks[end.priority], _key(end.locality), end.address, end.port)
    )
    groups: list[Doc] = []
    for (rank, key), found in groupby(ordered, key=lambda end: (ranks[end.priority], _key(end.locality))):
        members = list(found)
        group: Doc = {"priority": rank, "lb_endpoints": [endpoint(each, pinned=upstream.pinned) for each in members]}
        region, zone, subzone = key
        if any(key):
            group["locality"] = {"region": region, "zone": zone, "sub_zone": subzone}
        share = shares.get(members[0].locality) if shares else sum(max(each.weight, 1) for each in members)
        if share:
            group["load_balancing_weight"] = share
        groups.append(group)
    return {"cluster_name": cluster, "endpoints": groups}


def _key(locality: Locality) -> tuple[str, str, str]:
    return locality.region, locality.zone, locality.subzone


def endpoint(end: UpstreamEndpoint, *, pinned: bool = False) -> Doc:
    security: telemetry.Security = "none" if end.way == "plain" else "mutual_tls"
    metadata: Doc = {names.MD_PEER: telemetry.peer_labels(end.peer, security)}
    if pinned:
        metadata |= pinning.endpoint(end.address, *end.others)
    document: Doc = {
        "endpoint": {"address": address(end)},
        "metadata": {"filter_metadata": metadata},
        "load_balancing_weight": max(end.weight, 1),
    }
    if end.others and end.way != "tunnel":
        document["endpoint"]["additional_addresses"] = [{"address": socket_address(a, end.port)} for a in end.others]
    if not end.healthy:
        document["health_status"] = "UNHEALTHY"
    if end.way == "istio":
        metadata[names.MD_SOCKET_MATCH] = {"tlsMode": "istio"}
    elif end.way == "tunnel":
        target = names.authority(end.address, end.port)
        document["endpoint"]["address"] = {
            "envoy_internal_address": {
                "server_listener_name": names.TUNNEL_LISTENER,
                "endpoint_id": f"{target}@{end.via}" if end.via else target,
            }
        }
        tunnel = {"identity": ",".join(end.identities)} if end.identities else {}
        metadata[names.MD_SOCKET_MATCH] = {"tunnel": "http"}
        metadata[names.MD_ORIGINAL_DST] = {"local": target}
        metadata[names.MD_TUNNEL] = {**tunnel, "via": end.via} if end.via else tunnel
    return document


def address(end: UpstreamEndpoint) -> Doc:
    if end.address.startswith("unix://"):
        return {"pipe": {"path": end.address.removeprefix("unix://")}}
    return socket_address(end.address, end.port)

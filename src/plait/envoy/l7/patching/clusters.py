"""Patches of clusters, by name, service, port and subset."""

from __future__ import annotations

from plait.envoy import names
from plait.envoy.l7.bundle import Documents
from plait.envoy.l7.merging import edited, merged
from plait.envoy.l7.patching.matching import Known, Test, ours
from plait.envoy.pieces import Doc
from plait.model.patches import Patch


def patched(found: Documents, patch: Patch, value: Doc, role: str, known: Known) -> bool:
    """Whether there was anything to patch."""
    chosen = _cluster(patch, role, known)
    if patch.operation == "MERGE" and "transport_socket" in value:
        hits = [each for each in found.clusters if chosen(each)]
        found.clusters = [_with_socket(each, value) if each in hits else each for each in found.clusters]
        return bool(hits)
    found.clusters, done = edited(found.clusters, patch.operation, value, chosen)
    return done


def _cluster(patch: Patch, role: str, known: Known) -> Test:
    wanted = patch.match.get("cluster") or {}

    def chosen(document: Doc) -> bool:
        name = str(document["name"])
        parts = name.split("|")
        kind, port, subset, host = parts if len(parts) == 4 else ("", "", "", "")
        direction = "INBOUND" if kind.startswith("inbound") or name == names.INBOUND else "OUTBOUND"
        return (
            ours(patch, role, direction)
            and wanted.get("name", name) == name
            and (not wanted.get("service") or wanted["service"] in known.hosts.get(name, (host,)))
            and wanted.get("subset", subset) == subset
            and (not wanted.get("portNumber") or str(wanted["portNumber"]) == port)
        )

    return chosen


def _with_socket(cluster: Doc, value: Doc) -> Doc:
    """Where sockets are chosen by endpoint, the patch is about the first of its name; without one its socket is left
    out, for a socket beside them would never be used."""
    ways = cluster.get("transport_socket_matches")
    if not ways:
        return merged(cluster, value)
    socket = value["transport_socket"]
    at = next((n for n, way in enumerate(ways) if way["transport_socket"]["name"] == socket.get("name")), None)
    made = merged(cluster, {key: each for key, each in value.items() if key != "transport_socket"})
    if at is not None:
        way = {**ways[at], "transport_socket": merged(ways[at]["transport_socket"], socket)}
        made["transport_socket_matches"] = [*ways[:at], way, *ways[at + 1 :]]
    return made

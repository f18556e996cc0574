"""Stories of connections at a waypoint: rules that hold for callers of one namespace, its own or such that name it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kit import documents as d
from kit import l7 as envoy
from kit import worlds as l7
from kit.envoys import validate
from plait.envoy.roles import waypoint
from plait.model.routes import Destination

RAW = d.service("db", "10.9.0.9", spec={"ports": [{"name": "tcp", "port": 5432, "targetPort": 5432}]})
OTHER = d.service("other", "10.9.0.10", spec={"ports": [{"name": "tcp", "port": 5432, "targetPort": 5432}]})
GRANT = l7.api(
    "ReferenceGrant",
    "g",
    **{
        "from": [
            {"group": "gateway.networking.k8s.io", "kind": kind, "namespace": namespace}
            for kind in ("TCPRoute", "TLSRoute")
            for namespace in "ab"
        ],
        "to": [{"group": "", "kind": "Service"}],
    },
)
BEHIND = (l7.namespace("shop", **{"istio.io/use-waypoint": "waypoint"}), l7.waypoint(), RAW, OTHER, GRANT)
AT_WAYPOINT = l7.gateway_pod("waypoint-1", "10.4.0.1", "waypoint")
Ends = dict[str, tuple[str, list[tuple[tuple[str, ...], str]]]]


def connected(kind: str, name: str, namespace: str, to: str, **spec: Any) -> d.Document:
    """A route of Service db in shop."""
    parent = {"group": "", "kind": "Service", "name": "db", "namespace": "shop"}
    rules = [{"backendRefs": [{"name": to, "port": 5432, "namespace": "shop"}]}]
    return l7.api(kind, name, namespace, parentRefs=[parent], rules=rules, **spec)


def named(found: tuple[Destination, ...]) -> str:
    return found[0].hostname.partition(".")[0]


def ends(*more: d.Document) -> Ends:
    """By the caller's namespace ("" all others): where connections to db go, and TLS for some names."""
    mesh, problems = l7.world(*BEHIND, AT_WAYPOINT, *more)
    assert problems == ()
    view = l7.behind(mesh, "waypoint-1")
    (port,) = next(each for each in view.services if each.name == "db").ports
    every = [("", port), *((each.namespace, each) for each in port.callers)]
    return {
        name: (named(each.destinations), [(names, named(there)) for names, there in each.server_names])
        for name, each in every
    }


def test_a_consumers_routes_for_connections_hold_at_a_waypoint_for_its_own_callers() -> None:
    """They take the place of the producer's, which hold for everybody else."""
    produced = connected("TCPRoute", "p", "shop", "other")
    assert ends(produced, connected("TCPRoute", "c", "b", "db")) == {"": ("other", []), "b": ("db", [])}
    secure = connected("TLSRoute", "c", "b", "other", hostnames=["a.example"])
    assert ends(produced, secure) == {"": ("other", []), "b": ("db", [(("a.example",), "other")])}
    assert ends(connected("TCPRoute", "c", "b", "other"), connected("TCPRoute", "c", "a", "other")) == {
        "": ("db", []),
        "a": ("other", []),
        "b": ("other", []),
    }


def test_the_namespace_that_a_rule_for_connections_names_is_that_of_the_waypoints_caller() -> None:
    rules = [
        {"match": [{"sourceNamespace": "b"}], "route": [{"destination": {"host": "other"}}]},
        {"route": [{"destination": {"host": "db"}}]},
    ]
    written = l7.istio("VirtualService", "db", hosts=["db"], tcp=rules)
    assert ends(written) == {"": ("db", []), "b": ("other", [])}
    assert ends(written, connected("TCPRoute", "c", "b", "db"))["b"] == ("db", []), "its own come before"


@pytest.mark.envoy
def test_a_client_leaves_connections_that_its_own_routes_are_about_to_the_services_waypoint(tmp_path: Path) -> None:
    pod = l7.sidecar_pod("client", "10.0.0.7", "b")
    mesh, _ = l7.world(*BEHIND, AT_WAYPOINT, connected("TCPRoute", "c", "b", "other"), pod)
    (chain,) = [each for each in l7.seen_by(mesh, "client", "b").tcp if each.hostname.startswith("db.")]
    assert named(chain.destinations) == "db"
    validate(envoy.composed(waypoint.documents(l7.behind(mesh, "waypoint-1"))), tmp_path)

"""Stories of waypoints: who stands behind one, what is enforced there, and how sidecars get there."""

from __future__ import annotations

import json
from typing import Any

from kit import documents as d
from kit import worlds as l7
from plait.envoy.roles import waypoint as role

USE = {"istio.io/use-waypoint": "waypoint"}
WORLD = (
    l7.waypoint(),
    l7.gateway_pod("waypoint-1", "10.4.0.1", "waypoint", account="waypoint"),
    d.service("cart", "10.9.0.1", labels=USE),
    d.service("plain", "10.9.0.2"),
    d.pod("cart-1", "10.0.0.4", labels={"app": "cart"}),
    l7.sidecar_pod("web", "10.0.0.1"),
)


def policy(name: str, target: dict[str, Any] | None = None, **spec: Any) -> d.Document:
    refs = {"targetRefs": [target]} if target is not None else {}
    return d.allow(name, [{"to": [{"operation": {"methods": ["GET"]}}]}], spec={**refs, **spec})


def test_a_bound_service_stands_behind_its_waypoint_with_tunnels_to_its_pods() -> None:
    mesh, problems = l7.world(*WORLD)
    view = l7.behind(mesh, "waypoint-1")
    assert problems == ()
    assert [service.name for service in view.services] == ["cart"]
    assert view.services[0].ports[0].virtual_hosts[0].domains == ("*",)
    assert [(e.address, e.port, e.way) for u in view.upstreams for e in u.endpoints] == [("10.0.0.4", 8080, "tunnel")]


def test_a_sidecar_goes_through_the_waypoint_and_leaves_routing_to_it() -> None:
    split = l7.routes(
        "cart",
        [
            {
                "fault": {"abort": {"httpStatus": 500, "percentage": {"value": 1}}},
                "route": [{"destination": {"host": "cart"}}],
            }
        ],
    )
    mesh, _ = l7.world(*WORLD, split)
    view = l7.seen_by(mesh, "web")
    upstream = next(u for u in view.upstreams if u.service == "cart")
    assert upstream.waypoint
    assert [(e.address, e.port, e.via, e.way) for e in upstream.endpoints] == [
        ("10.9.0.1", 80, "10.4.0.1:15008", "tunnel")
    ]
    host = next(h for h in view.http[0].virtual_hosts if "cart" in h.domains)
    assert [route.fault for route in host.routes] == [None]
    served = l7.behind(mesh, "waypoint-1").services[0].ports[0].virtual_hosts[0]
    assert [route.fault is not None for route in served.routes] == [True]


def test_policies_bind_what_they_name_and_nothing_else() -> None:
    to_service = policy("service", {"group": "", "kind": "Service", "name": "cart"})
    to_gateway = policy("gateway", {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "waypoint"})
    to_other = policy("other", {"group": "", "kind": "Service", "name": "plain"})
    mesh, _ = l7.world(*WORLD, to_service, to_gateway, to_other, policy("namespace"))
    view = l7.behind(mesh, "waypoint-1")
    assert [p.name for p in view.services[0].enforced.policies] == ["gateway", "service"]
    assert [p.name for p in view.enforced.policies] == ["gateway"]


def test_a_waypoint_for_workloads_stands_before_pods() -> None:
    labels = {"istio.io/waypoint-for": "workload"}
    pod = d.pod("cart-1", "10.0.0.4", labels={"app": "cart", **USE})
    mesh, _ = l7.world(
        l7.waypoint("waypoint", "shop", labels=labels), WORLD[1], d.service("cart", "10.9.0.1", labels=USE), pod
    )
    view = l7.behind(mesh, "waypoint-1")
    assert view.services == ()
    assert [(w.addresses, w.ports) for w in view.workloads] == [(("10.0.0.4",), ((8080, "http"),))]


def test_a_namespaces_label_binds_and_a_services_none_unbinds() -> None:
    spaces = l7.namespace("shop", **USE)
    free = d.service("free", "10.9.0.3", labels={"istio.io/use-waypoint": "none"})
    mesh, _ = l7.world(*WORLD, spaces, free)
    assert [service.name for service in l7.behind(mesh, "waypoint-1").services] == ["cart", "plain"]


def test_gateways_are_told_to_use_the_waypoint_by_the_service_or_its_namespace() -> None:
    label = "istio.io/ingress-use-waypoint"
    spaces = l7.namespace("shop", **USE, **{label: "true"})

    def told(*documents: d.Document, **labels: str) -> bool:
        cart = d.service("cart", "10.9.0.1", labels={**USE, **labels})
        mesh, _ = l7.world(*WORLD[:2], d.service("waypoint", "10.9.0.9"), cart, *documents)
        return mesh.services["shop/cart.shop.svc.cluster.local"].ingress_use_waypoint

    assert not told()
    assert told(spaces)
    assert told(**{label: "True"})
    assert not told(spaces, **{label: "false"})


def test_a_missing_waypoint_is_a_problem_and_nobody_goes_around_it() -> None:
    mesh, problems = l7.world(*WORLD[2:])
    assert [(p.code, p.kind, p.name) for p in problems] == [("PLT0408", "Service", "cart")]
    upstream = next(u for u in l7.seen_by(mesh, "web").upstreams if u.service == "cart")
    assert (upstream.waypoint, upstream.endpoints) == (True, ())


def test_with_an_unknown_provider_what_a_custom_policy_is_about_is_denied_and_nothing_else() -> None:
    target = {"group": "", "kind": "Service", "name": "cart"}
    rules = [{"to": [{"operation": {"paths": ["/admin"]}}]}]
    mesh, problems = l7.world(*WORLD, policy("ask", target, action="CUSTOM", provider={"name": "none"}, rules=rules))
    assert [(p.code, p.path) for p in problems] == [("PLT0407", "spec.provider.name")]
    told = json.dumps(role.documents(l7.behind(mesh, "waypoint-1")))
    assert told.count("-deny-due-to-bad-CUSTOM-action") == told.count('{"path": {"exact": "/admin"}}') == 1
    assert '"permissions": [{"any": true}], "principals": [{"any": true}]' not in told


def test_a_provider_of_the_mesh_configuration_is_found() -> None:
    text = "extensionProviders:\n- name: ask\n  envoyExtAuthzGrpc: {service: ask.shop.svc.cluster.local, port: 9000}\n"
    config = d.document("v1", "ConfigMap", "istio", "istio-system", data={"mesh": text})
    custom = policy("ask", {"group": "", "kind": "Service", "name": "cart"}, action="CUSTOM", provider={"name": "ask"})
    mesh, problems = l7.world(*WORLD, config, custom)
    assert problems == ()
    found = l7.behind(mesh, "waypoint-1").services[0].enforced
    assert [(a.protocol, a.hostname, a.port) for a in found.authorizers] == [
        ("grpc", "ask.shop.svc.cluster.local", 9000)
    ]


def test_a_gateway_goes_through_the_waypoint_too() -> None:
    rule = {"backendRefs": [{"name": "cart", "port": 80}]}
    route = l7.api("HTTPRoute", "r", parentRefs=[{"name": "edge"}], rules=[rule])
    mesh, problems = l7.world(*WORLD, l7.gateway("edge"), l7.gateway_pod("edge-1", "10.3.0.1", "edge"), route)
    assert problems == ()
    assert [(u.waypoint, [e.via for e in u.endpoints]) for u in l7.served_by(mesh, "edge-1").upstreams] == [
        (True, ["10.4.0.1:15008"])
    ]


def test_a_policy_on_a_service_without_waypoint_is_enforced_by_its_sidecars() -> None:
    named = policy("service", {"group": "", "kind": "Service", "name": "plain"})
    mesh, _ = l7.world(*WORLD, named, l7.sidecar_pod("plain-1", "10.0.0.8", labels={"app": "plain"}))
    assert [p.name for p in l7.seen_by(mesh, "plain-1").enforced.policies] == ["service"]
    assert l7.seen_by(mesh, "web").enforced.policies == ()

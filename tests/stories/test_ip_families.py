"""Stories of both families: pods and services of two addresses, and what each reader makes of them."""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.worlds import behind, gateway_pod, seen_by, waypoint, world
from plait.model.index import index_of
from plait.model.mesh import Mesh
from plait.model.views import destinations, names
from plait.wds import messages as wire
from plait.wds.decode import Store
from plait.wds.encode import encode

VIP, VIP6 = "10.9.0.1", "fd09::1"


def dual(pod: d.Document, six: str) -> d.Document:
    pod["status"]["podIPs"] = [{"ip": pod["status"]["podIP"]}, {"ip": six}]
    return pod


def service(**more: Any) -> d.Document:
    made = d.service("cart", VIP, **more)
    made["spec"] |= {"clusterIPs": [VIP, VIP6], "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack"}
    return made


def pods() -> list[d.Document]:
    return [
        dual(d.pod("cart-1", "10.0.0.4", labels={"app": "cart"}, account="cart"), "fd00::4"),
        dual(d.pod("web", "10.0.0.5", account="web"), "fd00::5"),
    ]


def shop(*more: d.Document, **of_service: Any) -> Mesh:
    mesh, problems = world(service(**of_service), *pods(), *more)
    assert not [problem for problem in problems if problem.severity == "error"]
    return mesh


def ends(mesh: Mesh, address: str, port: int = 80) -> list[tuple[str, str]]:
    found = destinations.find(mesh, index_of(mesh), address, port)
    assert found.kind != "unknown"
    return [(end.address, end.via) for end in found.endpoints]


def test_who_dials_a_family_is_sent_to_an_address_of_that_family() -> None:
    mesh = shop()
    assert ends(mesh, VIP) == [("10.0.0.4", "")] and ends(mesh, VIP6) == [("fd00::4", "")]
    assert ends(mesh, "fd00::4", 8080) == [("fd00::4", "")]
    assert ends(mesh, "fd00:0:0::4", 8080) == [("fd00::4", "")], "however it is spelled"


def test_who_has_no_such_address_is_reached_by_the_one_it_has() -> None:
    mesh, _ = world(service(), d.pod("cart-1", "10.0.0.4", labels={"app": "cart"}))
    assert ends(mesh, VIP6) == [("10.0.0.4", "")]


def test_a_waypoint_is_reached_in_the_family_of_what_it_stands_before() -> None:
    running = dual(gateway_pod("waypoint-1", "10.4.0.1", "waypoint", account="waypoint"), "fd04::1")
    chosen = {"selector": {"gateway.networking.k8s.io/gateway-name": "waypoint"}}
    own = d.service("waypoint", "10.9.0.9", port=15008, target=15008, spec=chosen)
    mesh = shop(waypoint(), own, running, labels={"istio.io/use-waypoint": "waypoint"})
    assert ends(mesh, VIP) == [(VIP, "10.4.0.1:15008")]
    assert ends(mesh, VIP6) == [(VIP6, "[fd04::1]:15008")]
    (served,) = behind(mesh, "waypoint-1").services
    assert served.addresses == (VIP, VIP6), "and knows it by both"


def test_names_mean_both_addresses() -> None:
    found = names.lookup(index_of(shop()), "shop", "cart")
    assert found is not None and found.addresses == (VIP, VIP6)


def test_a_sidecar_takes_both_addresses_for_the_service() -> None:
    (host,) = [h for http in seen_by(shop(), "web").http for h in http.virtual_hosts if h.name.startswith("cart.")]
    assert {VIP, f"[{VIP6}]"} <= set(host.domains)


def test_a_node_hears_of_both_addresses_and_of_a_service_of_both_families() -> None:
    mesh = shop()
    bundle = encode(mesh).bundle
    cart = bundle.types[wire.ADDRESS_TYPE]["Kubernetes//Pod/shop/cart-1"]
    assert {"/10.0.0.4", "/fd00::4"} <= set(cart.aliases), "either can be asked for"
    store = Store(mesh.settings)
    store.apply(wire.ADDRESS_TYPE, tuple(bundle.types[wire.ADDRESS_TYPE].values()), ())
    heard = store.mesh
    assert heard.workloads[cart.name].addresses == ("10.0.0.4", "fd00::4")
    known = heard.services["shop/cart.shop.svc.cluster.local"]
    assert known.ip_families == "dual" and [a.address for a in known.addresses] == [VIP, VIP6]

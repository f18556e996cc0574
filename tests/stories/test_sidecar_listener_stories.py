"""Stories of a Sidecar's own listeners: where hosts with a place of their own are reached, and where they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kit import documents as d
from kit import l7
from kit import worlds as w
from kit.envoys import validate
from plait.envoy.roles import sidecar
from plait.model.views.sidecar import SidecarView

CART, DB = "cart.shop.svc.cluster.local", "db.shop.svc.cluster.local"
PORTS = [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "http-admin", "port": 8081, "targetPort": 8081}]
WORLD = (
    w.sidecar_pod("web", "10.0.0.1"),
    d.service("cart", "10.9.0.1", spec={"ports": PORTS}),
    d.pod("cart-1", "10.0.0.4", labels={"app": "cart"}),
    d.service("db", "10.9.0.2", spec={"ports": [{"name": "tcp", "port": 5432, "targetPort": 5432}]}),
    d.pod("db-1", "10.0.0.5", labels={"app": "db"}),
)
HTTP = {"number": 8081, "name": "http", "protocol": "HTTP"}


def seen(*egress: dict[str, Any], **more: Any) -> SidecarView:
    spec = {"egress": list(egress)} if egress else {}
    mesh, problems = w.world(*WORLD, w.istio("Sidecar", "web", **spec, **more))
    assert problems == ()
    return w.seen_by(mesh, "web")


def places(view: SidecarView) -> dict[str, tuple[bool, str]]:
    """Outbound listeners: are they bound, and where."""
    found = {}
    for each in sidecar.documents(view)["listeners"]:
        if each["name"] not in ("virtualOutbound", "virtualInbound") and each.get("traffic_direction") == "OUTBOUND":
            at = each["address"].get("socket_address") or each["address"]["pipe"]
            found[each["name"]] = (
                each.get("bind_to_port", True),
                at.get("path") or f"{at['address']}:{at['port_value']}",
            )
    return found


def hosts(view: SidecarView, bind: str) -> dict[str, str]:
    """By domain, the cluster that its requests go to."""
    found = {}
    for http in view.http:
        for host in http.virtual_hosts if http.bind == bind else ():
            (there,) = host.routes[-1].action.destinations
            found.update(dict.fromkeys(host.domains, f"{there.hostname}:{there.port}"))
    return found


def test_a_listener_that_is_not_captured_is_bound_and_its_hosts_are_reached_there_alone() -> None:
    view = seen({"port": HTTP, "captureMode": "NONE", "hosts": [f"./{CART}"]}, {"hosts": [f"./{DB}"]})
    assert places(view) == {"127.0.0.1_8081": (True, "127.0.0.1:8081"), "0.0.0.0_5432": (False, "0.0.0.0:5432")}
    assert hosts(view, "127.0.0.1")[CART] == f"{CART}:8081"
    assert hosts(view, "") == {}


def test_a_bound_listener_passes_nothing_on_that_nobody_declared() -> None:
    view = seen({"port": HTTP, "captureMode": "NONE", "bind": "127.0.0.9", "hosts": ["./*"]})
    found = sidecar.documents(view)
    (listener,) = (each for each in found["listeners"] if each["name"] == "127.0.0.9_8081")
    assert "default_filter_chain" not in listener
    (routes,) = (each for each in found["routes"] if each["name"] == "127.0.0.9_8081")
    assert routes["virtual_hosts"][-1]["routes"][0]["direct_response"] == {"status": 502}


def test_what_is_captured_for_an_address_is_handed_to_the_listener_of_it() -> None:
    view = seen({"port": HTTP, "bind": "10.7.0.1", "hosts": ["./*"]})
    assert places(view) == {"10.7.0.1_8081": (False, "10.7.0.1:8081")}


def test_a_socket_file_serves_all_ports_by_the_clients_word() -> None:
    port = {"number": 0, "name": "http", "protocol": "HTTP"}
    view = seen({"port": port, "bind": "unix:///run/mesh/out.sock", "hosts": ["./*"]})
    assert places(view) == {"unix:///run/mesh/out.sock": (True, "/run/mesh/out.sock")}
    found = hosts(view, "unix:///run/mesh/out.sock")
    assert (found[CART], found[f"{CART}:80"], found[f"{CART}:8081"]) == (f"{CART}:80", f"{CART}:80", f"{CART}:8081")
    assert not any(name.startswith("db") for name in found)
    (routes,) = (each for each in sidecar.documents(view)["routes"] if each["name"] == "unix:///run/mesh/out.sock")
    assert "ignore_port_in_host_matching" not in routes


def test_a_generic_proxy_takes_all_ports_at_one() -> None:
    port = {"number": 7443, "name": "proxy", "protocol": "HTTP_PROXY"}
    view = seen({"port": port, "captureMode": "NONE", "hosts": [f"./{CART}"]})
    assert places(view) == {"127.0.0.1_7443": (True, "127.0.0.1:7443")}
    assert hosts(view, "127.0.0.1")[f"{CART}:8081"] == f"{CART}:8081"


def test_connections_go_to_the_service_of_the_port_whatever_address_was_dialed() -> None:
    port = {"number": 5432, "name": "tcp", "protocol": "TCP"}
    (chain,) = seen({"port": port, "captureMode": "NONE", "hosts": ["./*"]}).tcp
    assert (chain.bind, chain.addresses, chain.capture) == ("127.0.0.1", (), False)
    assert [(each.hostname, each.port) for each in chain.destinations] == [(DB, 5432)]


def test_a_listener_without_a_port_is_at_each_port_of_its_services() -> None:
    view = seen({"bind": "127.0.0.2", "captureMode": "NONE", "hosts": ["./*"]})
    assert set(places(view)) == {f"127.0.0.2_{port}" for port in (80, 8081, 5432)}


def test_an_inbound_port_that_is_not_captured_is_listened_at() -> None:
    port = {"number": 9000, "name": "http", "protocol": "HTTP"}
    rest = {"port": port, "defaultEndpoint": "127.0.0.1:8080"}
    for written, bind in (
        ({**rest, "captureMode": "NONE"}, "10.0.0.1"),
        ({**rest, "captureMode": "NONE", "bind": "0.0.0.0"}, "0.0.0.0"),
        (rest, ""),
    ):
        view = seen(ingress=[written])
        assert [(each.port, each.bind) for each in view.inbound] == [(9000, bind)]
        names = {each["name"] for each in sidecar.documents(view)["listeners"]}
        assert (f"{bind}_9000" in names) == bool(bind)


def test_an_address_for_what_is_captured_has_no_effect_and_that_is_told() -> None:
    port = {"number": 9000, "name": "http", "protocol": "HTTP"}
    mesh, problems = w.world(*WORLD, w.istio("Sidecar", "web", ingress=[{"port": port, "bind": "0.0.0.0"}]))
    assert [(each.code, each.path) for each in problems] == [("PLT0404", "spec.ingress[0].bind")]
    assert [each.bind for each in w.seen_by(mesh, "web").inbound] == [""]


@pytest.mark.envoy
def test_envoy_takes_them_all(tmp_path: Path) -> None:
    tcp = {"number": 5432, "name": "tcp", "protocol": "TCP"}
    view = seen(
        {"port": HTTP, "captureMode": "NONE", "hosts": ["./*"]},
        {"port": {**HTTP, "number": 80}, "bind": "10.7.0.1", "hosts": ["./*"]},
        {"port": tcp, "captureMode": "NONE", "bind": "127.0.0.3", "hosts": ["./*"]},
        {"port": {"number": 7443, "name": "p", "protocol": "HTTP_PROXY"}, "captureMode": "NONE", "hosts": ["./*"]},
        {"port": {"number": 0, "name": "http", "protocol": "HTTP"}, "bind": "unix:///tmp/o.sock", "hosts": ["./*"]},
        {"hosts": ["./*"]},
        ingress=[{"port": {**HTTP, "number": 9000}, "captureMode": "NONE", "defaultEndpoint": "127.0.0.1:8080"}],
    )
    validate(l7.composed(sidecar.documents(view)), tmp_path)


UNCAPTURED = {"sidecar.istio.io/status": "{}", "sidecar.istio.io/interceptionMode": "NONE"}
BARE = d.pod("web", "10.0.0.1", labels={"app": "web"}, captured=False, annotations=UNCAPTURED)
OWN = d.service("web", "10.9.0.3", spec={"ports": [{"name": "http", "port": 8080, "targetPort": 80}]})


def uncaptured(*more: d.Document) -> tuple[SidecarView, list[str]]:
    mesh, problems = w.world(BARE, *WORLD[1:], *more)
    return w.seen_by(mesh, "web"), [each.code for each in problems]


def test_to_a_pod_of_mode_none_nothing_is_redirected_and_every_port_of_services_is_bound_at_its_loopback() -> None:
    view, told = uncaptured()
    assert places(view) == {f"127.0.0.1_{port}": (True, f"127.0.0.1:{port}") for port in (80, 8081, 5432)}
    assert hosts(view, "127.0.0.1")[CART] == f"{CART}:8081"
    found = {each["name"] for each in sidecar.documents(view)["listeners"]}
    assert not found & {"virtualOutbound", "virtualInbound"}
    assert told == ["PLT0412"], "who connects to its application meets no policy"


def test_where_its_application_listens_a_proxy_of_mode_none_does_not() -> None:
    """Else the application could not start."""
    view, _ = uncaptured(OWN)
    assert places(view).keys() == {f"127.0.0.1_{port}" for port in (8080, 8081, 5432)}


def test_a_sidecar_bounds_what_a_proxy_of_mode_none_binds_and_says_where_it_takes_connections_in() -> None:
    ingress = [{"port": {"number": 9080, "name": "http", "protocol": "HTTP"}, "defaultEndpoint": "127.0.0.1:8081"}]
    view, told = uncaptured(w.istio("Sidecar", "web", egress=[{"hosts": [f"./{CART}"]}], ingress=ingress))
    assert places(view) == {"127.0.0.1_80": (True, "127.0.0.1:80")}, "8081 is the application's"
    (listener,) = (each for each in sidecar.documents(view)["listeners"] if each["name"] == "10.0.0.1_9080")
    assert listener["traffic_direction"] == "INBOUND" and listener.get("bind_to_port", True)
    assert told == []


def test_clients_in_the_mesh_reach_a_pod_of_mode_none_by_tunnel() -> None:
    native = {"networking.istio.io/tunnel": "http", "app": "web"}
    pod = d.pod("web", "10.0.0.1", labels=native, captured=False, annotations=UNCAPTURED)
    mesh, _ = w.world(pod, OWN, w.sidecar_pod("client", "10.0.0.9"))
    (there,) = (each for each in w.seen_by(mesh, "client").upstreams if each.hostname.startswith("web."))
    assert [(each.address, each.way) for each in there.endpoints] == [("10.0.0.1", "tunnel")]


def test_envoy_takes_what_a_proxy_of_mode_none_is_told(tmp_path: Path) -> None:
    view, _ = uncaptured(OWN)
    validate(l7.composed(sidecar.documents(view)), tmp_path)

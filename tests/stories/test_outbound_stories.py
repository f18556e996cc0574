"""Stories of what the client beside a sidecar may write and dial: hosts, ports, addresses, pods, other names."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import worlds as l7
from plait.envoy.roles import sidecar
from plait.model.views.sidecar import SidecarView

WEB = l7.sidecar_pod("web", "10.0.0.1", labels={"app": "web"})
PODS = tuple(l7.sidecar_pod(f"db-{n}", f"10.0.1.{n}", labels={"app": "db", "version": f"v{n}"}) for n in (1, 2))
DB = "db.shop.svc.cluster.local"


def port(name: str, number: int) -> dict[str, Any]:
    return {"ports": [{"name": name, "port": number, "targetPort": number, "protocol": "TCP"}]}


def headless(name: str, word: str, number: int) -> d.Document:
    return d.service(name, "None", spec={**port(word, number), "clusterIP": "None"})


def external(name: str, host: str, word: str = "http", number: int = 80) -> d.Document:
    spec = {**port(word, number), "type": "ExternalName", "externalName": host, "clusterIP": "", "selector": {}}
    return d.service(name, "", spec=spec)


def view(*documents: d.Document, pod: str = "web") -> SidecarView:
    mesh, _ = l7.world(WEB, *documents)
    return l7.seen_by(mesh, pod)


def told(*documents: d.Document) -> dict[str, dict[str, Any]]:
    """All documents by kind and name."""
    found = sidecar.documents(view(*documents))
    kinds = ("listeners", "routes", "clusters", "endpoints")
    return {kind: {each.get("name") or each["cluster_name"]: each for each in found[kind]} for kind in kinds}


def domains(found: dict[str, dict[str, Any]], name: str = "80") -> dict[str, set[str]]:
    return {each["name"]: set(each["domains"]) for each in found["routes"][name]["virtual_hosts"]}


def clusters(host: dict[str, Any]) -> list[str]:
    return [route["route"]["cluster"] for route in host["routes"]]


def to(host: str, **more: Any) -> list[dict[str, Any]]:
    return [{"destination": {"host": host, **more}}]


# Hosts ---


def test_a_host_is_known_with_whatever_port_the_client_writes() -> None:
    found = told(d.service("db", "10.9.0.2"), d.service("db", "10.9.0.3", "far"))
    assert found["routes"]["80"]["ignore_port_in_host_matching"] is True
    assert domains(found) == {
        f"{DB}:80": {DB, "db", "db.shop", "db.shop.svc", "10.9.0.2"},
        "db.far.svc.cluster.local:80": {"db.far.svc.cluster.local", "db.far", "db.far.svc", "10.9.0.3"},
        "allow_any": {"*"},
    }


def test_hosts_of_virtual_services_that_nobody_has_are_served_on_port_80_and_beside_services() -> None:
    http, other = d.service("db", "10.9.0.2"), d.service("cart", "10.9.0.3", port=9080)
    lone = l7.routes("www.example.com", [{"route": to("db")}])
    both = l7.routes("*.shop.example", [{"route": to("cart")}], hosts=["*.shop.example", "cart"])
    found = told(http, other, lone, both)
    assert {"www.example.com:80", "*.shop.example:80", "cart.shop.svc.cluster.local:80"} <= domains(found).keys()
    assert {"*.shop.example:9080"} <= domains(found, "9080").keys()
    assert "www.example.com:9080" not in domains(found, "9080")
    hosts = {each["name"]: each for each in found["routes"]["80"]["virtual_hosts"]}
    assert clusters(hosts["www.example.com:80"]) == [f"outbound|80||{DB}"]
    assert clusters(hosts["*.shop.example:80"]) == ["outbound|9080||cart.shop.svc.cluster.local"]
    assert "80" not in told(other, lone)["routes"]  # nothing listens there


def test_a_host_that_a_virtual_service_names_in_full_is_its_own_though_a_service_is_called_so_for_short() -> None:
    routes = l7.istio("VirtualService", "v", hosts=["db.shop"], http=[{"route": to("other")}])
    found = told(d.service("db", "10.9.0.2"), d.service("other", "10.9.0.3"), routes)
    known = domains(found)
    assert known["db.shop:80"] == {"db.shop"}
    assert known[f"{DB}:80"] == {DB, "db", "db.shop.svc", "10.9.0.2"}
    hosts = {each["name"]: each for each in found["routes"]["80"]["virtual_hosts"]}
    assert clusters(hosts["db.shop:80"]) == ["outbound|80||other.shop.svc.cluster.local"]
    assert clusters(hosts[f"{DB}:80"]) == [f"outbound|80||{DB}"]


def test_http_to_the_address_of_a_service_of_no_stated_protocol_is_its_own_whatever_the_host_says() -> None:
    auto = d.service("db", "10.9.0.2", spec=port("what", 7000))
    found = told(auto, d.service("cart", "10.9.0.3", spec=port("what", 7000)))
    [host] = found["routes"][f"{DB}:7000"]["virtual_hosts"]
    assert (host["domains"], clusters(host)) == (["*"], [f"outbound|7000||{DB}"])
    chains = {each["name"]: each for each in found["listeners"]["0.0.0.0_7000"]["filter_chains"]}
    manager = chains[f"{DB}-http"]["filters"][0]["typed_config"]
    assert manager["rds"]["route_config_name"] == f"{DB}:7000"
    assert chains[f"{DB}-http"]["filter_chain_match"]["prefix_ranges"][0]["address_prefix"] == "10.9.0.2"


# Headless services ---


def test_connections_to_headless_services_of_one_port_part_by_the_pod_that_is_dialed() -> None:
    cache = l7.sidecar_pod("cache-1", "10.0.2.1", labels={"app": "cache"})
    found = told(headless("db", "tcp", 5432), headless("cache", "tcp", 5432), *PODS, cache)
    proxies = {
        each["filter_chain_match"]["prefix_ranges"][0]["address_prefix"]: each["filters"][-1]["typed_config"]
        for each in found["listeners"]["0.0.0.0_5432"]["filter_chains"]
    }
    assert {address: proxy["cluster"] for address, proxy in proxies.items()} == {
        "10.0.1.1": f"outbound|5432||{DB}",
        "10.0.1.2": f"outbound|5432||{DB}",
        "10.0.2.1": "outbound|5432||cache.shop.svc.cluster.local",
    }
    assert proxies["10.0.1.2"]["metadata_match"] == {"filter_metadata": {"envoy.lb": {"address": "10.0.1.2"}}}
    [group] = found["endpoints"][f"outbound|5432||{DB}"]["endpoints"]
    known = [each["metadata"]["filter_metadata"]["envoy.lb"]["address"] for each in group["lb_endpoints"]]
    assert known == ["10.0.1.1", "10.0.1.2"]


def test_a_pod_of_both_families_is_the_one_that_is_dialed_by_either_address() -> None:
    pod = l7.sidecar_pod("db-1", "10.0.1.1", labels={"app": "db"})
    pod["status"]["podIPs"] = [{"ip": "10.0.1.1"}, {"ip": "fd00::1"}]
    found = told(headless("db", "tcp", 5432), pod)
    [chain] = found["listeners"]["0.0.0.0_5432"]["filter_chains"]
    assert [each["address_prefix"] for each in chain["filter_chain_match"]["prefix_ranges"]] == ["10.0.1.1", "fd00::1"]
    [group] = found["endpoints"][f"outbound|5432||{DB}"]["endpoints"]
    [end] = group["lb_endpoints"]
    assert end["metadata"]["filter_metadata"]["envoy.lb"] == {"address": ["10.0.1.1", "fd00::1"]}


def test_requests_to_a_headless_service_name_its_pods_and_go_to_the_one_that_is_dialed() -> None:
    found = told(headless("db", "http", 80), *PODS)
    assert {"*.db", "*.db.shop", "*.db.shop.svc", f"*.{DB}", "db"} <= domains(found)[f"{DB}:80"]
    cluster = found["clusters"][f"outbound|80||{DB}"]
    assert cluster["lb_subset_config"]["subset_selectors"] == [{"keys": ["address"]}]
    [chain] = found["listeners"]["0.0.0.0_80"]["filter_chains"]
    names = [each["name"] for each in chain["filters"][0]["typed_config"]["http_filters"]]
    assert names[:2] == ["envoy.filters.http.header_mutation", "envoy.filters.http.header_to_metadata"]


def test_a_headless_service_without_pods_takes_no_connections() -> None:
    assert "0.0.0.0_5432" not in told(headless("db", "tcp", 5432))["listeners"]


# Other names ---


def test_a_name_that_stands_for_a_service_is_that_service() -> None:
    found = told(d.service("db", "10.9.0.2"), external("store", DB), l7.routes("x.example", [{"route": to("store")}]))
    assert {"store", "store.shop", "store.shop.svc.cluster.local"} <= domains(found)[f"{DB}:80"]
    assert "store.shop.svc.cluster.local:80" not in domains(found)
    hosts = {each["name"]: each for each in found["routes"]["80"]["virtual_hosts"]}
    assert clusters(hosts["x.example:80"]) == [f"outbound|80||{DB}"]


def test_a_name_for_the_outside_takes_no_connections_but_its_own_requests() -> None:
    found = told(external("store", "store.example.com"), external("queue", "q.example.com", "tcp", 5672))
    assert "store.shop.svc.cluster.local:80" in domains(found)
    assert "0.0.0.0_5672" not in found["listeners"]


# Scopes ---


@pytest.mark.parametrize(("hosts", "cluster"), [(["./*"], "db"), (["./*", "far/*"], "cart")])
def test_a_scope_names_the_namespaces_of_virtual_services_too(hosts: list[str], cluster: str) -> None:
    scope = l7.istio("Sidecar", "default", egress=[{"hosts": hosts}])
    far = l7.routes(DB, [{"route": to("cart.shop.svc.cluster.local")}], "far")
    found = told(d.service("db", "10.9.0.2"), d.service("cart", "10.9.0.3"), scope, far)
    hosts_ = {each["name"]: each for each in found["routes"]["80"]["virtual_hosts"]}
    assert clusters(hosts_[f"{DB}:80"]) == [f"outbound|80||{cluster}.shop.svc.cluster.local"]


@pytest.mark.parametrize(("mode", "there"), [("ALLOW_ANY", True), ("REGISTRY_ONLY", False)])
def test_the_rest_leaves_by_a_proxy_only_where_anything_may_leave(mode: str, there: bool) -> None:
    policy = {"mode": mode, "egressProxy": {"host": "db", "port": {"number": 80}}}
    scope = l7.istio("Sidecar", "default", outboundTrafficPolicy=policy)
    assert (view(d.service("db", "10.9.0.2"), scope).egress_proxy is not None) is there


def test_hosts_of_a_port_are_reachable_on_this_port_of_theirs() -> None:
    ports = [{"name": f"http-{n}", "port": n, "targetPort": n, "protocol": "TCP"} for n in (80, 9080)]
    egress = [{"port": {"number": 9080, "name": "http"}, "hosts": ["./*"]}, {"hosts": ["far/*"]}]
    found = told(
        d.service("db", "10.9.0.2", spec={"ports": ports}),
        d.service("cart", "10.9.0.3", "far", spec={"ports": ports}),
        l7.istio("Sidecar", "default", egress=egress),
    )
    assert domains(found).keys() == {"cart.far.svc.cluster.local:80", "allow_any"}
    assert domains(found, "9080").keys() == {f"{DB}:9080", "cart.far.svc.cluster.local:9080", "allow_any"}


# Connections ---


def test_a_destination_s_times_hold_for_its_connections() -> None:
    rule = l7.rules(
        "db", trafficPolicy={"connectionPool": {"tcp": {"idleTimeout": "7s", "maxConnectionDuration": "9s"}}}
    )
    found = told(d.service("db", "10.9.0.2", spec=port("tcp", 5432)), rule)
    [chain] = found["listeners"]["0.0.0.0_5432"]["filter_chains"]
    proxy = chain["filters"][-1]["typed_config"]
    assert (proxy["idle_timeout"], proxy["max_downstream_connection_duration"]) == ("7s", "9s")
    [silent] = told(d.service("db", "10.9.0.2", spec=port("tcp", 5432)))["listeners"]["0.0.0.0_5432"]["filter_chains"]
    assert "idle_timeout" not in silent["filters"][-1]["typed_config"], "an hour, as Istio leaves it"
    web = told(d.service("db", "10.9.0.2"), rule)["clusters"][f"outbound|80||{DB}"]
    [options] = web["typed_extension_protocol_options"].values()
    assert options["common_http_protocol_options"]["idle_timeout"] == "7s"


def entry(name: str, number: int, **more: Any) -> d.Document:
    ports = [{"number": number, "name": "tcp", "protocol": "TCP"}]
    made = l7.istio("ServiceEntry", name, hosts=[f"{name}.example"], ports=ports, resolution="DNS")
    made["metadata"].update(more)
    return made


def test_connections_to_any_address_of_a_port_leave_its_http_alone() -> None:
    found = told(d.service("db", "10.9.0.2"), entry("queue", 80))
    chains = {
        each["name"]: each.get("filter_chain_match", {}) for each in found["listeners"]["0.0.0.0_80"]["filter_chains"]
    }
    assert chains == {
        "queue.example": {},
        "0.0.0.0_80": {"application_protocols": ["http/1.0", "http/1.1", "h2c"]},
    }


def test_of_two_services_that_take_every_address_of_a_port_the_older_has_it() -> None:
    old, new = entry("old", 5672, creationTimestamp="2026-01-01T00:00:00Z"), entry("new", 5672)
    new["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
    found = told(new, old)["listeners"]["0.0.0.0_5672"]["filter_chains"]
    assert [each["name"] for each in found] == ["old.example"]


def test_rules_for_requests_and_for_connections_of_a_host_may_stand_in_two_objects() -> None:
    ports = [{"name": name, "port": n, "targetPort": n, "protocol": "TCP"} for name, n in (("tcp", 5432), ("http", 80))]
    documents = (
        d.service("db", "10.9.0.2", spec={"ports": ports}),
        d.service("cart", "10.9.0.3", spec={"ports": ports}),
        l7.routes("db", tcp=[{"route": to("cart", port={"number": 5432})}], creationTimestamp="2026-01-01T00:00:00Z"),
        {**l7.routes("db", [{"route": to("cart", port={"number": 80})}])},
    )
    documents[3]["metadata"].update(name="requests", creationTimestamp="2026-02-01T00:00:00Z")
    assert l7.world(WEB, *documents)[1] == ()
    found = told(*documents)
    hosts = {each["name"]: each for each in found["routes"]["80"]["virtual_hosts"]}
    assert clusters(hosts[f"{DB}:80"]) == ["outbound|80||cart.shop.svc.cluster.local"]
    chains = {each["name"]: each for each in found["listeners"]["0.0.0.0_5432"]["filter_chains"]}
    proxy = chains["VirtualService/shop/db"]["filters"][-1]["typed_config"]
    assert proxy["cluster"] == "outbound|5432||cart.shop.svc.cluster.local"

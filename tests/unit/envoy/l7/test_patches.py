"""EnvoyFilter: every operation at every place, either spelling, and patches that do not fit."""

from __future__ import annotations

from typing import Any

import pytest

from kit import l7
from kit.l7 import forward, route, upstream, virtual
from plait.envoy.l7.report import Refusal
from plait.envoy.roles import gateway, waypoint
from plait.model.attachment import Attachment
from plait.model.patches import Patch, PatchSet
from plait.model.views.enforced import Enforced
from plait.model.views.gateway import GatewayView, HttpChain, ServerPort
from plait.model.views.waypoint import ServedPort, ServedService, WaypointView

HCM = "envoy.filters.network.http_connection_manager"
LUA = {
    "name": "my.lua",
    "typedConfig": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "defaultSourceCode": {"inlineString": "function envoy_on_request(h) end"},
    },
}
ROUTER = {"listener": {"filterChain": {"filter": {"name": HCM, "subFilter": {"name": "envoy.filters.http.router"}}}}}


def patched(
    apply_to: str, operation: str, value: dict[str, Any], match: dict[str, Any] | None = None, **more: Any
) -> tuple[dict[str, list[dict[str, Any]]], tuple[Refusal, ...]]:
    patch = Patch(
        apply_to, more.pop("context", "gateway"), operation, value, match or {}, path="spec.configPatches[0]", **more
    )
    sets = (PatchSet("f", "shop", Attachment("shop"), (patch,)),)
    chain = HttpChain((), (virtual("shop.example:80", route("/", forward("web"), name="all")),), name="http.80")
    view = GatewayView(
        l7.proxy("gateway"),
        l7.SETTINGS,
        (ServerPort(80, "", "HTTP", (chain,)),),
        (upstream("web", "10.64.2.2"),),
        Enforced(patches=sets, telemetry=l7.PROMETHEUS),
    )
    return gateway.documents(view), gateway.refusals(view)


def http_filters(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    config = found["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    return [each["name"] for each in config["http_filters"]]


def test_a_filter_is_inserted_before_the_router() -> None:
    found, refused = patched("HTTP_FILTER", "INSERT_BEFORE", LUA, ROUTER)
    assert refused == ()
    assert http_filters(found)[-2:] == ["my.lua", "envoy.filters.http.router"]


def test_a_filter_inserted_first_stands_first() -> None:
    assert http_filters(patched("HTTP_FILTER", "INSERT_FIRST", LUA)[0])[0] == "my.lua"


def test_an_added_filter_never_stands_behind_the_router() -> None:
    assert http_filters(patched("HTTP_FILTER", "ADD", LUA)[0])[-2:] == ["my.lua", "envoy.filters.http.router"]


def test_a_removed_filter_is_gone() -> None:
    match = {"listener": {"filterChain": {"filter": {"name": HCM, "subFilter": {"name": "envoy.filters.http.fault"}}}}}
    before = http_filters(patched("HTTP_FILTER", "REMOVE", {}, ROUTER, context="waypoint")[0])
    after = http_filters(patched("HTTP_FILTER", "REMOVE", {}, match)[0])
    assert set(before) - set(after) == {"envoy.filters.http.fault"}


def test_a_network_filter_is_merged_in_either_spelling() -> None:
    value = {
        "name": HCM,
        "typedConfig": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
            ".HttpConnectionManager",
            "serverName": "mine",
        },
    }
    found, refused = patched("NETWORK_FILTER", "MERGE", value, {"listener": {"filterChain": {"filter": {"name": HCM}}}})
    assert refused == ()
    config = found["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    assert config["server_name"] == "mine"
    assert "serverName" not in config
    assert config["rds"]["route_config_name"] == "http.80"


def test_a_typed_struct_is_the_message_it_stands_for() -> None:
    value = {
        "name": "my.lua",
        "typed_config": {
            "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
            "type_url": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "value": {"defaultSourceCode": {"inlineString": "x = 1"}},
        },
    }
    found, refused = patched("HTTP_FILTER", "INSERT_FIRST", value)
    assert refused == ()
    config = found["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"][0]["typed_config"]
    assert config["default_source_code"] == {"inline_string": "x = 1"}


@pytest.mark.parametrize(
    "match", [{"name": "outbound|80||web.shop.svc.cluster.local"}, {"portNumber": 80}, {"service": l7.host("web")}]
)
def test_a_cluster_is_merged_by_name_port_or_service(match: dict[str, Any]) -> None:
    found, refused = patched("CLUSTER", "MERGE", {"connectTimeout": "3s"}, {"cluster": match})
    assert refused == ()
    assert {each["name"] for each in found["clusters"] if each["connect_timeout"] == "3s"} == {
        f"outbound|80||{l7.host('web')}"
    }


def test_clusters_are_added_and_removed() -> None:
    added, _ = patched("CLUSTER", "ADD", {"name": "mine", "type": "STATIC"})
    assert "mine" in {each["name"] for each in added["clusters"]}
    removed, _ = patched("CLUSTER", "REMOVE", {}, {"cluster": {"name": "PassthroughCluster"}})
    assert "PassthroughCluster" not in {each["name"] for each in removed["clusters"]}


def test_routes_hosts_and_configurations_are_changed() -> None:
    config = {"routeConfiguration": {"name": "http.80", "vhost": {"name": "shop.example:80", "route": {"name": "all"}}}}
    found, refused = patched("HTTP_ROUTE", "MERGE", {"route": {"timeout": "7s"}}, config)
    assert refused == ()
    assert found["routes"][0]["virtual_hosts"][0]["routes"][0]["route"]["timeout"] == "7s"
    first = {"name": "mine", "match": {"path": "/m"}, "directResponse": {"status": 204}}
    found, _ = patched("HTTP_ROUTE", "INSERT_FIRST", first, {"routeConfiguration": {"portNumber": 80}})
    assert [each["name"] for each in found["routes"][0]["virtual_hosts"][0]["routes"]] == ["mine", "all"]
    found, _ = patched("VIRTUAL_HOST", "ADD", {"name": "v", "domains": ["v.example"]})
    assert [each["name"] for each in found["routes"][0]["virtual_hosts"]] == ["shop.example:80", "v"]
    found, _ = patched("ROUTE_CONFIGURATION", "MERGE", {"mostSpecificHeaderMutationsWins": True})
    assert found["routes"][0]["most_specific_header_mutations_wins"] is True


def test_listeners_and_their_filters_are_changed() -> None:
    inspector = {
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
        },
    }
    port = {"listener": {"portNumber": 80}}
    assert patched("LISTENER_FILTER", "ADD", inspector, port)[0]["listeners"][0]["listener_filters"] == [inspector]
    assert patched("LISTENER", "MERGE", {"statPrefix": "mine"}, port)[0]["listeners"][0]["stat_prefix"] == "mine"
    assert [each["name"] for each in patched("LISTENER", "REMOVE", {}, port)[0]["listeners"]] == ["connect_originate"]


@pytest.mark.parametrize(
    ("apply_to", "operation", "value", "match", "said"),
    [
        ("CLUSTER", "MERGE", {"connectTimeuot": "3s"}, {}, "no field"),
        ("CLUSTER", "MERGE", {"connectTimeout": "3s"}, {"cluster": {"name": "nobody"}}, "nothing here"),
        ("NOTHING", "MERGE", {}, {}, "none of"),
        ("HTTP_FILTER", "INSERT_BEFORE", LUA, {"listener": "not an object"}, "cannot be applied"),
        ("CLUSTER", "MERGE", {"clusterType": {"name": "x"}}, {}, "exclude each other"),
    ],
)
def test_a_patch_that_does_not_fit_is_refused_and_changes_nothing(
    apply_to: str, operation: str, value: dict[str, Any], match: dict[str, Any], said: str
) -> None:
    found, refused = patched(apply_to, operation, value, match)
    untouched, _ = patched("CLUSTER", "ADD", {"name": "mine"}, context="waypoint")
    assert [each.source for each in refused] == ["EnvoyFilter/shop/f"]
    assert said in refused[0].message
    assert found == untouched


def test_lists_that_are_said_replace_those_there() -> None:
    value = {"routes": [{"match": {"prefix": "/own"}, "direct_response": {"status": 204}}]}
    found, refused = patched("VIRTUAL_HOST", "MERGE_AND_REPLACE_LIST", value)
    (routes,) = (each["routes"] for each in found["routes"][0]["virtual_hosts"])
    assert not refused and [each["match"] for each in routes] == [{"prefix": "/own"}]


def test_a_configuration_is_found_by_the_name_of_its_port() -> None:
    """Of plain HTTP the name is not known, as with Istio."""
    value = {"request_headers_to_remove": ["x-a"]}
    _, refused = patched("ROUTE_CONFIGURATION", "MERGE", value, {"routeConfiguration": {"portName": "http"}})
    assert refused


@pytest.mark.parametrize(
    ("match", "ports"),
    [({}, [80, 81]), ({"portNumber": 81}, [81]), ({"portNumber": 82}, []), ({"filter": {"name": "nobody"}}, [])],
)
def test_a_waypoint_is_patched_at_the_served_port(match: dict[str, Any], ports: list[int]) -> None:
    patch = Patch("HTTP_FILTER", "any", "INSERT_FIRST", LUA, {"waypoint": match}, path="spec.configPatches[0]")
    documents = waypoint.documents(serving(patch, 80, 81))
    (inner,) = (each for each in documents["listeners"] if each["name"] == "main_internal")
    touched = [
        int(chain["name"].split("|")[1])
        for chain in inner["filter_chains"]
        if any(
            each["name"] == "my.lua"
            for filter_ in chain["filters"]
            for each in filter_["typed_config"].get("http_filters", [])
        )
    ]
    assert touched == ports


def test_a_route_of_a_waypoint_is_found_by_name_and_port() -> None:
    value = {"stat_prefix": "x"}
    for match, ports in (({"route": {"name": "all"}}, ["80", "81"]), ({"route": {"name": "other"}}, [])):
        patch = Patch("HTTP_ROUTE", "any", "MERGE", value, {"waypoint": match}, path="spec.configPatches[0]")
        found = waypoint.documents(serving(patch, 80, 81))["routes"]
        touched = [
            each["name"].split("|")[1]
            for each in found
            for host in each["virtual_hosts"]
            if any(route.get("stat_prefix") == "x" for route in host["routes"])
        ]
        assert touched == ports


def test_a_patch_for_waypoints_leaves_others_alone() -> None:
    found, refused = patched("HTTP_FILTER", "INSERT_FIRST", LUA, {"waypoint": {}}, context="any")
    assert not refused and "my.lua" not in http_filters(found)


def serving(patch: Patch, *ports: int) -> WaypointView:
    sets = (PatchSet("f", "shop", Attachment("shop"), (patch,)),)
    served = tuple(
        ServedPort(port, "http", (virtual(f"web:{port}", route("/", forward("web"), name="all")),)) for port in ports
    )
    service = ServedService("shop/web", l7.host("web"), "shop", "web", ("10.9.0.1",), served, l7.ENFORCED)
    enforced = Enforced(patches=sets, telemetry=l7.PROMETHEUS)
    upstreams = (upstream("web", "10.64.2.2"),)
    return WaypointView(l7.proxy("waypoint"), l7.SETTINGS, (service,), (), upstreams, enforced, ("cluster.local",))

from __future__ import annotations

from typing import Any

import pytest

from plait.diagnose.proxy_config import PARTS, REDACTED, documents, redacted, rows

Document = dict[str, Any]


def dumped(message: str, **fields: Any) -> Document:
    return {"configs": [{"@type": f"type.googleapis.com/envoy.admin.v3.{message}", **fields}]}


def cluster(name: str) -> Document:
    return {"cluster": {"name": name, "type": "EDS"}}


def shown(part: str, dump: Document, clusters: Document | None = None) -> list[Document]:
    return rows(part, documents(part, dump, clusters or {}))


def test_keys_are_taken_out_wherever_they_stand() -> None:
    secret = {"tls_certificate": {"certificate_chain": {"inline_string": "pem"}, "private_key": {"inline_string": "k"}}}
    found = redacted({"a": [{"secret": secret}], "password": {"inline_string": "p"}, "generic_secret": 1})
    assert found["a"][0]["secret"]["tls_certificate"] == {
        "certificate_chain": {"inline_string": "pem"},
        "private_key": REDACTED,
    }
    assert (found["password"], found["generic_secret"]) == (REDACTED, REDACTED)


def test_clusters_are_named_by_their_parts() -> None:
    names = ("outbound|80|v1|cart.shop", "inbound-vip|80|http/v2|cart.shop", "inbound-vip|80|http|cart.shop", "xds")
    dump = dumped("ClustersConfigDump", static_clusters=[cluster("xds")])
    dump["configs"][0]["dynamic_active_clusters"] = [cluster(each) for each in names[:3]]
    found = [(r["direction"], r["port"], r["subset"], r["host"]) for r in shown("cluster", dump)]
    assert found == [
        ("", "", "", "xds"),
        ("outbound", "80", "v1", "cart.shop"),
        ("inbound-vip", "80", "v2", "cart.shop"),
        ("inbound-vip", "80", "", "cart.shop"),
    ]


def test_a_listener_shows_where_it_listens_and_why_it_was_refused() -> None:
    socket = {"address": "0.0.0.0", "port_value": 15006, "network_namespace_filepath": "/run/netns/p-1"}
    chain = {"filters": [{"name": "envoy.filters.network.tcp_proxy"}]}
    listener = {"name": "inbound", "address": {"socket_address": socket}, "filter_chains": [chain]}
    dump = dumped(
        "ListenersConfigDump",
        dynamic_listeners=[
            {"name": "inbound", "active_state": {"listener": listener}},
            {"name": "torn", "error_state": {"details": "no such filter"}},
        ],
    )
    good, bad = shown("listener", dump)
    assert (good["address"], good["namespace"], good["filters"]) == ("0.0.0.0:15006", "p-1", ["tcp_proxy"])
    assert (bad["name"], bad["error"]) == ("torn", "no such filter")


@pytest.mark.parametrize(
    ("route", "match", "action"),
    [
        ({"match": {"prefix": "/"}, "route": {"cluster": "c"}}, "/*", "c"),
        ({"match": {"path": "/a"}, "redirect": {}}, "/a", "redirect"),
        ({"match": {"path_separated_prefix": "/a"}, "direct_response": {"status": 503}}, "/a/*", "answers 503"),
        ({"match": {"safe_regex": {"regex": "/.*"}}, "route": {"cluster": "c"}}, "~/.*", "c"),
        ({"match": {"connect_matcher": {}}, "route": {"cluster": "c"}}, "CONNECT", "c"),
        (
            {
                "match": {"prefix": "/", "headers": [{"name": "a"}]},
                "route": {"weighted_clusters": {"clusters": [{"name": "a", "weight": 9}, {"name": "b", "weight": 1}]}},
            },
            "/* and headers",
            "a (9), b (1)",
        ),
    ],
)
def test_a_route_shows_what_it_takes_and_does(route: Document, match: str, action: str) -> None:
    host = {"name": "cart", "domains": ["cart"], "routes": [route]}
    dump = dumped("RoutesConfigDump", dynamic_route_configs=[{"route_config": {"name": "80", "virtual_hosts": [host]}}])
    (row,) = shown("route", dump)
    assert (row["match"], row["action"]) == (match, action)


def test_endpoints_show_their_health() -> None:
    def host(number: int, **health: Any) -> Document:
        address = {"socket_address": {"address": f"10.0.0.{number}", "port_value": 80}}
        return {"address": address, "health_status": {"eds_health_status": "HEALTHY", **health}}

    hosts = [host(1), host(2, failed_outlier_check=True), host(3, eds_health_status="DRAINING")]
    status = {"cluster_statuses": [{"name": "c", "host_statuses": hosts}]}
    found = [(r["endpoint"], r["status"], r["outlier"]) for r in shown("endpoint", {}, status)]
    assert found == [
        ("10.0.0.1:80", "HEALTHY", "OK"),
        ("10.0.0.2:80", "HEALTHY", "EJECTED"),
        ("10.0.0.3:80", "DRAINING", "OK"),
    ]


def test_a_secret_that_is_not_there_yet_or_unreadable_has_no_dates() -> None:
    torn = {"tls_certificate": {"certificate_chain": {"inline_string": "no certificate"}}}
    dump = dumped(
        "SecretsConfigDump",
        dynamic_active_secrets=[{"name": "default", "secret": torn}],
        dynamic_warming_secrets=[{"name": "late"}],
    )
    first, late = shown("secret", dump)
    assert (first["type"], first["state"], first["until"]) == ("certificate", "ACTIVE", "")
    assert (late["name"], late["state"]) == ("late", "WARMING")


def test_an_empty_dump_has_no_part() -> None:
    for part in PARTS:
        assert shown(part, {}) == [], part

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit.evidence import codes, deployment, istio, said
from plait.diagnose.destination_rules import empty_subsets, unknown_hosts, unverified

WEB = d.service("web", "10.96.0.1")


def rules(host: str = "web", **spec: Any) -> d.Document:
    return istio("DestinationRule", "web", host=host, **spec)


def test_tls_that_names_no_authority_is_told() -> None:
    simple = {"tls": {"mode": "SIMPLE"}}
    assert said(unverified, rules(trafficPolicy=simple)) == [
        ("IST0128", "web", "spec.trafficPolicy.tls.caCertificates")
    ]
    port = {"portLevelSettings": [{"port": {"number": 443}, **simple}]}
    assert codes(unverified, rules(trafficPolicy=port)) == ["IST0129"]


def test_tls_that_names_one_or_needs_none_is_not() -> None:
    for tls in (
        {"mode": "SIMPLE", "caCertificates": "/a"},
        {"mode": "SIMPLE", "insecureSkipVerify": True},
        {"mode": "ISTIO_MUTUAL"},
        {"mode": "DISABLE"},
    ):
        assert codes(unverified, rules(trafficPolicy={"tls": tls})) == [], tls


def test_a_credential_is_read_by_sidecars_only_where_the_rule_selects_them() -> None:
    named = {"tls": {"mode": "MUTUAL", "credentialName": "a"}}
    assert codes(unverified, rules(trafficPolicy=named)) == ["IST0128"]
    assert codes(unverified, rules(trafficPolicy=named, workloadSelector={"matchLabels": {"app": "api"}})) == []


def test_a_host_that_nobody_has_is_told() -> None:
    assert said(unknown_hosts, WEB, rules("wbe")) == [("IST0174", "web", "spec.host")]
    for known in ("web", "web.shop.svc.cluster.local", "*.shop.svc.cluster.local"):
        assert codes(unknown_hosts, WEB, rules(known)) == []
    hidden = d.service("web", "10.96.0.1", annotations={"networking.istio.io/exportTo": "other"})
    assert codes(unknown_hosts, hidden, rules()) == ["IST0174"], "nobody who has the rule sees it"


def test_a_subset_without_workloads_is_told() -> None:
    subset = {"name": "v2", "labels": {"version": "v2"}}
    assert said(empty_subsets, WEB, deployment("web"), rules(subsets=[subset])) == [
        ("IST0173", "web", "spec.subsets[0].labels")
    ]
    assert codes(empty_subsets, WEB, deployment("web", labels={"version": "v2"}), rules(subsets=[subset])) == []
    assert codes(empty_subsets, rules("elsewhere.example", subsets=[subset])) == [], "its endpoints are not ours"


def test_topology_labels_are_the_node_s() -> None:
    subset = {"name": "near", "labels": {"topology.kubernetes.io/zone": "z1"}}
    pod = d.pod("web-1", "10.0.0.1", labels={"app": "web"}, node="n1")
    node = d.document("v1", "Node", "n1", "", labels={"topology.kubernetes.io/zone": "z1"})
    assert codes(empty_subsets, WEB, pod, node, rules(subsets=[subset])) == []
    node["metadata"]["labels"] = {"topology.kubernetes.io/zone": "z2"}
    assert codes(empty_subsets, WEB, pod, node, rules(subsets=[subset])) == ["IST0173"]
    nowhere = {"name": "near", "labels": {"topology.kubernetes.io/zone": ""}}
    node["metadata"]["labels"] = {"topology.kubernetes.io/zone": ""}
    assert codes(empty_subsets, WEB, pod, node, rules(subsets=[nowhere])) == ["IST0173"], "no zone is no place"

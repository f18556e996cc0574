# ruff: noqa: E501 (rows of a table of cases)
"""What users get wrong is told with its path; what is right passes."""

from __future__ import annotations

from typing import Any

import pytest

from plait.resources import kinds
from plait.resources.decode import decode
from plait.resources.documents import read
from plait.resources.objects import Objects, from_documents
from plait.resources.registry import MESH
from plait.resources.schema import schema_of
from plait.resources.validate import validate


def document(kind: str, spec: dict[str, Any], version: str = "networking.istio.io/v1") -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "a", "namespace": "b"}, "spec": spec}


ROUTE = {"route": [{"destination": {"host": "b"}, "weight": 1}]}


def virtual(*http: dict[str, Any], **more: Any) -> dict[str, Any]:
    return document("VirtualService", {"hosts": ["a"], "http": list(http), **more})


def policy(**spec: Any) -> dict[str, Any]:
    return document("AuthorizationPolicy", spec, "security.istio.io/v1")


def bound(bind: str, port: int) -> dict[str, Any]:
    server = {"port": {"number": port, "name": "a", "protocol": "HTTP"}, "hosts": ["*"], "bind": bind}
    return document("Gateway", {"servers": [server]})


def pinned(**digests: list[str]) -> dict[str, Any]:
    tls = {"mode": "MUTUAL", "credentialName": "a", **digests}
    server = {"port": {"number": 443, "name": "a", "protocol": "HTTPS"}, "hosts": ["*"], "tls": tls}
    return document("Gateway", {"servers": [server]})


@pytest.mark.parametrize(
    "right",
    [
        bound("127.0.0.1", 80),
        bound("::1", 80),
        bound("unix://@name", 0),
        pinned(verifyCertificateHash=["ab" * 32, ":".join(["AB"] * 32)]),
    ],
)
def test_listeners_stand_at_addresses_or_unix_domain_sockets_and_may_pin_certificates(right: dict[str, Any]) -> None:
    assert not validate(right)


@pytest.mark.parametrize(
    ("found", "path"),
    [
        (virtual({"rout": []}), "spec.http[0].rout"),
        (virtual({**ROUTE, "timeout": "5 seconds"}), "spec.http[0].timeout"),
        (virtual({**ROUTE, "redirect": {"uri": "/x"}}), "spec.http[0]"),
        (virtual({**ROUTE, "match": [{"uri": {"regex": "(?=x)"}}]}), "spec.http[0].match[0].uri.regex"),
        (virtual({**ROUTE, "fault": {"delay": {"fixedDelay": "1s", "percentage": {"value": 101}}}}),
         "spec.http[0].fault.delay.percentage.value"),
        (virtual({"route": [{"destination": {"host": "b"}, "weight": "5"}]}), "spec.http[0].route[0].weight"),
        (document("DestinationRule", {"host": "a", "subsets": [{"name": "v"}, {"name": "v"}]}), "spec.subsets[1]"),
        (document("ServiceEntry", {"hosts": ["a.b"], "addresses": ["10.0.0.0/33"]}), "spec.addresses[0]"),
        (document("Gateway", {"servers": [{"port": {"number": 443, "name": "x", "protocol": "HTTPS"}, "hosts": ["*"]}]}),
         "spec.servers[0].tls"),
        (bound("unix://relative", 0), "spec.servers[0].bind"),
        (bound("unix:///run/gateway.sock", 80), "spec.servers[0].bind"),
        (bound("localhost", 80), "spec.servers[0].bind"),
        (pinned(verifyCertificateSpki=["ab" * 32]), "spec.servers[0].tls.verifyCertificateSpki[0]"),
        (pinned(verifyCertificateHash=["ab" * 32, "ab"]), "spec.servers[0].tls.verifyCertificateHash[1]"),
        (document("Sidecar", {"ingress": [{"port": {"number": 80, "protocol": "HTTP"}, "bind": "unix:///run/a.sock"}]}),
         "spec.ingress[0].bind"),
        (document("Sidecar", {"outboundTrafficPolicy": {"egressProxy": {"host": "a"}}}),
         "spec.outboundTrafficPolicy.egressProxy"),
        (document("Sidecar", {"egress": [{"hosts": ["./*"], "bind": "10.0.0.0/8"}]}), "spec.egress[0].bind"),
        (policy(action="CUSTOM", rules=[{}]), "spec.provider"),
        (policy(action="allow"), "spec.action"),
        (policy(rules=[{"from": [{"source": {"ipBlocks": ["999.0.0.1"]}}]}]), "spec.rules[0].from[0].source.ipBlocks[0]"),
        (policy(rules=[{"when": [{"key": "request.header", "values": ["a"]}]}]), "spec.rules[0].when[0].key"),
        (document("PeerAuthentication", {"portLevelMtls": {"80": {"mode": "STRICT"}}}, "security.istio.io/v1"),
         "spec.portLevelMtls"),
        (document("HTTPRoute", {"rules": [{"backendRefs": [{"name": "x"}]}]}, "gateway.networking.k8s.io/v1"),
         "spec.rules[0].backendRefs[0].port"),
        (document("VirtualService", {}, "networking.istio.io/v2"), "kind"),
        ({**virtual(ROUTE), "metadata": {"name": "A_b"}}, "metadata.name"),
        ({**virtual(ROUTE), "metadata": {"name": "a", "labels": {"v": 1}}}, "metadata.labels[v]"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_told_with_its_path(found: dict[str, Any], path: str) -> None:
    errors = [p for p in validate(found) if p.severity == "error"]
    assert path in [p.path for p in errors]
    assert all(p.message and p.code for p in errors)


@pytest.mark.parametrize(
    "found",
    [
        virtual(ROUTE),
        virtual({**ROUTE, "match": [{"headers": {"end-user": {"exact": "jason"}}, "uri": {"regex": r"^/a/\d+$"}}]}),
        policy(),
        policy(rules=[{}]),
        policy(rules=[{"to": [{"operation": {"paths": ["/a/{*}/b", "/c/{**}"], "methods": ["GET"]}}]}]),
        document("PeerAuthentication", {"mtls": {"mode": "STRICT"}}, "security.istio.io/v1beta1"),
        document("Gateway", {"gatewayClassName": "istio", "listeners": [{"name": "h", "port": 80, "protocol": "HTTP"}]},
                 "gateway.networking.k8s.io/v1"),
        document("ServiceEntry", {"hosts": ["a.example.com"], "resolution": "DNS",
                                  "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}]}),
    ],
)  # fmt: skip
def test_a_right_document_has_no_problem(found: dict[str, Any]) -> None:
    assert validate(found) == ()


def test_every_mesh_kind_has_a_structural_schema() -> None:
    for kind in MESH:
        schema = schema_of(kind, kind.version)
        assert {"apiVersion", "kind", "metadata", "spec"} <= schema["properties"].keys(), kind
        assert schema["properties"]["spec"]["type"] == "object"


def test_an_unknown_field_does_not_stop_the_read_but_is_told() -> None:
    typed, problems = decode(virtual({**ROUTE, "timout": "1s"}))
    assert typed is not None and typed.name == "a"
    assert [p.path for p in problems] == ["spec.http[0].timout"]
    assert "'timeout'" in problems[0].message


def test_a_broken_document_leaves_the_others_alone() -> None:
    text = "a: [\n---\nkind: List\nitems:\n- {kind: A, 1: yes, d: 2020-01-01}\n---\na: 1\na: 2\n---\n# only a comment\n"
    found, problems = read(text, "f")
    assert [(each.index, each.document) for each in found] == [(1, {"kind": "A", "1": True, "d": "2020-01-01"})]
    assert [p.name for p in problems] == ["f[0]", "f[2]"]


def test_a_broken_object_is_left_out_and_equal_objects_keep_their_identity() -> None:
    first, problems = from_documents([virtual(ROUTE), policy(action="NO")])
    assert len(first) == 1 and problems
    again, _ = from_documents([virtual(ROUTE), policy()], first)
    assert again.get(kinds.VIRTUAL_SERVICE, "a", "b") is first.get(kinds.VIRTUAL_SERVICE, "a", "b")
    assert again.of(kinds.VIRTUAL_SERVICE) is first.of(kinds.VIRTUAL_SERVICE)
    assert from_documents([virtual(ROUTE)], first)[0] is first
    assert first.with_(*first) is first
    assert Objects() == Objects()

"""Stories of what Gateways and ListenerSets say of themselves: references, certificates, addresses, parameters."""

from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from kit import pki
from kit import worlds as l7
from plait.model.gateways import ServerTls
from plait.model.mesh import Mesh
from plait.model.status import Condition, GatewayStatus, RouteStatus

SERVER, ROOT = pki.Authority().issue("spiffe://a/b"), pki.Authority().root.decode()
CERTIFICATE = d.document(
    "v1",
    "Secret",
    "cert",
    stringData={"tls.crt": SERVER.certificate.decode(), "tls.key": SERVER.key.decode(), "ca.crt": ROOT},
)
CLIENTS = d.document("v1", "ConfigMap", "clients", data={"ca.crt": ROOT})
GOOD: dict[str, tuple[str, str]] = {
    "Accepted": ("True", "Accepted"),
    "Programmed": ("True", "Programmed"),
    "ResolvedRefs": ("True", "ResolvedRefs"),
}
Said = dict[str, tuple[str, str]]


def https(name: str = "https", hostname: str = "shop.example", *, port: int = 443, **tls: Any) -> dict[str, Any]:
    written = {"certificateRefs": [{"name": "cert"}], **tls}
    return {"name": name, "port": port, "protocol": "HTTPS", "hostname": hostname, "tls": written}


def validated(*refs: Any, mode: str = "AllowValidOnly") -> dict[str, Any]:
    return {"tls": {"frontend": {"default": {"validation": {"caCertificateRefs": list(refs), "mode": mode}}}}}


def ref(kind: str, name: str, **rest: Any) -> dict[str, Any]:
    return {"group": "", "kind": kind, "name": name, **rest}


def said(conditions: tuple[Condition, ...]) -> Said:
    return {c.type: (c.status, c.reason) for c in conditions}


def status(mesh: Mesh, name: str = "edge", kind: str = "gateways") -> GatewayStatus:
    found = mesh.l7.statuses[f"{kind}.gateway.networking.k8s.io/shop/{name}"]
    assert isinstance(found, GatewayStatus)
    return found


def of_listeners(mesh: Mesh) -> dict[str, Said]:
    return {each.name: said(each.conditions) for each in status(mesh).listeners}


def tls_of(mesh: Mesh) -> ServerTls | None:
    return mesh.l7.gateways["gateway-api/shop/edge"].listeners[0].tls


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        (ref("ConfigMap", "gone"), "InvalidCACertificateRef"),
        (ref("Service", "cart"), "InvalidCACertificateKind"),
        (ref("ConfigMap", "clients", namespace="other"), "RefNotPermitted"),
        (ref("ConfigMap", "gone", namespace="other"), "RefNotPermitted"),
    ],
)
def test_without_roots_for_its_clients_a_listener_is_not_accepted_and_plain_ones_are(
    reference: dict[str, Any], reason: str
) -> None:
    plain = {"name": "http", "port": 80, "protocol": "HTTP"}
    elsewhere = d.document("v1", "ConfigMap", "clients", "other", data={"ca.crt": ROOT})
    mesh, problems = l7.world(
        CERTIFICATE, elsewhere, l7.gateway("edge", "shop", https(), plain, **validated(reference))
    )
    found = of_listeners(mesh)
    assert found["https"] == {
        "Accepted": ("False", "NoValidCACertificate"),
        "Conflicted": ("False", "NoConflicts"),
        "Programmed": ("False", "Invalid"),
        "ResolvedRefs": ("False", reason),
    }
    assert found["http"] == {**GOOD, "Conflicted": ("False", "NoConflicts")}
    assert said(status(mesh).conditions) == {
        "Accepted": ("True", "ListenersNotValid"),
        "Programmed": ("True", "Programmed"),
        "ResolvedRefs": ("False", "ListenersNotResolved"),
    }
    assert [p.path for p in problems] == ["spec.listeners[https]"]


def test_one_usable_root_of_several_serves_and_the_other_is_told() -> None:
    asked = validated(ref("ConfigMap", "gone"), ref("ConfigMap", "clients"))
    mesh, _ = l7.world(CERTIFICATE, CLIENTS, l7.gateway("edge", "shop", https(), **asked))
    assert of_listeners(mesh)["https"] == {
        **GOOD,
        "Conflicted": ("False", "NoConflicts"),
        "ResolvedRefs": ("False", "InvalidCACertificateRef"),
    }
    tls = tls_of(mesh)
    assert tls is not None
    assert (tls.mode, tls.client_roots_secret) == ("mutual", "configmap:shop/clients")


def test_a_gateway_that_lets_strangers_in_says_so_as_long_as_it_does() -> None:
    insecure = validated(ref("ConfigMap", "clients"), mode="AllowInsecureFallback")
    mesh, _ = l7.world(CERTIFICATE, CLIENTS, l7.gateway("edge", "shop", https(), **insecure))
    assert said(status(mesh).conditions) == {
        **GOOD,
        "InsecureFrontendValidationMode": ("True", "ConfigurationChanged"),
    }
    mesh, _ = l7.world(
        CERTIFICATE, CLIENTS, l7.gateway("edge", "shop", https(), **validated(ref("ConfigMap", "clients")))
    )
    assert said(status(mesh).conditions) == GOOD


def test_listeners_whose_tls_a_shared_connection_could_mix_up_are_told_of_each_other() -> None:
    listeners = (
        https("one", "foo.shop.example"),
        https("two", "foo.shop.org"),
        https("three", "*.shop.example"),
        https("elsewhere", "foo.shop.example", port=8443),
        {"name": "pass", "port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}},
    )
    mesh, _ = l7.world(CERTIFICATE, l7.gateway("edge", "shop", *listeners))
    overlapping = {name: found.get("OverlappingTLSConfig") for name, found in of_listeners(mesh).items()}
    told = ("True", "OverlappingHostnames")
    assert overlapping == {"one": told, "two": None, "three": told, "elsewhere": None, "pass": None}


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("SIMPLE", ("simple", 1, "")),
        ("MUTUAL", ("mutual", 1, "shop/cert")),
        ("ISTIO_MUTUAL", ("istio_mutual", 0, "")),
        ("ISTIO_SIMPLE", ("istio_simple", 0, "")),
    ],
)
def test_istios_options_choose_the_mode_and_the_ciphers(mode: str, wanted: tuple[str, int, str]) -> None:
    options = {
        "gateway.istio.io/tls-terminate-mode": mode,
        "gateway.istio.io/tls-cipher-suites": "ECDHE-RSA-AES128-GCM-SHA256,AES256-SHA",
    }
    listener = https(options=options)
    if mode.startswith("ISTIO"):
        del listener["tls"]["certificateRefs"]
    mesh, problems = l7.world(CERTIFICATE, l7.gateway("edge", "shop", listener))
    assert (problems, said(status(mesh).conditions)) == ((), GOOD)
    tls = tls_of(mesh)
    assert tls is not None
    assert (tls.mode, len(tls.certificates), tls.client_roots_secret) == wanted
    assert tls.ciphers == ("ECDHE-RSA-AES128-GCM-SHA256", "AES256-SHA")


def test_a_mutual_listener_needs_roots_in_its_secret_or_the_one_beside_it() -> None:
    listener = https(options={"gateway.istio.io/tls-terminate-mode": "MUTUAL"})
    bare = {**CERTIFICATE, "stringData": {k: v for k, v in CERTIFICATE["stringData"].items() if k != "ca.crt"}}
    mesh, _ = l7.world(bare, l7.gateway("edge", "shop", listener))
    assert of_listeners(mesh)["https"]["ResolvedRefs"] == ("False", "InvalidCertificateRef")
    beside = d.document("v1", "Secret", "cert-cacert", stringData={"cacert": ROOT})
    mesh, _ = l7.world(bare, beside, l7.gateway("edge", "shop", listener))
    assert of_listeners(mesh)["https"]["ResolvedRefs"] == ("True", "ResolvedRefs")


def test_options_without_effect_are_told_and_never_reach_envoy() -> None:
    options = {
        "gateway.istio.io/tls-terminate-mode": "DOUBLE",
        "gateway.istio.io/tls-cipher-suites": "ROT13",
        "example.com/own": "1",
    }
    mesh, problems = l7.world(CERTIFICATE, l7.gateway("edge", "shop", https(options=options)))
    assert sorted((p.code, p.path.removeprefix("spec.listeners[0].tls.options")) for p in problems) == [
        ("PLT0400", "[example.com/own]"),
        ("PLT0401", "[gateway.istio.io/tls-cipher-suites]"),
        ("PLT0401", "[gateway.istio.io/tls-terminate-mode]"),
    ]
    tls = tls_of(mesh)
    assert tls is not None
    assert (tls.mode, tls.ciphers) == ("simple", ())


def test_https_without_tls_is_not_accepted() -> None:
    listener = {"name": "https", "port": 443, "protocol": "HTTPS"}
    mesh, _ = l7.world(l7.gateway("edge", "shop", listener))
    assert of_listeners(mesh)["https"] == {
        "Accepted": ("False", "UnsupportedProtocol"),
        "Conflicted": ("False", "NoConflicts"),
        "Programmed": ("False", "Invalid"),
        "ResolvedRefs": ("True", "ResolvedRefs"),
    }


@pytest.mark.parametrize(
    ("reference", "accepted"),
    [
        (ref("ConfigMap", "gone"), ("False", "InvalidParameters")),
        (ref("Secret", "cert"), ("False", "InvalidParameters")),
        (ref("ConfigMap", "clients"), ("True", "Accepted")),
    ],
)
def test_parameters_that_lead_nowhere_are_not_accepted(reference: dict[str, Any], accepted: tuple[str, str]) -> None:
    gateway = l7.gateway("edge", "shop", infrastructure={"parametersRef": reference})
    mesh, _ = l7.world(CERTIFICATE, CLIENTS, gateway)
    assert said(status(mesh).conditions)["Accepted"] == accepted


def test_a_waypoint_listens_to_hbone_only() -> None:
    listener = {"name": "mesh", "port": 1234, "protocol": "HTTP"}
    gateway = l7.api("Gateway", "edge", gatewayClassName="istio-waypoint", listeners=[listener])
    mesh, _ = l7.world(gateway)
    assert of_listeners(mesh)["mesh"]["Accepted"] == ("False", "UnsupportedProtocol")
    assert said(status(mesh).conditions)["Accepted"] == ("False", "ListenersNotValid")


def test_neither_a_waypoint_nor_a_gateway_that_is_not_accepted_takes_listeners_of_others() -> None:
    taking = {"allowedListeners": {"namespaces": {"from": "All"}}}
    extra = {"name": "extra", "port": 8080, "protocol": "HTTP"}
    strange = l7.gateway("edge", "shop", addresses=[{"type": "example.com/name", "value": "x"}], **taking)
    mesh, _ = l7.world(
        strange,
        l7.waypoint(),
        l7.api("ListenerSet", "more", parentRef={"name": "edge"}, listeners=[extra]),
        l7.api("ListenerSet", "odd", parentRef={"name": "waypoint"}, listeners=[extra]),
    )
    assert said(status(mesh).conditions) == {
        "Accepted": ("False", "UnsupportedAddress"),
        "Programmed": ("False", "AddressNotUsable"),
        "ResolvedRefs": ("True", "ResolvedRefs"),
    }
    refused = {name: said(status(mesh, name, "listenersets").conditions) for name in ("more", "odd")}
    assert refused == {
        "more": dict.fromkeys(("Accepted", "Programmed"), ("False", "ParentNotAccepted")),
        "odd": dict.fromkeys(("Accepted", "Programmed"), ("False", "NotAllowed")),
    }
    assert (status(mesh).attached_listener_sets, len(status(mesh).listeners)) == (0, 1)


def test_whatever_is_not_well_says_why() -> None:
    """A person who reads a condition is not left with a reason's name alone."""
    taking = {"allowedListeners": {"namespaces": {"from": "All"}}}
    lost = https(certificateRefs=[{"name": "gone"}])
    extra = {"name": "extra", "port": 80, "protocol": "STRANGE"}
    more = l7.api("ListenerSet", "more", parentRef={"name": "edge"}, listeners=[extra])
    mesh, _ = l7.world(l7.gateway("edge", "shop", lost, **taking), more)
    told = [part for each in (status(mesh), status(mesh, "more", "listenersets")) for part in (each, *each.listeners)]
    bad = [c for part in told for c in part.conditions if c.status == "False" and c.type != "Conflicted"]
    assert {c.type for c in bad} == {"Accepted", "Programmed", "ResolvedRefs"}
    assert [c for c in bad if not c.message] == []


def backend_tls(name: str, target: dict[str, Any], created: str = "", **validation: Any) -> d.Document:
    written = {"hostname": "cart.example", "wellKnownCACertificates": "System", **validation}
    if "caCertificateRefs" in validation:
        del written["wellKnownCACertificates"]
    rest = {"creationTimestamp": created} if created else {}
    written_target = {**ref("Service", "cart"), **target}
    return l7.api("BackendTLSPolicy", name, targetRefs=[written_target], validation=written, **rest)


def of_policy(mesh: Mesh, name: str) -> tuple[str, Said]:
    """The kind of its only ancestor, and what is said there."""
    found = mesh.l7.statuses[f"backendtlspolicies.gateway.networking.k8s.io/shop/{name}"]
    assert isinstance(found, RouteStatus)
    (one,) = found.parents
    return one.parent.kind, said(one.conditions)


CART = (
    d.service("cart", "10.9.0.1"),
    l7.gateway(),
    l7.api("HTTPRoute", "r", parentRefs=[{"name": "edge"}], rules=[{"backendRefs": [{"name": "cart", "port": 80}]}]),
)


@pytest.mark.parametrize(
    ("policy", "accepted", "resolved"),
    [
        (backend_tls("p", {"sectionName": "http"}), ("True", "Accepted"), ("True", "ResolvedRefs")),
        (backend_tls("p", {"sectionName": "gone"}), ("False", "TargetNotFound"), ("True", "ResolvedRefs")),
        (
            backend_tls("p", {}, caCertificateRefs=[ref("ConfigMap", "gone")]),
            ("False", "NoValidCACertificate"),
            ("False", "InvalidCACertificateRef"),
        ),
        (
            backend_tls("p", {}, caCertificateRefs=[ref("Secret", "cert")]),
            ("False", "NoValidCACertificate"),
            ("False", "InvalidKind"),
        ),
        (
            backend_tls("p", {}, caCertificateRefs=[ref("ConfigMap", "gone"), ref("ConfigMap", "clients")]),
            ("True", "Accepted"),
            ("False", "InvalidCACertificateRef"),
        ),
        (
            backend_tls("p", {}, wellKnownCACertificates="example.com/ours"),
            ("False", "Invalid"),
            ("True", "ResolvedRefs"),
        ),
    ],
)
def test_a_backend_policy_says_what_is_wrong_with_target_and_roots(
    policy: d.Document, accepted: tuple[str, str], resolved: tuple[str, str]
) -> None:
    mesh, _ = l7.world(*CART, CLIENTS, policy)
    assert of_policy(mesh, "p") == ("Gateway", {"Accepted": accepted, "ResolvedRefs": resolved})
    refusing = accepted[0] == "False" and accepted[1] != "TargetNotFound"
    assert [bool(each.broken) for each in mesh.l7.backend_tls.values()] in ([refusing], []), (
        "never spoken to unverified"
    )


def test_a_backend_policy_that_no_gateway_needs_speaks_of_its_target() -> None:
    lost = backend_tls("p", {"name": "gone"})
    mesh, _ = l7.world(lost)
    assert of_policy(mesh, "p") == (
        "Service",
        {"Accepted": ("False", "TargetNotFound"), "ResolvedRefs": ("True", "ResolvedRefs")},
    )


def test_a_mirror_reaches_the_target_of_a_backend_policy_too() -> None:
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "cart", "port": 80}}}
    rule = {"filters": [mirror], "backendRefs": [{"name": "reviews", "port": 80}]}
    route = l7.api("HTTPRoute", "r", parentRefs=[{"name": "edge"}], rules=[rule])
    mesh, _ = l7.world(*CART[:2], d.service("reviews", "10.9.0.2"), route, backend_tls("p", {}))
    assert of_policy(mesh, "p")[0] == "Gateway"


def test_a_policy_that_is_to_be_ignored_neither_speaks_nor_stands_in_anothers_way() -> None:
    old = backend_tls("old", {}, "2024-01-01T00:00:00Z")
    old["metadata"]["annotations"] = {"istio.io/ignore-policy-attachment": "true"}
    mesh, _ = l7.world(*CART, old, backend_tls("young", {}, "2025-01-01T00:00:00Z"))
    assert of_policy(mesh, "young")[1]["Accepted"] == ("True", "Accepted")
    assert "backendtlspolicies.gateway.networking.k8s.io/shop/old" not in mesh.l7.statuses


def test_a_host_must_be_exported_to_the_gateway_that_sends_there() -> None:
    def entry(name: str, *export: str) -> d.Document:
        ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
        host = f"{name}.example"
        return l7.istio(
            "ServiceEntry", name, "other", hosts=[host], ports=ports, resolution="DNS", exportTo=list(export)
        )

    def route(name: str, *parents: dict[str, Any]) -> d.Document:
        backend = {"group": "networking.istio.io", "kind": "Hostname", "name": f"{name}.example", "port": 80}
        return l7.api("HTTPRoute", name, "away", parentRefs=list(parents), rules=[{"backendRefs": [backend]}])

    everybody = {"name": "all", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    edge, service = {"name": "edge", "namespace": "shop"}, {"group": "", "kind": "Service", "name": "own"}
    mesh, _ = l7.world(
        l7.gateway("edge", "shop", everybody),
        d.service("own", "10.9.0.7", "away"),
        *(entry("shown", "shop"), entry("hidden", "away"), entry("half", "away")),
        *(route("shown", edge), route("hidden", edge), route("half", edge, service)),
    )
    found = {}
    for name in ("shown", "hidden", "half"):
        status = mesh.l7.statuses[f"httproutes.gateway.networking.k8s.io/away/{name}"]
        assert isinstance(status, RouteStatus)
        found[name] = [said(each.conditions)["ResolvedRefs"] for each in status.parents]
    good, lost = ("True", "ResolvedRefs"), ("False", "BackendNotFound")
    assert found == {"shown": [good], "hidden": [lost], "half": [lost, good]}

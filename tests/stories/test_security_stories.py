"""Stories of HTTP security, telemetry and additions: every attribute arrives, and what is unreadable never widens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kit import documents as d
from kit import worlds as w
from plait.envoy.roles import sidecar
from plait.model.compile import compile
from plait.model.compile.traffic import request_authentication
from plait.model.http_security import Condition, PathText
from plait.model.issuers import Provider
from plait.model.mesh import Mesh
from plait.model.policies import Account, Range, Text
from plait.resources import kinds

INBOUND = "virtualInbound"


def only(*documents: Any) -> tuple[Any, list[tuple[str, str]]]:
    mesh, problems = w.world(*documents)
    return mesh.l7, [(p.code, p.path) for p in problems]


def test_every_source_and_operation_arrives() -> None:
    source = {
        "principals": ["cluster.local/ns/a/sa/*"],
        "requestPrincipals": ["*"],
        "notNamespaces": ["bad"],
        "serviceAccounts": ["a/b"],
        "ipBlocks": ["10.0.0.0/8"],
        "remoteIpBlocks": ["1.2.3.4"],
        "trustDomains": ["td"],
    }
    operation = {
        "hosts": ["*.example"],
        "methods": ["GET"],
        "notPorts": ["22"],
        "paths": ["/a*", "/b/{*}/c", "/d/{**}"],
    }
    l7, _ = only(d.allow("p", [{"from": [{"source": source}], "to": [{"operation": operation}]}]))
    policy = l7.authorization["shop/p"]
    found, done = policy.rules[0].sources[0], policy.rules[0].operations[0]
    assert policy.needs_http
    assert found.principals == (Text("prefix", "cluster.local/ns/a/sa/"),)
    assert found.request_principals == (Text("presence"),)
    assert (found.not_namespaces, found.accounts) == ((Text("exact", "bad"),), (Account("a", "b"),))
    assert (found.ips, found.remote_ips) == ((Range("10.0.0.0", 8),), (Range("1.2.3.4", 32),))
    assert (done.hosts, done.not_ports) == ((Text("suffix", ".example"),), (22,))
    assert done.paths == (PathText("prefix", "/a"), PathText("template", "/b/{*}/c"), PathText("template", "/d/{**}"))


@pytest.mark.parametrize(
    ("key", "values", "wanted"),
    [
        ("request.headers[X-A]", ["b*"], Condition("header", "x-a", texts=(Text("prefix", "b"),))),
        (
            "request.auth.claims[a][b.c]",
            ["v"],
            Condition("token.claim", path=("a", "b.c"), texts=(Text("exact", "v"),)),
        ),
        ("request.auth.audiences", ["x"], Condition("token.audience", texts=(Text("exact", "x"),))),
        ("remote.ip", ["10.0.0.0/8"], Condition("remote.ip", ranges=(Range("10.0.0.0", 8),))),
        (
            "request.experimental.inline.headers[X-A]",
            ["b"],
            Condition("header.item", "x-a", texts=(Text("exact", "b"),)),
        ),
        ("connection.sni", ["*.x"], Condition("sni", texts=(Text("suffix", ".x"),))),
        ("destination.port", ["80"], Condition("destination.port", ports=(80,))),
        (
            "experimental.envoy.filters.a.b[k]",
            ["[v]"],
            Condition("filter", "envoy.filters.a.b", ("k",), texts=(Text("exact", "v"),), is_list=True),
        ),
    ],
)
def test_every_kind_of_condition_arrives(key: str, values: list[str], wanted: Condition) -> None:
    l7, _ = only(d.allow("p", [{"when": [{"key": key, "values": values}]}]))
    assert l7.authorization["shop/p"].rules[0].conditions == (wanted,)


def test_identities_are_meant_in_all_trust_domains_of_the_mesh_at_l4_and_l7_and_a_change_arrives() -> None:
    def mesh_of(aliases: list[str], old: Mesh | None = None) -> Mesh:
        text = f"trustDomainAliases: {aliases}"
        config = {**d.document("v1", "ConfigMap", "istio", "istio-system"), "data": {"mesh": text}}
        source = {"principals": ["cluster.local/ns/a/sa/b"], "notPrincipals": ["old/ns/a/sa/*"]}
        rule = {"from": [{"source": source}], "when": [{"key": "source.principal", "values": ["old/ns/a/sa/c"]}]}
        return compile(w.objects(config, d.allow("p", [rule])), old)[0]

    def said(mesh: Mesh) -> list[tuple[tuple[str, ...], ...]]:
        l7, l4 = mesh.l7.authorization["shop/p"].rules[0], mesh.policies["shop/p"].groups[0].rules
        every = [
            (l7.sources[0].principals, l7.sources[0].not_principals, l7.conditions[0].texts),
            (l4[0].matches[0].principals, l4[0].matches[0].not_principals, l4[1].matches[0].principals),
        ]
        return [tuple(tuple(text.value for text in texts) for texts in each) for each in every]

    one = ("cluster.local/ns/a/sa/b",), ("old/ns/a/sa/",), ("old/ns/a/sa/c",)
    both = (
        ("cluster.local/ns/a/sa/b", "old/ns/a/sa/b"),
        ("cluster.local/ns/a/sa/", "old/ns/a/sa/"),
        ("cluster.local/ns/a/sa/c", "old/ns/a/sa/c"),
    )
    before = mesh_of([])
    assert said(before) == [one, one]
    assert said(mesh_of(["old"], before)) == [both, both]


@pytest.mark.parametrize("mode", ["PERMISSIVE", "STRICT"])
def test_a_policy_about_requests_holds_on_ports_that_no_service_names(mode: str) -> None:
    rule = {"to": [{"operation": {"methods": ["GET"]}}]}
    mesh, _ = w.world(d.allow("p", [rule]), d.peers("default", mode), w.sidecar_pod("web", "10.0.0.1"))
    (listener,) = (each for each in sidecar.documents(w.seen_by(mesh, "web"))["listeners"] if each["name"] == INBOUND)
    found: dict[str, tuple[str, bool, int]] = {}
    for chain in listener["filter_chains"]:
        last = chain["filters"][-1]["typed_config"]
        filters = last.get("http_filters", chain["filters"])
        rules = [each["typed_config"]["rules"]["policies"] for each in filters if each["name"].endswith(".rbac")]
        kind = "http" if "http_filters" in last else "tcp"
        found[chain["name"]] = kind, "transport_socket" in chain, sum(map(len, rules))
    plain = {f"{INBOUND}-http": ("http", False, 1), f"{INBOUND}-tcp": ("tcp", False, 0)}
    secure = {f"{INBOUND}-mtls-http": ("http", True, 1), f"{INBOUND}-mtls-tcp": ("tcp", True, 0)}
    wanted = {**secure, **({**plain, f"{INBOUND}-tls": ("tcp", False, 0)} if mode == "PERMISSIVE" else {})}
    assert {name: each for name, each in found.items() if not name.endswith("blackhole")} == wanted


def test_a_ports_own_mode_holds_where_a_scope_lists_other_ports() -> None:
    ports = {"9000": {"mode": "STRICT"}}
    selector = {"matchLabels": {"app": "web"}}
    listed = {"port": {"number": 8000, "protocol": "HTTP", "name": "http"}, "defaultEndpoint": "127.0.0.1:8000"}
    mesh, _ = w.world(
        d.peers("own", "PERMISSIVE", spec={"selector": selector, "portLevelMtls": ports}),
        w.istio("Sidecar", "web", ingress=[listed]),
        w.sidecar_pod("web", "10.0.0.1", labels={"app": "web"}),
    )
    found = [(each.port, each.mtls) for each in w.seen_by(mesh, "web").inbound]
    assert found == [(8000, "permissive"), (9000, "strict")]


def test_a_port_that_two_services_name_is_what_the_older_says() -> None:
    def service(name: str, port: str, year: int) -> d.Document:
        spec = {"selector": {"app": "web"}, "ports": [{"name": port, "port": 80, "targetPort": 8080}]}
        return d.service(name, f"10.9.0.{year - 2000}", spec=spec, creationTimestamp=f"{year}-01-01T00:00:00Z")

    web = w.sidecar_pod("web", "10.0.0.1", labels={"app": "web"})
    for years, wanted in (((2020, 2021), "tcp"), ((2021, 2020), "http")):
        mesh, _ = w.world(web, service("a", "tcp", years[0]), service("b", "http", years[1]))
        assert [each.protocol for each in w.seen_by(mesh, "web").inbound] == [wanted]


UNREADABLE = [
    {"from": [{"source": {"ipBlocks": ["x"]}}], "to": [{"operation": {"paths": ["/a"]}}]},
    {"when": [{"key": "no.such.thing", "values": ["x"]}], "to": [{"operation": {"paths": ["/a"]}}]},
    {"to": [{"operation": {"paths": ["/{*}x"]}}]},
    *({"to": [{"operation": {"paths": [path]}}]} for path in ("/a b/{*}", "/a//{*}", "/caf\u00e9/{**}", "/a?b/{*}")),
]


@pytest.mark.parametrize("rule", UNREADABLE)
def test_an_unreadable_value_makes_an_allow_allow_nothing_by_that_rule(rule: dict[str, Any]) -> None:
    l7, problems = only(d.allow("p", [rule]))
    assert l7.authorization["shop/p"].rules == ()
    assert problems


@pytest.mark.parametrize("rule", UNREADABLE[:2])
def test_an_unreadable_value_makes_a_deny_deny_more(rule: dict[str, Any]) -> None:
    l7, _ = only(d.allow("p", [rule], action="DENY"))
    assert [r.operations[0].paths for r in l7.authorization["shop/p"].rules] == [(PathText("exact", "/a"),)]


def test_a_target_that_cannot_carry_a_policy_binds_nobody() -> None:
    l7, problems = only(d.allow("p", [], spec={"targetRefs": [{"group": "", "kind": "Pod", "name": "x"}]}))
    assert dict(l7.authorization) == {}
    assert ("PLT0401", "spec.targetRefs[0]") in problems


def test_tokens_with_broken_keys_accept_nothing() -> None:
    rule = {"issuer": "me", "jwks": "{", "fromHeaders": [{"name": "x", "prefix": "y "}], "timeout": "2s"}
    spec = {"jwtRules": [rule]}
    document = d.document("security.istio.io/v1", "RequestAuthentication", "r", spec=spec)
    l7, problems = only(document)
    found = l7.authentication["shop/r"].rules[0]
    assert (found.jwks, found.headers, found.timeout) == ('{"keys":[]}', (("x", "y "),), 2.0)
    assert problems == [("PLT0401", "spec.jwtRules[0].jwks")]


def test_headers_that_no_request_has_accept_nothing_and_claims_without_a_header_go_nowhere() -> None:
    rule = {
        "issuer": "me",
        "jwksUri": "https://keys.example/jwks",
        "fromHeaders": [{"name": ""}, {"name": "x", "prefix": "a\n"}, {"name": "y"}],
        "outputClaimToHeaders": [{"header": "x-sub", "claim": "sub"}, {"header": "x", "claim": ""}],
    }
    document = d.document("security.istio.io/v1", "RequestAuthentication", "r", spec={"jwtRules": [rule]})
    l7, problems = only(document)
    found = l7.authentication["shop/r"].rules[0]
    assert (found.headers, found.jwks, found.jwks_uri) == ((("y", ""),), '{"keys":[]}', "")
    assert found.claim_headers == (("x-sub", "sub"),)
    fields = ("fromHeaders", "outputClaimToHeaders")
    assert problems == [("PLT0401", f"spec.jwtRules[0].{field}") for field in fields]


def tokens(*rules: dict[str, Any]) -> d.Document:
    return d.document("security.istio.io/v1", "RequestAuthentication", "r", spec={"jwtRules": list(rules)})


ISSUER, KEYS = "https://issuer.example/a/", "https://keys.example/jwks"


@pytest.mark.parametrize(
    ("provider", "uri", "severity", "said"),
    [
        (None, "", "info", "asks https://issuer.example/a/.well-known/openid-configuration"),
        (Provider(KEYS), KEYS, "", ""),
        (Provider("", "it answers 404"), "", "error", "it answers 404; no token is accepted; mend it"),
        (Provider(KEYS, "no answer in time"), KEYS, "warning", f"no answer in time; {KEYS} of before counts"),
    ],
)
def test_keys_that_nobody_wrote_are_where_the_issuer_says(
    provider: Provider | None, uri: str, severity: str, said: str
) -> None:
    providers = {} if provider is None else {ISSUER: provider}
    mesh, problems = compile(w.objects(tokens({"issuer": ISSUER})), providers=providers)
    found = mesh.l7.authentication["shop/r"].rules[0]
    assert (found.jwks, found.jwks_uri) == ("", uri)
    assert [(p.severity, p.code, p.path) for p in problems] == (
        [(severity, "PLT0411", "spec.jwtRules[0].issuer")] if severity else []
    )
    assert not said or said in problems[0].message


def test_what_an_issuer_says_later_reaches_its_rules_and_no_others() -> None:
    objects = w.objects(tokens({"issuer": ISSUER}, {"issuer": "b", "jwksUri": f"{KEYS}/b"}))
    first, _ = compile(objects)
    second, _ = compile(objects, first, providers={"https://other.example": Provider(KEYS)})
    assert second.l7 is first.l7
    third, problems = compile(objects, second, providers={ISSUER: Provider(KEYS)})
    assert [rule.jwks_uri for rule in third.l7.authentication["shop/r"].rules] == [KEYS, f"{KEYS}/b"]
    assert problems == ()
    assert request_authentication.undiscovered(objects.of(kinds.REQUEST_AUTHENTICATION).values()) == {ISSUER: 5.0}


def test_an_issuer_that_is_no_url_has_no_keys() -> None:
    l7, problems = only(tokens({"issuer": "me"}))
    assert l7.authentication["shop/r"].rules[0].jwks_uri == ""
    assert problems == [("PLT0401", "spec.jwtRules[0].issuer")]


def test_keys_at_no_url_are_never_had() -> None:
    rule = {"issuer": "me", "jwksUri": "https://keys.example:99999/jwks"}
    document = d.document("security.istio.io/v1", "RequestAuthentication", "r", spec={"jwtRules": [rule]})
    view = w.seen_by(w.world(document, w.sidecar_pod("web", "10.0.0.1"))[0], "web")
    assert any("not a URL" in each.message for each in sidecar.refusals(view))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("statusOnError", "299"),
        ("statusOnError", "many"),
        ("pathPrefix", "check"),
        ("includeRequestBodyInCheck.maxRequestBytes", 0),
    ],
)
def test_an_authorizer_that_a_proxy_could_not_be_told_denies(field: str, value: str | int) -> None:
    outer, _, inner = field.partition(".")
    provider = {"service": "authz.shop.svc.cluster.local", "port": 80, outer: {inner: value} if inner else value}
    mesh = {"extensionProviders": [{"name": "ext", "envoyExtAuthzHttp": provider}]}
    config = {**d.document("v1", "ConfigMap", "istio", "istio-system"), "data": {"mesh": json.dumps(mesh)}}
    rule = {"to": [{"operation": {"paths": ["/a"]}}]}
    asking = d.allow("p", [rule], action="CUSTOM", spec={"provider": {"name": "ext"}})
    found, problems = w.world(config, asking, d.service("authz", "10.9.0.1"), w.sidecar_pod("web", "10.0.0.1"))
    assert ("PLT0407", f"extensionProviders[0].{field}") in [(p.code, p.path) for p in problems]
    text = json.dumps(sidecar.documents(w.seen_by(found, "web")))
    assert "ext_authz" not in text and '"action": "DENY"' in text


def test_telemetry_of_the_namespace_replaces_the_meshs() -> None:
    def telemetry(name: str, namespace: str, share: int) -> d.Document:
        spec = {"tracing": [{"randomSamplingPercentage": share}], "accessLogging": [{"providers": [{"name": "gone"}]}]}
        return d.document("telemetry.istio.io/v1", "Telemetry", name, namespace, spec=spec)

    mesh, problems = w.world(
        telemetry("all", "istio-system", 1), telemetry("own", "shop", 50), w.sidecar_pod("web", "10.0.0.1")
    )
    found = w.seen_by(mesh, "web").enforced.telemetry.tracing
    assert [(each.side, each.sampling) for each in found] == [("client", 50), ("server", 50)]
    assert [(p.code, p.name) for p in problems] == [("PLT0407", "all"), ("PLT0407", "own")]


def test_of_telemetry_what_a_proxy_would_refuse_is_left_out_and_said() -> None:
    tags = {"good": {"literal": {"value": "x"}}, "empty": {"literal": {"value": ""}}, "": {"literal": {"value": "x"}}}
    changed = {
        "a": {"value": "request.host"},
        "b": {"value": "nope(1)"},
        "c": {"value": "size(x)%2"},
        "d": {"value": "'x'"},
    }
    spec = {
        "tracing": [{"randomSamplingPercentage": 101, "customTags": tags}],
        "metrics": [{"overrides": [{"tagOverrides": changed}]}],
        "accessLogging": [{"filter": {"expression": "response.code >="}}],
    }
    document = d.document("telemetry.istio.io/v1", "Telemetry", "t", spec=spec)
    l7, problems = only(document)
    found = l7.telemetry["shop/t"]
    assert (found.tracing[0].sampling, [tag.name for tag in found.tracing[0].tags]) == (100, ["good"])
    assert [tag.tag for tag in found.metrics[0].changes[0].tags] == ["a", "d"]
    assert [each.expression for each in found.logging] == [""]
    assert [path for _, path in problems] == [
        "spec.accessLogging[0].filter.expression",
        "spec.metrics[0].overrides[0].tagOverrides[b]",
        "spec.metrics[0].overrides[0].tagOverrides[c]",
        "spec.tracing[0].customTags[]",
        "spec.tracing[0].customTags[empty]",
        "spec.tracing[0].randomSamplingPercentage",
    ]


def test_telemetry_of_the_root_namespace_with_a_selector_is_about_its_own_pods() -> None:
    def telemetry(namespace: str) -> d.Document:
        spec = {"selector": {"matchLabels": {"app": "web"}}, "tracing": [{"randomSamplingPercentage": 7}]}
        return d.document("telemetry.istio.io/v1", "Telemetry", "own", namespace, spec=spec)

    web = w.sidecar_pod("web", "10.0.0.1", labels={"app": "web"})
    for namespace, wanted in (("istio-system", []), ("shop", [7, 7])):
        found = w.seen_by(w.world(web, telemetry(namespace))[0], "web").enforced.telemetry.tracing
        assert [each.sampling for each in found] == wanted


def test_additions_are_chosen_and_ordered() -> None:
    def patch(name: str, namespace: str, priority: int, context: str = "SIDECAR_INBOUND") -> d.Document:
        change = {
            "applyTo": "HTTP_FILTER",
            "match": {"context": context},
            "patch": {"operation": "INSERT_FIRST", "value": {"name": name}},
        }
        return w.istio("EnvoyFilter", name, namespace, priority=priority, configPatches=[change])

    def plugin(name: str, priority: int) -> d.Document:
        spec = {"url": "file:///x.wasm", "priority": priority, "phase": "AUTHN"}
        return d.document("extensions.istio.io/v1alpha1", "WasmPlugin", name, spec=spec)

    mesh, problems = w.world(
        patch("late", "shop", 5),
        patch("early", "shop", -5),
        patch("root", "istio-system", 5),
        patch("edge", "shop", 0, "GATEWAY"),
        plugin("low", 1),
        plugin("high", 9),
        w.sidecar_pod("web", "10.0.0.1"),
    )
    assert problems == ()
    enforced = w.seen_by(mesh, "web").enforced
    assert [p.name for p in enforced.patches] == ["early", "root", "late"]
    assert [(p.name, p.phase) for p in enforced.plugins] == [("high", "authn"), ("low", "authn")]

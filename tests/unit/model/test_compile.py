from __future__ import annotations

from typing import Any

import pytest

from kit import documents as d
from plait.model.compile import compile
from plait.model.index import index_of
from plait.model.mesh import Mesh, Port, Workload
from plait.model.modes import wanted_mode
from plait.model.policies import Account, Group, Match, Policy, Range, Rule, Text
from plait.resources.objects import Objects, from_documents
from plait.resources.problems import Problem

STRICT = "istio-system/istio_converted_static_strict"
PLAINTEXT = Rule((Match(not_principals=(Text("presence"),)),))


def compiled(*documents: dict[str, Any]) -> tuple[Mesh, tuple[Problem, ...]]:
    objects, problems = from_documents(documents, check=False)
    assert not problems
    return compile(objects)


def only_workload(*documents: dict[str, Any]) -> Workload:
    (workload,) = compiled(*documents)[0].workloads.values()
    return workload


def only_policy(document: dict[str, Any]) -> tuple[Policy | None, list[str]]:
    mesh, problems = compiled(document)
    key = f"{document['metadata']['namespace']}/{document['metadata']['name']}"
    return mesh.policies.get(key), [p.code for p in problems]


def test_only_the_verified_capture_annotation_makes_a_pod_speak_hbone() -> None:
    assert only_workload(d.pod("a", "10.0.0.1")).tunnel == "hbone"
    labelled = d.pod("a", "10.0.0.1", captured=False, labels={"istio.io/dataplane-mode": "ambient"})
    assert only_workload(labelled).tunnel == "none"
    native = only_workload(d.pod("a", "10.0.0.1", captured=False, labels={"networking.istio.io/tunnel": "http"}))
    assert (native.tunnel, native.native_tunnel) == ("hbone", True)


def test_a_pod_on_the_host_network_never_tunnels() -> None:
    workload = only_workload(d.pod("a", "10.0.0.1", spec={"hostNetwork": True}))
    assert (workload.tunnel, workload.host_network) == ("none", True)


def test_a_pod_that_ended_or_has_no_address_is_no_workload() -> None:
    assert not compiled(d.pod("a", "10.0.0.1", phase="Succeeded"), d.pod("b", ""))[0].workloads


def test_workload_name_and_canonical_service_come_from_owner_and_labels() -> None:
    owner = [{"kind": "ReplicaSet", "name": "cart-5d9", "controller": True}]
    workload = only_workload(
        d.pod(
            "cart-5d9-x",
            "10.0.0.1",
            labels={"pod-template-hash": "5d9", "app": "cart", "version": "v2"},
            ownerReferences=owner,
        )
    )
    assert (workload.workload_name, workload.workload_type) == ("cart", "deployment")
    assert (workload.canonical_name, workload.canonical_revision) == ("cart", "v2")


def test_a_service_is_backed_by_the_pods_it_selects_through_named_ports() -> None:
    port = {"containers": [{"name": "c", "ports": [{"name": "web", "containerPort": 9000, "protocol": "TCP"}]}]}
    mesh, _ = compiled(
        d.pod("a", "10.0.0.1", labels={"app": "cart"}, spec=port),
        d.pod("b", "10.0.0.2", labels={"app": "other"}),
        d.pod("c", "10.0.0.3", "elsewhere", labels={"app": "cart"}),
        d.service("cart", "10.1.0.1", target="web"),
    )
    assert list(mesh.services) == ["shop/cart.shop.svc.cluster.local"]
    members = {w.name: w.services for w in mesh.workloads.values()}
    (membership,) = members["a"]
    assert (membership.service, membership.ports) == ("shop/cart.shop.svc.cluster.local", (Port(80, 9000, "http11"),))
    assert members["b"] == members["c"] == ()


@pytest.mark.parametrize("how", [{"ready": False}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}])
def test_a_pod_that_is_not_ready_or_going_is_unhealthy(how: dict[str, Any]) -> None:
    assert only_workload(d.pod("a", "10.0.0.1", **how)).status == "unhealthy"


def test_strict_is_attached_by_mesh_namespace_or_workload_and_the_nearest_wins() -> None:
    labelled = d.pod("a", "10.0.0.1", labels={"app": "a"})
    root = d.peers("default", "STRICT", "istio-system")
    assert only_workload(labelled, root).policies == (STRICT,)
    assert only_workload(labelled, root, d.peers("ns", "PERMISSIVE")).policies == ()
    own = d.peers("own", "STRICT", spec={"selector": {"matchLabels": {"app": "a"}}})
    assert only_workload(labelled, root, d.peers("ns", "PERMISSIVE"), own).policies == (STRICT,)
    assert only_workload(labelled, root, d.peers("ns", "UNSET")).policies == (STRICT,)


def test_with_a_selector_the_root_namespace_binds_nobody_and_says_so() -> None:
    root = d.peers("default", "STRICT", "istio-system")
    own = d.peers("own", "PERMISSIVE", "istio-system", spec={"selector": {"matchLabels": {"app": "a"}}})
    mesh, problems = compiled(d.pod("a", "10.0.0.1", "istio-system", labels={"app": "a"}), root, own)
    assert [w.policies for w in mesh.workloads.values()] == [(STRICT,)]
    assert [(mode.mode, mode.ports) for mode in mesh.l7.peer_modes.values()] == [("strict", ())]
    assert [(p.code, p.name, p.path) for p in problems] == [("PLT0301", "own", "spec.selector")]


def test_a_permissive_port_of_a_strict_workload_is_an_exception_of_the_deny() -> None:
    selector = {"selector": {"matchLabels": {"app": "a"}}, "portLevelMtls": {"9000": {"mode": "PERMISSIVE"}}}
    mesh, _ = compiled(d.pod("a", "10.0.0.1", labels={"app": "a"}), d.peers("own", "STRICT", spec=selector))
    name = "shop/converted_peer_authentication_own"
    assert next(iter(mesh.workloads.values())).policies == (name,)
    assert mesh.policies[name].groups == (Group((PLAINTEXT, Rule((Match(not_destination_ports=(9000,)),)))),)


def test_a_strict_port_of_a_permissive_workload_denies_plaintext_there_only() -> None:
    selector = {"selector": {"matchLabels": {"app": "a"}}, "portLevelMtls": {"9000": {"mode": "STRICT"}}}
    mesh, _ = compiled(d.peers("own", "PERMISSIVE", spec=selector))
    policy = mesh.policies["shop/converted_peer_authentication_own"]
    assert (policy.action, policy.scope) == ("deny", "workload")
    assert policy.groups == (Group((Rule((Match(not_principals=(Text("presence"),), destination_ports=(9000,)),)),)),)


def test_l4_attributes_become_clauses_that_must_all_hold() -> None:
    rule = {
        "from": [
            {"source": {"principals": ["cluster.local/ns/shop/sa/a"], "ipBlocks": ["10.0.0.0/8"]}},
            {"source": {"namespaces": ["b*"]}},
        ],
        "to": [{"operation": {"ports": ["80"]}}],
        "when": [{"key": "destination.port", "notValues": ["90"]}],
    }
    policy, problems = only_policy(d.allow("p", [rule]))
    assert policy is not None
    assert problems == []
    assert policy.groups == (
        Group(
            (
                Rule((Match(destination_ports=(80,)),)),
                Rule(
                    (
                        Match(
                            principals=(Text("exact", "cluster.local/ns/shop/sa/a"),),
                            source_ips=(Range("10.0.0.0", 8),),
                        ),
                        Match(namespaces=(Text("prefix", "b"),)),
                    )
                ),
                Rule((Match(not_destination_ports=(90,)),)),
            )
        ),
    )


def test_an_allow_rule_with_http_attributes_allows_nobody_at_l4() -> None:
    rule = {"from": [{"source": {"namespaces": ["a"]}}], "to": [{"operation": {"methods": ["GET"]}}]}
    policy, problems = only_policy(d.allow("p", [rule]))
    assert policy is not None
    assert (policy.action, policy.groups, problems) == ("allow", (), ["PLT0313"])


def test_a_deny_rule_loses_its_http_attributes_and_a_guard_denies_what_it_then_misses() -> None:
    rule = {
        "from": [{"source": {"namespaces": ["a"]}}],
        "to": [{"operation": {"methods": ["GET"]}}, {"operation": {"ports": ["80"]}}],
    }
    mesh, problems = compiled(d.allow("p", [rule], action="DENY"))
    source = Rule((Match(namespaces=(Text("exact", "a"),)),))
    assert mesh.policies["shop/p"].groups == (Group((Rule((Match(), Match(destination_ports=(80,)))), source)),)
    assert mesh.policies["shop/plait_guard_L4_p"].groups == (Group((source,)),)
    assert [p.code for p in problems] == ["PLT0315"]


def test_a_deny_rule_that_only_loses_what_made_it_narrower_needs_no_guard() -> None:
    rule = {"to": [{"operation": {"methods": ["GET"], "ports": ["80"]}}]}
    mesh, problems = compiled(d.allow("p", [rule], action="DENY"))
    assert mesh.policies["shop/p"].groups == (Group((Rule((Match(destination_ports=(80,)),)),)),)
    assert ("shop/plait_guard_L4_p" in mesh.policies, [p.code for p in problems]) == (False, ["PLT0315"])


def at_l4(codes: list[str]) -> list[str]:
    return [code for code in codes if code.startswith("PLT03")]


@pytest.mark.parametrize(
    ("action", "codes"), [("DENY", ["PLT0314"]), ("CUSTOM", ["PLT0311", "PLT0314"])], ids=["deny", "custom"]
)
def test_what_only_an_http_proxy_could_refuse_is_refused_altogether_at_l4(action: str, codes: list[str]) -> None:
    """Istio's own reading of it has no effect, or there is none; the guard beside it denies everybody."""
    rule = {"to": [{"operation": {"paths": ["/admin"]}}]}
    mesh, problems = compiled(d.allow("p", [rule], action=action))
    own, guard = mesh.policies.get("shop/p"), mesh.policies["shop/plait_guard_L4_p"]
    assert (own.groups if own else None) == ((Group((Rule((Match(),)),)),) if action == "DENY" else None)
    assert (guard.action, guard.scope, guard.groups) == ("deny", "namespace", (Group(()),))
    assert at_l4([p.code for p in problems]) == codes


def test_what_an_authorizer_would_be_asked_about_is_denied_at_l4_and_nothing_else() -> None:
    mesh, problems = compiled(d.allow("p", [{"to": [{"operation": {"ports": ["80"]}}]}], action="CUSTOM"))
    policy = mesh.policies["shop/plait_guard_L4_p"]
    assert (policy.action, at_l4([p.code for p in problems])) == ("deny", ["PLT0311"])
    assert policy.groups == (Group((Rule((Match(destination_ports=(80,)),)),)),)
    assert "shop/p" not in mesh.policies


def test_a_guard_is_attached_wherever_its_policy_is_and_no_trial_run_refuses() -> None:
    rule, selector = {"to": [{"operation": {"paths": ["/admin"]}}]}, {"selector": {"matchLabels": {"app": "a"}}}
    trial = {"istio.io/dry-run": "true"}
    mesh, _ = compiled(
        d.allow("p", [rule], action="DENY", spec=selector),
        d.allow("q", [rule], action="DENY", annotations=trial),
        d.pod("a", "10.0.0.1", labels={"app": "a"}),
        d.pod("b", "10.0.0.2", labels={"app": "b"}),
    )
    attached = {each.name: each.policies for each in mesh.workloads.values()}
    assert attached == {"a": ("shop/p", "shop/plait_guard_L4_p"), "b": ()}
    assert mesh.policies["shop/plait_guard_L4_q"].dry_run


@pytest.mark.parametrize(
    ("source", "own", "guard"),
    [
        ({"trustDomains": ["evil"]}, Match(), Match(principals=(Text("prefix", "evil/"),))),
        ({"notTrustDomains": ["evil"]}, Match(), Match(not_principals=(Text("prefix", "evil/"),))),
        ({"principals": ["a"], "trustDomains": ["evil"]}, Match(principals=(Text("exact", "a"),)), None),
    ],
)
def test_a_trust_domain_has_no_field_of_its_own_so_a_guard_tests_it_as_part_of_the_principal(
    source: dict[str, Any], own: Match, guard: Match | None
) -> None:
    mesh, _ = compiled(d.allow("p", [{"from": [{"source": source}]}], action="DENY"))
    assert mesh.policies["shop/p"].groups == (Group((Rule((own,)),)),)
    guarding = mesh.policies.get("shop/plait_guard_L4_p")
    assert (guarding.groups if guarding else None) == ((Group((Rule((guard,)),)),) if guard else None)


def test_an_account_without_a_namespace_is_one_of_the_policys() -> None:
    policy, _ = only_policy(d.allow("p", [{"from": [{"source": {"serviceAccounts": ["a", "other/b"]}}]}]))
    assert policy is not None
    assert policy.groups[0].rules[0].matches[0].accounts == (Account("shop", "a"), Account("other", "b"))


@pytest.mark.parametrize(
    "rule",
    [
        {"from": [{"source": {"ipBlocks": ["300.0.0.0/8"]}}]},
        {"from": [{"source": {}}]},
        {"to": [{"operation": {"ports": ["http"]}}]},
        {"when": [{"key": "source.ip"}]},
    ],
)
def test_a_value_that_means_nothing_never_widens_an_allow(rule: dict[str, Any]) -> None:
    policy, problems = only_policy(d.allow("p", [rule]))
    assert policy is not None
    assert (policy.groups, problems) == ((), ["PLT0312"])


def test_a_deny_of_which_nothing_can_be_read_denies_everybody() -> None:
    unreadable = {"from": [{"source": {"ipBlocks": ["300.0.0.0/8"]}}]}
    mesh, problems = compiled(d.allow("p", [unreadable], action="DENY"))
    guard = mesh.policies["shop/plait_guard_L4_p"]
    assert (guard.groups, [p.code for p in problems]) == ((Group(()),), ["PLT0312"])


def test_an_empty_rule_allows_everybody_and_no_rules_nobody() -> None:
    everybody, _ = only_policy(d.allow("p", [{}]))
    nobody, _ = only_policy(d.allow("p", []))
    assert everybody is not None
    assert nobody is not None
    assert everybody.groups == (Group(()),)
    assert nobody.groups == ()


def test_scope_follows_selector_and_root_namespace() -> None:
    selector = {"selector": {"matchLabels": {"app": "a"}}}
    mesh, _ = compiled(
        d.allow("ns", []),
        d.allow("root", [], "istio-system"),
        d.allow("own", [], spec=selector),
        d.allow("rooted", [], "istio-system", spec=selector),
        d.pod("a", "10.0.0.1", labels={"app": "a"}),
    )
    assert {p.name: p.scope for p in mesh.policies.values() if "converted" not in p.name} == {
        "ns": "namespace",
        "root": "mesh",
        "own": "workload",
        "rooted": "workload",
    }
    assert next(iter(mesh.workloads.values())).policies == ("istio-system/rooted", "shop/own")


def test_policies_for_waypoints_and_other_actions_are_not_the_node_proxys() -> None:
    targeted = d.allow("t", [], spec={"targetRefs": [{"kind": "Service", "group": "", "name": "x"}]})
    assert only_policy(targeted)[0] is None
    assert only_policy(d.allow("c", [], action="AUDIT")) == (None, ["PLT0311"])


def test_a_dry_run_policy_is_marked() -> None:
    policy, _ = only_policy(d.allow("p", [], annotations={"istio.io/dry-run": "true"}))
    assert policy is not None
    assert policy.dry_run


def test_service_entries_and_workload_entries_are_services_and_workloads() -> None:
    entry = d.document(
        "networking.istio.io/v1",
        "ServiceEntry",
        "db",
        spec={
            "hosts": ["db.example"],
            "addresses": ["192.0.2.1"],
            "ports": [{"number": 5432, "name": "tcp", "protocol": "TCP"}],
            "resolution": "STATIC",
            "workloadSelector": {"labels": {"app": "db"}},
        },
    )
    vm = d.document(
        "networking.istio.io/v1", "WorkloadEntry", "vm", spec={"address": "192.0.2.9", "labels": {"app": "db"}}
    )
    bad = d.document("networking.istio.io/v1", "WorkloadEntry", "bad", spec={"address": "vm.example"})
    mesh, problems = compiled(entry, vm, bad)
    (workload,) = mesh.workloads.values()
    assert workload.uid == "Kubernetes/networking.istio.io/WorkloadEntry/shop/vm"
    assert [(m.service, m.ports) for m in workload.services] == [("shop/db.example", (Port(5432, 5432, "tcp"),))]
    assert [(p.code, p.name) for p in problems] == [("PLT0321", "bad")]


def chosen(resolution: str = "STATIC", **more: Any) -> dict[str, Any]:
    spec = {
        "hosts": ["db.example"],
        "ports": [{"number": 5432, "targetPort": 15432, "name": "tcp", "protocol": "TCP"}],
        "resolution": resolution,
        "workloadSelector": {"labels": {"app": "db"}},
        **more,
    }
    return d.document("networking.istio.io/v1", "ServiceEntry", "db", spec=spec)


def entry(name: str, /, annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    spec = {"labels": {"app": "db"}, **spec}
    return d.document("networking.istio.io/v1", "WorkloadEntry", name, spec=spec, annotations=annotations or {})


def test_a_service_entry_chooses_pods_of_its_namespace_too() -> None:
    mesh, _ = compiled(
        chosen(),
        d.pod("a", "10.0.0.1", labels={"app": "db"}),
        d.pod("b", "10.0.0.2", labels={"app": "x"}),
        d.pod("c", "10.0.0.3", "elsewhere", labels={"app": "db"}),
    )
    members = {w.name: [(m.service, m.ports) for m in w.services] for w in mesh.workloads.values()}
    assert members == {"a": [("shop/db.example", (Port(5432, 15432, "tcp"),))], "b": [], "c": []}


def test_a_name_is_a_workload_where_a_service_that_looks_names_up_chooses_it() -> None:
    vm = entry("vm", address="DB.internal.", ports={"tcp": 6432})
    mesh, problems = compiled(chosen("DNS"), vm)
    (workload,) = mesh.workloads.values()
    assert (workload.hostname, workload.addresses, problems) == ("db.internal", (), ())
    assert workload.services[0].ports == (Port(5432, 6432, "tcp"),)
    assert [p.code for p in compiled(chosen("STATIC"), vm)[1]] == ["PLT0321"]


def test_behind_a_service_a_workload_entry_serves_the_target_ports() -> None:
    ports = [
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": "grpc", "port": 90, "targetPort": "rpc"},
        {"name": "tcp", "port": 70, "targetPort": "absent"},
    ]
    vm = entry("vm", address="192.0.2.9", ports={"rpc": 9090, "http": 1})
    mesh, _ = compiled(d.service("db", "10.1.0.1", spec={"ports": ports}), vm)
    (workload,) = mesh.workloads.values()
    assert workload.services[0].ports == (Port(80, 8080, "http11"), Port(90, 9090, "grpc"))


def test_a_label_or_the_group_it_registered_with_names_what_a_workload_is_one_of() -> None:
    named = {"app": "db", "service.istio.io/workload-name": "store"}
    group = {"istio.io/autoRegistrationGroup": "vms"}
    mesh, _ = compiled(
        d.pod("a", "10.0.0.1", labels=named),
        entry("b", address="192.0.2.1", labels={"service.istio.io/workload-name": "store"}),
        entry("c", group, address="192.0.2.2", labels=named),
    )
    found = {w.name: (w.workload_name, w.canonical_name) for w in mesh.workloads.values()}
    assert found == {"a": ("store", "db"), "b": ("store", "store"), "c": ("vms", "db")}


def test_traffic_distribution_is_the_specs_then_the_annotations_then_the_namespaces() -> None:
    key = "networking.istio.io/traffic-distribution"
    namespace = d.document("v1", "Namespace", "shop", "", annotations={key: "PreferSameNode"})
    near = {"annotations": {key: "preferclose"}}
    node, zone = ("network", "region", "zone", "subzone", "node"), ("network", "region", "zone")

    def scopes(*documents: dict[str, Any]) -> tuple[str, ...]:
        (service,) = compiled(*documents)[0].services.values()
        return service.load_balancing.preference if service.load_balancing is not None else ()

    assert scopes(d.service("a", "10.1.0.1")) == ()
    assert scopes(d.service("a", "10.1.0.1"), namespace) == node
    assert scopes(d.service("a", "10.1.0.1", **near), namespace) == zone
    own = {"trafficDistribution": "PreferSameNode"}
    assert scopes(d.service("a", "10.1.0.1", spec=own, **near)) == node


def test_an_endpoint_nobody_knows_more_of_takes_no_pods_address() -> None:
    each = d.document(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        "db-1",
        labels={"kubernetes.io/service-name": "db"},
        addressType="IPv4",
        endpoints=[{"addresses": ["10.0.0.1"]}],
        ports=[{"name": "http", "port": 5432, "protocol": "TCP"}],
    )
    mesh, _ = compiled(d.service("db", "10.1.0.2", spec={"selector": {}}), each, d.pod("a", "10.0.0.1"))
    owner = index_of(mesh).workload("10.0.0.1")
    assert owner is not None and owner.uid == "Kubernetes//Pod/shop/a"


def test_a_hand_written_slice_makes_endpoints() -> None:
    each = d.document(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        "db-1",
        labels={"kubernetes.io/service-name": "db"},
        addressType="IPv4",
        endpoints=[
            {"addresses": ["192.0.2.7"]},
            {"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "a"}},
        ],
        ports=[{"name": "http", "port": 5432, "protocol": "TCP"}],
    )
    service, pod = d.service("db", "10.1.0.2", spec={"selector": {}}), d.pod("a", "10.0.0.1")
    mesh, _ = compiled(service, each, pod)
    found = {w.addresses: (w.uid, [m.ports for m in w.services]) for w in mesh.workloads.values()}
    ports = [(Port(80, 5432, "http11"),)]
    assert found == {
        ("192.0.2.7",): ("Kubernetes/discovery.k8s.io/EndpointSlice/shop/db-1/192.0.2.7", ports),
        ("10.0.0.1",): ("Kubernetes//Pod/shop/a", ports),
    }


def test_slices_of_a_service_with_a_selector_make_no_pod_a_member() -> None:
    each = d.document(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        "db-1",
        labels={"kubernetes.io/service-name": "db"},
        addressType="IPv4",
        endpoints=[{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "a"}}],
        ports=[{"name": "http", "port": 5432, "protocol": "TCP"}],
    )
    mesh, _ = compiled(d.service("db", "10.1.0.2", spec={"selector": {"app": "db"}}), each, d.pod("a", "10.0.0.1"))
    (workload,) = mesh.workloads.values()
    assert workload.services == (), "the pod's labels say so, before the slice is mended"


@pytest.mark.parametrize(
    ("pod", "annotations", "namespace", "host", "mode"),
    [
        ({}, {}, {"istio.io/dataplane-mode": "ambient"}, False, "ambient"),
        ({"istio.io/dataplane-mode": "ambient"}, {}, {}, False, "ambient"),
        ({"istio.io/dataplane-mode": "none"}, {}, {"istio.io/dataplane-mode": "ambient"}, False, "none"),
        ({}, {"sidecar.istio.io/status": "{}"}, {"istio.io/dataplane-mode": "ambient"}, False, "sidecar"),
        ({}, {}, {"istio.io/dataplane-mode": "ambient"}, True, "none"),
        ({}, {}, {}, False, "none"),
    ],
)
def test_wanted_mode(
    pod: dict[str, str], annotations: dict[str, str], namespace: dict[str, str], host: bool, mode: str
) -> None:
    assert wanted_mode(pod, annotations, namespace, host) == mode


def test_a_pod_that_did_not_change_backs_what_begins_to_select_or_list_it_and_is_where_its_node_is() -> None:
    pod = d.pod("a-1", "10.0.0.1", labels={"app": "a"})
    listed = d.service("b", "10.1.0.2", spec={"selector": {}})
    listing = d.document(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        "b-1",
        labels={"kubernetes.io/service-name": "b"},
        addressType="IPv4",
        ports=[{"name": "http", "port": 8080}],
        endpoints=[{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": "a-1"}}],
    )
    zone = d.document("v1", "Node", "n1", "", labels={"topology.kubernetes.io/zone": "z"})
    written = [pod, d.service("a", "10.1.0.1"), zone, listed, listing]
    mesh, objects = Mesh(), Objects()
    for each in written:
        objects = objects.with_(*from_documents([each], check=False)[0])
        mesh, _ = compile(objects, mesh)
        assert mesh == compile(objects)[0]
    read_again, _ = from_documents(written[:2], check=False)  # equal, and other objects
    assert compile(read_again, mesh)[0] == compile(read_again)[0]
    (found,) = mesh.workloads.values()
    assert [each.service.partition(".")[0] for each in found.services] == ["shop/a", "shop/b"]
    assert found.locality is not None and found.locality.zone == "z"

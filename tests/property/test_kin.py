"""Sidecars of one kin are told the same as each would be told alone, at every step of a changing mesh."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kit import documents as d
from kit import worlds as w
from plait.app.asked import View, said
from plait.app.kins import Kins
from plait.envoy.l7.options import Options
from plait.envoy.l7.parts import Parts
from plait.model.compile import compile
from plait.model.mesh import Mesh
from plait.model.proxies import Proxy
from plait.model.views import outbound_projection
from plait.model.views.asking import proxy_of
from plait.model.views.kin import kin
from plait.resources.decode import decode
from plait.resources.meta import Resource
from plait.resources.objects import Objects, key_of

name = st.sampled_from(["x", "y", "z"])
where = st.sampled_from(["shop", "other"])
labels = st.sampled_from([{"app": "x"}, {"app": "x", "tier": "b"}, {"app": "y", "tier": "b"}])


def typed(document: dict[str, Any]) -> Resource:
    each, problems = decode(document)
    assert each is not None, problems
    return each


def sidecar(number: int, app: dict[str, str], namespace: str, node: str) -> dict[str, Any]:
    found = w.sidecar_pod(f"p{number}", f"10.0.{number}.1")
    found["metadata"] |= {"namespace": namespace, "labels": {**found["metadata"].get("labels", {}), **app}}
    found["spec"]["nodeName"] = node
    return found


def service(named: str, namespace: str, number: int, port: str, distribution: str) -> dict[str, Any]:
    found = d.service(named, f"10.1.0.{number}", namespace)
    found["spec"]["ports"] = [{"name": port, "port": 80}]
    found["spec"]["selector"] = {"app": named}
    return found if not distribution else {**found, "spec": {**found["spec"], "trafficDistribution": distribution}}


def to(host: str) -> dict[str, Any]:
    return {"route": [{"destination": {"host": host}}]}


asks = st.sampled_from([{}, {"sourceLabels": {"tier": "b"}}, {"sourceNamespace": "other"}])
virtual = st.builds(
    lambda n, ns, asked, host, far, tcp: w.istio(
        "VirtualService", n, ns, hosts=[host],
        http=[{"match": [{"uri": {"prefix": "/a"}, **asked}], **to(far)}, to(host)],
        tcp=[{"match": [{"port": 80, "sourceSubnet": "10.0.1.0/24"}], **to(far)}] if tcp else [],
    ),
    name, where, asks, name, name, st.booleans(),
)  # fmt: skip
balancing = st.sampled_from([{}, {"localityLbSetting": {"failoverPriority": ["tier"]}}])
rule = st.builds(
    lambda n, ns, host, chosen, lb: w.istio(
        "DestinationRule", n, ns, host=host,
        trafficPolicy={"outlierDetection": {"interval": "5s"}, **({"loadBalancer": lb} if lb else {})},
        **({"workloadSelector": {"matchLabels": chosen}} if chosen else {}),
    ),
    name, where, name, st.sampled_from([{}, {"tier": "b"}]), balancing,
)  # fmt: skip
scope = st.builds(
    lambda n, ns, chosen, hosts: w.istio(
        "Sidecar", n, ns, egress=[{"hosts": hosts}], **({"workloadSelector": {"labels": chosen}} if chosen else {})
    ),
    name, where, st.sampled_from([{}, {"app": "y"}]), st.sampled_from([["./*"], ["*/*"]]),
)  # fmt: skip
pod = st.builds(sidecar, st.integers(1, 4), labels, where, st.sampled_from(["node-1", "node-2"]))
offered = st.builds(
    service, name, where, st.integers(1, 4), st.sampled_from(["http", "tcp", "unnamed"]),
    st.sampled_from(["", "PreferSameNode"]),
)  # fmt: skip
alias = st.builds(
    lambda n, ns, of: {
        **d.document("v1", "Service", f"alias-{n}", ns),
        "spec": {"type": "ExternalName", "externalName": f"{of}.shop.svc.cluster.local",
                 "ports": [{"name": "http", "port": 80}]},
    },
    name, where, name,
)  # fmt: skip
policy = st.builds(lambda n, ns: d.allow(n, [{"to": [{"operation": {"paths": ["/a"]}}]}], ns), name, where)
objects = st.one_of(virtual, rule, scope, pod, pod, offered, offered, alias, policy).map(typed)
steps = st.lists(st.tuples(st.booleans(), objects), max_size=16)


def sidecars(mesh: Mesh) -> list[Proxy]:
    found = (proxy_of(mesh, uid, "sidecar") for uid in sorted(mesh.l7.instances))
    return [proxy for proxy in found if proxy is not None]


@given(st.lists(objects, max_size=20))
@settings(max_examples=150, deadline=None)
def test_who_stands_for_a_kin_calls_what_each_of_it_would_call(found: list[Resource]) -> None:
    mesh, _ = compile(Objects().with_(*found))
    for proxy in sidecars(mesh):
        own, kins = (outbound_projection.project(mesh, each) for each in (proxy, kin(mesh, proxy)))
        for field in own.__struct_fields__:
            assert field == "proxy" or getattr(own, field) == getattr(kins, field), (proxy, field)


@given(steps, st.sampled_from([Options(), Options(eager=0)]))
@settings(max_examples=100, deadline=None)
def test_what_is_made_once_for_all_and_step_by_step_is_what_each_would_be_told(
    steps: list[tuple[bool, Resource]], options: Options
) -> None:
    world, mesh, kins = Objects(), Mesh(), Kins(options)
    before: dict[str, tuple[View, Parts]] = {}
    told: dict[str, object] = {}
    for remove, each in steps:
        world = world.without(key_of(each)) if remove else world.with_(each)
        mesh, _ = compile(world, mesh)
        full, _ = compile(world)
        for proxy in sidecars(mesh):
            view, parts = before.get(proxy.uid, (None, Parts()))
            if view is not None and view.proxy != proxy:
                view = None
            view, made = said(mesh, proxy, view, parts, options, kins)
            before[proxy.uid] = view, parts
            if made is not None:
                told[proxy.uid] = made.bundle.types, sorted(map(str, made.problems))
            _, alone = said(full, proxy, options=options)
            assert alone is not None
            assert told[proxy.uid] == (alone.bundle.types, sorted(map(str, alone.problems))), proxy
        kins.keep(mesh)

"""L7 does not depend on the order of writes; incremental equals full; a broken object removes nobody else."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit import documents as d
from kit import worlds as w
from plait.envoy.l7.bundle import encode
from plait.envoy.l7.parts import Parts
from plait.envoy.roles import waypoint as waypoint_role
from plait.model.compile import compile
from plait.model.l7 import L7
from plait.model.mesh import Mesh
from plait.model.views import gateway_projection, sidecar_projection, waypoint_projection
from plait.model.views.asking import proxy_of
from plait.resources.decode import decode
from plait.resources.meta import Resource
from plait.resources.objects import Objects, key_of

name = st.sampled_from(["x", "y", "z"])
where = st.sampled_from(["shop", "other"])
when = st.sampled_from(["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"])


def typed(document: dict[str, Any]) -> Resource:
    each, problems = decode(document)
    assert each is not None, problems
    return each


def dated(document: dict[str, Any], created: str) -> dict[str, Any]:
    document["metadata"]["creationTimestamp"] = created
    return document


def to(host: str, subset: str) -> dict[str, Any]:
    return {"route": [{"destination": {"host": host, "subset": subset}}]}


match = st.sampled_from([[], [{"uri": {"prefix": "/a"}}], [{"uri": {"regex": "("}}], [{"sourceLabels": {"app": "x"}}]])
http = st.builds(lambda m, h, s: {"match": m, **to(h, s)}, match, name, st.sampled_from(["", "v1", "gone"]))
delegating = st.builds(lambda n: {"delegate": {"name": n}}, name)
host = st.sampled_from(["x", "y", "z", "*.shop.svc.cluster.local", "x.other.svc.cluster.local", "*"])
exported = st.sampled_from([[], ["."], ["*"], ["other"], ["~"]])
bound = st.sampled_from([[], [], ["mesh"], ["edge"], ["mesh", "gone"]])
virtual = st.builds(
    lambda n, ns, rules, hosts, to, through, t: dated(
        w.istio("VirtualService", n, ns, hosts=hosts, http=rules, exportTo=to, gateways=through), t
    ),
    name, where, st.lists(st.one_of(http, delegating), max_size=2), st.lists(host, max_size=2), exported, bound, when,
)  # fmt: skip
subsets = st.sampled_from([[], [{"name": "v1", "labels": {"app": "x"}}], [{"name": "v1"}, {"name": "v1"}]])
rule = st.builds(
    lambda n, ns, h, s, to, t: dated(w.istio("DestinationRule", n, ns, host=h, subsets=s, exportTo=to), t),
    name, where, host, subsets, exported, when,
)  # fmt: skip
seen = st.sampled_from([["./*"], ["shop/*"], ["*/x.shop.svc.cluster.local"], ["other/*", "./y.shop.svc.cluster.local"]])
sidecar = st.builds(lambda n, ns, h: w.istio("Sidecar", n, ns, egress=[{"hosts": h}]), name, where, seen)
service = st.builds(
    lambda n, ns, i, use: d.service(n, f"10.1.0.{i}", ns, labels={"istio.io/use-waypoint": use}),
    name, where, st.integers(1, 4), st.sampled_from(["none", "wp"]),
)  # fmt: skip
pod = st.builds(
    lambda n, ns, i, a, m: d.pod(n, f"10.0.0.{i}", ns, captured=m, labels=a),
    name, where, st.integers(1, 4),
    st.sampled_from([{"app": "x"}, {"gateway.networking.k8s.io/gateway-name": "edge"},
                     {"gateway.networking.k8s.io/gateway-name": "wp"}]),
    st.booleans(),
)  # fmt: skip
gateway = st.one_of(
    st.builds(lambda ns: w.waypoint("wp", ns), where), st.builds(lambda ns: w.gateway("edge", ns), where)
)
parent = st.one_of(
    st.just({"name": "edge"}),
    st.builds(lambda n, ns: {"group": "", "kind": "Service", "name": n, "namespace": ns}, name, where),
)
route = st.builds(
    lambda n, ns, p, b, t: dated(
        w.api("HTTPRoute", n, ns, parentRefs=[p], rules=[{"backendRefs": [{"name": b, "port": 80}]}]), t
    ),
    name, where, parent, name, when,
)  # fmt: skip
targets = st.sampled_from([[], *([{"group": "", "kind": kind, "name": "x"}] for kind in ("Service", "Pod"))])
paths = [{"to": [{"operation": {"paths": ["/a"]}}]}]
policy = st.builds(lambda n, ns, t: d.allow(n, paths, ns, spec={"targetRefs": t}), name, where, targets)
objects = st.one_of(virtual, virtual, rule, service, pod, gateway, route, policy, sidecar).map(typed)


def views(mesh: Mesh) -> list[Any]:
    """What every workload would be told."""
    found: list[Any] = []
    projections = {"sidecar": sidecar_projection, "gateway": gateway_projection, "waypoint": waypoint_projection}
    for uid in sorted(mesh.l7.instances):
        proxy = proxy_of(mesh, uid)
        if proxy is not None:
            found.append(projections[proxy.role].project(mesh, proxy))
    return found


@given(st.lists(objects, max_size=14), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_any_order_of_the_same_writes_gives_the_same(found: list[Resource], rng: random.Random) -> None:
    world = Objects().with_(*found)
    unique = list(world)
    rng.shuffle(unique)
    mesh, problems = compile(world)
    again, same = compile(Objects().with_(*unique))
    assert (again.l7, same) == (mesh.l7, problems)
    assert views(again) == views(mesh)


def stepwise(steps: list[tuple[bool, Resource]]) -> None:
    """After each step what is compiled from the one before is what is compiled at once."""
    world, mesh = Objects(), Mesh()
    for remove, each in steps:
        world = world.without(key_of(each)) if remove else world.with_(each)
        before = mesh
        mesh, problems = compile(world, before)
        full, same = compile(world)
        assert (mesh.l7, problems) == (full.l7, same)
        for old, now, whole in [(getattr(each.l7, field) for each in (before, mesh, full)) for field in MAPPINGS]:
            assert [*now] == [*whole], "in the same order too"
            assert all(old.get(key) is value or old.get(key) != value for key, value in now.items())
        assert views(mesh) == views(full)
    mesh, _ = compile(world, mesh)
    assert compile(world, mesh)[0].l7 is mesh.l7


@given(st.lists(st.tuples(st.booleans(), objects), max_size=14))
@settings(max_examples=80, deadline=None)
def test_incremental_equals_full_at_every_step(steps: list[tuple[bool, Resource]]) -> None:
    stepwise(steps)


pair = st.sampled_from(["x", "y"])
leads = st.one_of(
    st.builds(to, pair, st.sampled_from(["", "v1", "v1"])), st.builds(lambda n: {"delegate": {"name": n}}, pair)
)
meeting = st.builds(
    lambda n, rules, hosts, through, t: dated(
        w.istio("VirtualService", n, "shop", hosts=hosts, http=rules, gateways=through), t
    ),
    pair, st.lists(leads, min_size=1, max_size=2),
    st.sampled_from([[], ["x"], ["x"], ["x", "*.shop.svc.cluster.local"]]),
    bound, when,
)  # fmt: skip
shared = st.builds(
    lambda n, h, s, to, t: dated(w.istio("DestinationRule", n, "shop", host=h, subsets=s, exportTo=to), t),
    pair, st.sampled_from(["x", "*.shop.svc.cluster.local"]), subsets, st.sampled_from([[], ["."]]), when,
)  # fmt: skip
backend = st.builds(lambda n: d.service(n, "10.1.0.1", "shop"), pair)
close = st.one_of(meeting, meeting, meeting, shared, shared, backend, st.just(w.gateway("edge", "shop"))).map(typed)


@given(st.lists(st.tuples(st.booleans(), close), max_size=12))
@settings(max_examples=250, deadline=None)
def test_so_it_is_where_routes_and_rules_of_few_hosts_meet_delegate_and_come_and_go(
    steps: list[tuple[bool, Resource]],
) -> None:
    stepwise([*((False, typed(d.service(each, f"10.1.0.{n}", "shop"))) for n, each in enumerate("xy", 1)), *steps])


MAPPINGS = [field for field in L7.__struct_fields__ if isinstance(getattr(L7(), field), Mapping)]
SHOP: list[Resource] = [
    typed(w.waypoint("wp", "shop")),
    typed(d.pod("wp-0", "10.0.0.9", "shop", captured=True, labels={"gateway.networking.k8s.io/gateway-name": "wp"})),
    *(
        typed(d.service(each, f"10.1.0.{n}", "shop", labels={"istio.io/use-waypoint": use}))
        for n, (each, use) in enumerate({"x": "wp", "y": "wp", "z": "none"}.items(), 1)
    ),
]
leading = st.builds(
    lambda p, b: w.api("HTTPRoute", "r", "shop", parentRefs=[{"group": "", "kind": "Service", "name": p}],
                       rules=[{"backendRefs": [{"name": b, "port": 80}]}]),
    st.sampled_from(["x", "y"]), name,
)  # fmt: skip
backing = st.builds(
    lambda n, i, x, y, account: d.pod(n, f"10.0.0.{i}", "shop", account=account, labels={"x": x, "y": y}),
    name, st.integers(1, 3), st.sampled_from(["", "1"]), st.sampled_from(["", "1"]), st.sampled_from(["a", "b"]),
)  # fmt: skip
selecting = st.builds(
    lambda n, port: d.service(n, f"10.1.0.{n == 'x'}", "shop", target=port, spec={"selector": {n: "1"}},
                              labels={"istio.io/use-waypoint": "wp"}),
    st.sampled_from(["x", "y"]), st.sampled_from([80, 8080]),
)  # fmt: skip
edits = st.one_of(
    leading, leading, route, virtual, rule, rule, policy, service, backing, backing, backing, selecting
).map(typed)


@given(st.lists(st.tuples(st.booleans(), edits), max_size=10))
@settings(max_examples=120, deadline=None)
def test_what_a_waypoint_is_told_step_by_step_is_what_it_is_told_at_once(steps: list[tuple[bool, Resource]]) -> None:
    world = Objects().with_(*SHOP)
    mesh, _ = compile(world)
    (uid,) = (uid for uid, each in mesh.l7.instances.items() if each.gateway)
    view, parts = None, Parts()
    for remove, each in [(False, SHOP[0]), *steps]:
        world = world.without(key_of(each)) if remove else world.with_(each)
        mesh, _ = compile(world, mesh)
        fresh, _ = compile(world)
        now, then = proxy_of(mesh, uid), proxy_of(fresh, uid)
        if now is None or then is None:
            return
        view = waypoint_projection.project(mesh, now, view)
        whole = waypoint_projection.project(fresh, then)
        assert view == whole
        assert encode(waypoint_role.build(view, parts=parts)) == encode(waypoint_role.build(whole))


regex = [{"match": [{"uri": {"regex": "("}}], **to("q", "")}]
tunnel = {"tunnel": {"protocol": "?", "targetHost": "x", "targetPort": 1}}
server = {"port": {"number": 1, "name": "x", "protocol": "?"}, "hosts": ["*"]}
nobody = {"no": "body"}
unknown = [{"when": [{"key": "nothing", "values": ["x"]}]}]
broken = st.sampled_from(
    [
        w.istio("VirtualService", "bad", hosts=["elsewhere"], http=regex),
        w.istio("VirtualService", "bad", hosts=["elsewhere"], http=[{"delegate": {"name": "bad"}}]),
        w.istio("DestinationRule", "bad", host="elsewhere", trafficPolicy=tunnel),
        w.api("HTTPRoute", "bad", parentRefs=[{"name": "gone"}], rules=[{"filters": [{"type": "ExternalAuth"}]}]),
        w.istio("Gateway", "bad", selector={"a": "b"}, servers=[server]),
        w.istio("Sidecar", "bad", workloadSelector={"labels": nobody}, egress=[{"hosts": ["nonsense"]}]),
        d.allow("bad", unknown, spec={"selector": {"matchLabels": nobody}}),
    ]
)


@given(st.lists(objects, max_size=10), broken)
@settings(max_examples=60, deadline=None)
@pytest.mark.reliability(number=26)
def test_a_broken_object_is_a_problem_and_changes_nobody_elses_configuration(
    found: list[Resource], bad: dict[str, Any]
) -> None:
    world = Objects().with_(*found)
    mesh, problems = compile(world)
    worse, more = compile(world.with_(typed(bad)))
    assert set(problems) < set(more)
    assert views(worse) == views(mesh)

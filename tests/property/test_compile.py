"""Incremental equals full, and the order of writes does not matter."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kit import documents as d
from kit import worlds
from plait.model.compile import compile
from plait.model.mesh import Mesh
from plait.model.views.node import NodeState, NodeView, PodState, project
from plait.resources.decode import decode
from plait.resources.meta import Resource
from plait.resources.objects import Objects, key_of
from plait.wds.encode import Encoded, encode

app = st.sampled_from(["a", "b"])
name = st.sampled_from(["x", "y", "z"])
where = st.sampled_from(["shop", "istio-system"])


def typed(document: dict[str, Any]) -> Resource:
    each, problems = decode(document)
    assert each is not None, problems
    return each


selector = st.sampled_from([{}, {"selector": {"matchLabels": {"app": "a"}}}])
pods = st.builds(
    lambda n, ns, i, label, ready, captured: d.pod(
        n, f"10.0.0.{i}", ns, labels={"app": label}, ready=ready, captured=captured
    ),
    name, where, st.integers(1, 3), app, st.booleans(), st.booleans(),
)  # fmt: skip
address = st.integers(1, 3)
port = st.integers(80, 81)
services = st.builds(lambda n, ns, i, p: d.service(n, f"10.1.0.{i}", ns, port=p), app, where, address, port)
from_shop = {"from": [{"source": {"namespaces": ["shop"]}}]}
rules = st.sampled_from([[], [{}], [from_shop], [{"to": [{"operation": {"ports": ["x"]}}]}]])
allows = st.builds(lambda n, r, ns, s: d.allow(n, r, ns, spec=s), name, rules, where, selector)
modes = st.sampled_from(["STRICT", "PERMISSIVE", "UNSET"])
peer = st.builds(lambda n, m, ns, s: d.peers(n, m, ns, spec=s), name, modes, where, selector)
use = st.sampled_from([{}, {"istio.io/use-waypoint": "a"}])
bound = st.builds(
    lambda n, ns, i, labels: d.service(n, f"10.1.0.{i}", ns, port=80, labels=labels), app, where, address, use
)
gateways = st.builds(
    lambda ns, word: worlds.waypoint("a", ns, labels={"istio.io/waypoint-for": word}),
    where,
    st.sampled_from(["service", "workload", "all"]),
)
spaces = st.builds(lambda n, labels: worlds.namespace(n, **labels), where, use)
listing = st.builds(  # pods of a slice are members where the Service selects none
    lambda n, ns, pod, to: d.document(
        "discovery.k8s.io/v1", "EndpointSlice", f"{n}-1", ns, labels={"kubernetes.io/service-name": n},
        addressType="IPv4", ports=[{"name": "http", "port": to}],
        endpoints=[{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": pod}}, {"addresses": ["10.9.0.1"]}],
    ),
    app, where, name, port,
)  # fmt: skip
listed = st.builds(lambda n, ns, i: d.service(n, f"10.1.0.{i}", ns, spec={"selector": {}}), app, where, address)
nodes = st.builds(
    lambda zone: d.document("v1", "Node", "n1", "", labels={"topology.kubernetes.io/zone": zone}), st.sampled_from("ab")
)
outside = st.builds(
    lambda n, ns, label: worlds.istio(
        "ServiceEntry", n, ns, hosts=[f"{n}.example"], resolution="STATIC",
        ports=[{"number": 80, "name": "http", "protocol": "HTTP"}], workloadSelector={"labels": {"app": label}},
    ),
    name, where, app,
)  # fmt: skip
entries = st.builds(
    lambda n, ns, label: worlds.istio("WorkloadEntry", n, ns, address="10.8.0.1", labels={"app": label}),
    name, where, app,
)  # fmt: skip
objects = st.one_of(
    pods,
    pods,
    pods,
    services,
    services,
    listed,
    listing,
    allows,
    peer,
    bound,
    gateways,
    spaces,
    nodes,
    outside,
    entries,
).map(typed)
steps = st.lists(st.tuples(st.booleans(), objects), max_size=25)


@given(steps)
@settings(max_examples=150, deadline=None)
def test_incremental_equals_full_at_every_step(steps: list[tuple[bool, Resource]]) -> None:
    world, mesh = Objects(), Mesh()
    encoded: Encoded | None = None
    view: NodeView | None = None
    node = NodeState("n1", (PodState("u", "shop", "x", "default", ("10.0.0.1",), "/run/netns/x"),))
    for remove, each in steps:
        world = world.without(key_of(each)) if remove else world.with_(each)
        before = mesh
        mesh, problems = compile(world, mesh)
        full, full_problems = compile(world)
        assert mesh == full
        assert problems == full_problems
        for part in ("workloads", "services", "policies"):
            old, new = getattr(before, part), getattr(mesh, part)
            assert (old is new) == (dict(old) == dict(new)), "equal worlds keep their identity"
            assert all(old[key] is value for key, value in new.items() if old.get(key) == value)
        encoded = encode(mesh, encoded)
        assert encoded.bundle == encode(full).bundle
        view = project(mesh, node, view)
        alone = project(full, node)
        assert view.local == alone.local
        for i in range(1, 4):
            for address in (f"10.0.0.{i}", f"10.1.0.{i}"):
                assert view.destination(address, 80) == alone.destination(address, 80)


@given(st.lists(objects, max_size=12, unique_by=key_of), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_any_order_of_the_same_writes_gives_the_same_mesh(written: list[Resource], order: random.Random) -> None:
    one = compile(Objects().with_(*written))
    shuffled = list(written)
    order.shuffle(shuffled)
    mesh = Mesh()
    world = Objects()
    problems = ()
    for each in shuffled:
        world = world.with_(each)
        mesh, problems = compile(world, mesh)
    assert (mesh, problems) == one or not written

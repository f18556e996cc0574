"""A session as a stock ztunnel has it, over gRPC, each message made and read by field number."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from kit import documents as d
from kit.fieldwire import each, inner, read, text
from kit.wds_client import ADDRESS, AUTHORIZATION, Stream, hello, subscribe
from plait.model.compile import compile
from plait.model.mesh import Membership, Mesh, NetworkAddress, Port, Service, Workload
from plait.model.policies import Group, Match, Policy, Rule, Text
from plait.resources.objects import from_documents
from plait.wds.encode import encode
from plait.xds.cache import Cache
from plait.xds.server import Peer, Server

SHOP = "shop/web.shop.svc.cluster.local"


def pod(number: int, **more: object) -> Workload:
    return Workload(
        f"Kubernetes//Pod/shop/web-{number}",
        name=f"web-{number}",
        namespace="shop",
        addresses=(f"10.0.0.{number}",),
        service_account="web",
        node="n1",
        tunnel="hbone",
        services=(Membership(SHOP, (Port(80, 8080, "http11"),)),),
        **more,
    )


def world(*pods: Workload, policies: tuple[Policy, ...] = ()) -> Mesh:
    service = Service(
        name="web",
        namespace="shop",
        hostname="web.shop.svc.cluster.local",
        addresses=(NetworkAddress("10.1.0.1"),),
        ports=(Port(80, 8080, "http11"),),
    )
    return Mesh(
        workloads={each.uid: each for each in pods},
        services={SHOP: service},
        policies={policy.key: policy for policy in policies},
    )


class Side:
    """The server, and what it says now."""

    def __init__(self, cache: Cache, channel: grpc.aio.Channel) -> None:
        self.cache, self.channel = cache, channel

    def say(self, mesh: Mesh) -> None:
        self.cache.set(encode(mesh).bundle)


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[Side]:
    cache = Cache()

    async def connect(peer: Peer, first: object) -> Cache:
        return cache

    server = Server(connect)
    await server.start(f"unix:{tmp_path}/wds.sock")
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/wds.sock") as channel:
        yield Side(cache, channel)
    await server.stop(0)


async def test_both_types_are_answered_though_empty_so_that_a_ztunnel_becomes_ready(side: Side) -> None:
    stream = Stream(side.channel)
    await stream.say(hello(ADDRESS))
    await stream.say(hello(AUTHORIZATION, node=False))
    heard = [await stream.hear(), await stream.hear()]
    assert {each.type_url for each in heard} == {ADDRESS, AUTHORIZATION}
    assert all(not each.resources and not each.removed and each.nonce for each in heard)


async def test_a_wildcard_hears_everything_by_number_and_then_only_changes(side: Side) -> None:
    side.say(world(pod(1), pod(2)))
    stream = Stream(side.channel)
    await stream.say(hello(ADDRESS))
    first = await stream.hear()
    assert set(first.resources) == {"Kubernetes//Pod/shop/web-1", "Kubernetes//Pod/shop/web-2", SHOP}
    workload = inner(read(first.resources["Kubernetes//Pod/shop/web-1"]), 1)
    assert (text(workload, 20), text(workload, 1), text(workload, 2)) == ("Kubernetes//Pod/shop/web-1", "web-1", "shop")
    assert each(workload, 3) == [bytes([10, 0, 0, 1])] and workload[5] == [1] and text(workload, 7) == "web"
    assert text(workload, 6) == "" and text(workload, 18) == "", "defaults are left out"
    membership = inner(workload, 22)
    port = inner(inner(membership, 2), 1)
    assert text(membership, 1) == SHOP and (port[1], port[2], port[3]) == ([80], [8080], [1])
    service = inner(read(first.resources[SHOP]), 2)
    assert text(service, 3) == "web.shop.svc.cluster.local" and each(inner(service, 4), 2) == [bytes([10, 1, 0, 1])]
    assert first.aliases["Kubernetes//Pod/shop/web-1"] == ["/10.0.0.1"] and first.aliases[SHOP] == ["/10.1.0.1"]
    side.say(world(pod(1, canonical_revision="2")))
    changed = await stream.hear()
    said = [changed]
    if not changed.removed:
        said.append(await stream.hear())
    assert [name for one in said for name in one.resources] == ["Kubernetes//Pod/shop/web-1"]
    assert [name for one in said for name in one.removed] == ["Kubernetes//Pod/shop/web-2"]


async def test_a_reconnect_hears_only_what_it_does_not_hold_and_what_is_gone(side: Side) -> None:
    side.say(world(pod(1), pod(2)))
    stream = Stream(side.channel)
    await stream.say(hello(ADDRESS))
    held = (await stream.hear()).versions
    side.say(world(pod(1), pod(3)))
    again = Stream(side.channel)
    await again.say(hello(ADDRESS, held=held))
    heard = await again.hear()
    assert set(heard.resources) == {"Kubernetes//Pod/shop/web-3"}
    assert heard.removed == ["Kubernetes//Pod/shop/web-2"]


async def test_on_demand_starts_with_nothing_and_each_name_is_answered(side: Side) -> None:
    side.say(world(pod(1), pod(2)))
    stream = Stream(side.channel)
    await stream.say(hello(ADDRESS, on_demand=True))
    first = await stream.hear()
    assert not first.resources and not first.removed, "an empty answer: ready"
    await stream.say(subscribe(ADDRESS, "/10.0.0.1"))
    assert set((await stream.hear()).resources) == {"Kubernetes//Pod/shop/web-1"}
    await stream.say(subscribe(ADDRESS, "Kubernetes//Pod/shop/web-2"))
    assert set((await stream.hear()).resources) == {"Kubernetes//Pod/shop/web-2"}
    await stream.say(subscribe(ADDRESS, "/10.9.9.9"))
    unknown = await stream.hear()
    assert unknown.removed == ["/10.9.9.9"] and not unknown.resources


@pytest.mark.parametrize("name", [SHOP, "/10.1.0.1"])
async def test_a_service_on_demand_brings_its_workloads_and_later_their_changes(side: Side, name: str) -> None:
    side.say(world(pod(1)))
    stream = Stream(side.channel)
    await stream.say(hello(ADDRESS, on_demand=True))
    await stream.hear()
    await stream.say(subscribe(ADDRESS, name))
    assert set((await stream.hear()).resources) == {SHOP, "Kubernetes//Pod/shop/web-1"}
    side.say(world(pod(1), pod(2)))
    assert set((await stream.hear()).resources) == {"Kubernetes//Pod/shop/web-2"}
    side.say(world(pod(2)))
    assert (await stream.hear()).removed == ["Kubernetes//Pod/shop/web-1"]


async def test_a_name_asked_too_early_is_told_when_it_comes(side: Side) -> None:
    stream = Stream(side.channel)
    await stream.say(hello(ADDRESS, on_demand=True))
    await stream.hear()
    await stream.say(subscribe(ADDRESS, "/10.0.0.1"))
    assert (await stream.hear()).removed == ["/10.0.0.1"]
    side.say(world(pod(1)))
    assert set((await stream.hear()).resources) == {"Kubernetes//Pod/shop/web-1"}


async def test_a_refusal_is_not_repeated_and_the_stream_goes_on(side: Side) -> None:
    side.say(world(pod(1)))
    stream = Stream(side.channel)
    await stream.say(hello(ADDRESS))
    await stream.hear(refuse="cannot decode")
    side.say(world(pod(1), pod(2)))
    assert set((await stream.hear()).resources) == {"Kubernetes//Pod/shop/web-2"}


async def test_a_policy_goes_before_the_workload_that_names_it(side: Side) -> None:
    side.say(world(pod(1)))
    stream = Stream(side.channel)
    await stream.say(hello(ADDRESS))
    await stream.hear()
    await stream.say(hello(AUTHORIZATION, node=False))
    await stream.hear()
    match = Match(not_principals=(Text("presence"),), destination_ports=(8080,))
    rule = Policy("no-plaintext", "shop", "workload", "deny", (Group((Rule((match,)),)),))
    side.say(world(pod(1, policies=("shop/no-plaintext",)), policies=(rule,)))
    first, second = await stream.hear(), await stream.hear()
    assert (first.type_url, second.type_url) == (AUTHORIZATION, ADDRESS)
    policy = read(first.resources["shop/no-plaintext"])
    assert (text(policy, 1), text(policy, 2), policy[3], policy[4]) == ("no-plaintext", "shop", [2], [1])
    wire = inner(inner(inner(policy, 5), 1), 2)
    assert 4 in inner(wire, 4), "not_principals=4: presence=4"
    assert wire[9] in ([8080], [b"\x90\x3f"])
    workload = inner(read(second.resources["Kubernetes//Pod/shop/web-1"]), 1)
    assert each(workload, 16) == [b"shop/no-plaintext"]


async def test_a_deny_of_http_attributes_is_istios_without_effect_and_a_guard_beside_it_denies_all(side: Side) -> None:
    rule = {"to": [{"operation": {"methods": ["DELETE"]}}]}
    selector = {"selector": {"matchLabels": {"app": "web"}}}
    written = d.allow("no-deletes", [rule], action="DENY", spec=selector), d.pod("w", "10.0.0.1", labels={"app": "web"})
    side.say(compile(from_documents(written, check=False)[0])[0])
    stream = Stream(side.channel)
    await stream.say(hello(AUTHORIZATION))
    told = (await stream.hear()).resources
    own, guard = read(told["shop/no-deletes"]), read(told["shop/plait_guard_L4_no-deletes"])
    assert (own[3], own[4]) == (guard[3], guard[4]) == ([2], [1])  # both by selector, both DENY
    (match,) = each(inner(inner(own, 5), 1), 2)
    assert match == b"", "an empty match is skipped, so it never matches"
    assert each(guard, 5) == [b""], "a group without rules matches everybody"
    await stream.say(hello(ADDRESS, node=False))
    workload = inner(read((await stream.hear()).resources["Kubernetes//Pod/shop/w"]), 1)
    assert each(workload, 16) == [b"shop/no-deletes", b"shop/plait_guard_L4_no-deletes"]

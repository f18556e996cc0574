"""All controllers together on the in-memory server, with a pretended kubelet: the stories users know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from kit.kubelet import Kubelets
from kit.memory_api import MemoryApi
from plait.base import aio
from plait.local import controllers
from plait.local.addresses import AddressPlan
from plait.resources.kinds import CONFIG_MAP, DEPLOYMENT, EVENT, NAMESPACE, NODE, POD, REPLICA_SET, SERVICE_ACCOUNT
from plait.store.api import Document


def deployment(image: str = "a:1", replicas: int = 3, **spec: object) -> Document:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec}
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}


class World:
    def __init__(self) -> None:
        self.api = MemoryApi()
        self.kubelets = Kubelets(self.api)

    def pods(self, image: str = "") -> list[Document]:
        pods = self.api.all(POD, "shop")
        return [p for p in pods if image in ("", p["spec"]["containers"][0]["image"])]

    def status(self, name: str = "web") -> Document:
        [found] = [d for d in self.api.all(DEPLOYMENT) if d["metadata"]["name"] == name]
        return found.get("status", {})

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.002)

    async def rolled_out(self) -> None:
        """kubectl rollout status."""

        def done() -> bool:
            [d] = self.api.all(DEPLOYMENT, "shop")
            s, n = d.get("status", {}), d["spec"]["replicas"]
            return s.get("observedGeneration") == d["metadata"]["generation"] and (
                s.get("updatedReplicas", 0) == s.get("replicas", 0) == s.get("availableReplicas", 0) == n
            )

        await self.until(done)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    tasks = [
        aio.spawn(controllers.run(world.api, AddressPlan(64), root_ca=b"PEM"), "controllers"),
        aio.spawn(world.kubelets.run(), "kubelets"),
    ]
    await world.kubelets.add_node("n1")
    await world.kubelets.add_node("n2")
    await world.api.create(NAMESPACE, {"metadata": {"name": "shop"}})
    yield world
    await aio.cancel(*tasks)


async def test_a_deployment_becomes_ready_pods_spread_over_the_nodes(world: World) -> None:
    await world.api.create(DEPLOYMENT, deployment(replicas=4))
    await world.rolled_out()
    assert sorted(p["spec"]["nodeName"] for p in world.pods()) == ["n1", "n1", "n2", "n2"]
    assert len([entry for entry in world.api.log if entry[:2] == ("create", "pods")]) == 4
    conditions = {c["type"]: (c["status"], c["reason"]) for c in world.status()["conditions"]}
    assert conditions == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }


async def test_a_new_template_rolls_without_going_below_or_above_the_limits(world: World) -> None:
    rolling = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await world.api.create(DEPLOYMENT, deployment(strategy=rolling))
    await world.rolled_out()
    sizes = set()

    def count() -> bool:
        ready = [p for p in world.pods() if p["status"].get("conditions") and "deletionTimestamp" not in p["metadata"]]
        active = [p for p in world.pods() if "deletionTimestamp" not in p["metadata"]]
        sizes.add((len(ready), len(active)))
        status = world.status()
        return status.get("updatedReplicas") == status.get("replicas") == 3 and len(world.pods("a:2")) == 3

    changed = deployment("a:2")["spec"]["template"]
    await world.api.patch(DEPLOYMENT, "web", {"spec": {"template": changed}}, "shop")
    await world.until(count)
    await world.rolled_out()
    assert min(ready for ready, _ in sizes) >= 3
    assert max(active for _, active in sizes) <= 4
    assert world.pods("a:1") == []


async def test_a_rollback_finds_the_old_replica_set_again_with_a_new_revision(world: World) -> None:
    await world.api.create(DEPLOYMENT, deployment("a:1"))
    await world.rolled_out()
    for image in ("a:2", "a:1"):
        template = deployment(image)["spec"]["template"]
        await world.api.patch(DEPLOYMENT, "web", {"spec": {"template": template}}, "shop")
        await world.rolled_out()
    sets = {
        rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["metadata"]["annotations"][
            "deployment.kubernetes.io/revision"
        ]
        for rs in world.api.all(REPLICA_SET)
    }
    assert sets == {"a:1": "3", "a:2": "2"}


async def test_a_broken_template_stops_while_the_old_pods_still_serve(world: World) -> None:
    world.kubelets.broken.add("bad")
    await world.api.create(DEPLOYMENT, deployment(replicas=4))
    await world.rolled_out()
    template = deployment("bad")["spec"]["template"]
    await world.api.patch(DEPLOYMENT, "web", {"spec": {"template": template}}, "shop")
    await world.until(lambda: len([p for p in world.pods("bad") if p["status"].get("conditions")]) == 2)
    await world.until(lambda: len(world.pods("a:1")) == 3)
    for _ in range(500):  # turns in which a wrong controller would go on deleting
        await asyncio.sleep(0)
    assert (len(world.pods("a:1")), len(world.pods("bad"))) == (3, 2)


async def test_scaling_down_deletes_and_scaling_to_zero_leaves_none(world: World) -> None:
    await world.api.create(DEPLOYMENT, deployment())
    await world.rolled_out()
    for replicas in (1, 0):
        await world.api.patch(DEPLOYMENT, "web", {"spec": {"replicas": replicas}}, "shop")
        await world.rolled_out()
        await world.until(lambda want=replicas: len(world.pods()) == want)  # type: ignore[misc]


async def test_recreate_never_runs_two_templates_at_once(world: World) -> None:
    await world.api.create(DEPLOYMENT, deployment(strategy={"type": "Recreate"}))
    await world.rolled_out()
    mixed = []

    def seen() -> bool:
        if world.pods("a:1") and world.pods("a:2"):
            mixed.append(True)
        return len(world.pods("a:2")) == 3

    template = deployment("a:2")["spec"]["template"]
    await world.api.patch(DEPLOYMENT, "web", {"spec": {"template": template}}, "shop")
    await world.until(seen)
    assert mixed == []


async def test_only_the_newest_unused_replica_sets_are_kept(world: World) -> None:
    await world.api.create(DEPLOYMENT, deployment("a:0", 1, revisionHistoryLimit=1))
    await world.rolled_out()
    for number in (1, 2, 3):
        template = deployment(f"a:{number}")["spec"]["template"]
        await world.api.patch(DEPLOYMENT, "web", {"spec": {"template": template}}, "shop")
        await world.rolled_out()
    await world.until(lambda: len(world.api.all(REPLICA_SET)) == 2)


async def test_a_pod_without_a_node_says_why(world: World) -> None:
    await world.api.create(DEPLOYMENT, deployment(replicas=1))
    await world.rolled_out()
    template = deployment()["spec"]["template"]
    template["spec"]["nodeSelector"] = {"disk": "gold"}
    await world.api.patch(DEPLOYMENT, "web", {"spec": {"template": template}}, "shop")

    def why() -> list[str]:
        return [
            c["message"]
            for pod in world.pods()
            for c in pod["status"].get("conditions", [])
            if c["type"] == "PodScheduled" and c["reason"] == "Unschedulable"
        ]

    await world.until(why)
    assert why() == ["0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."]
    await world.until(lambda: [e for e in world.api.all(EVENT) if e["reason"] == "FailedScheduling"])
    await world.api.patch(NODE, "n2", {"metadata": {"labels": {"disk": "gold"}}})
    await world.rolled_out()
    assert [p["spec"]["nodeName"] for p in world.pods()] == ["n2"]


async def test_every_namespace_gets_its_account_and_the_root_certificate(world: World) -> None:
    await world.until(lambda: world.api.all(SERVICE_ACCOUNT, "shop") and world.api.all(CONFIG_MAP, "shop"))
    [account], [root] = world.api.all(SERVICE_ACCOUNT, "shop"), world.api.all(CONFIG_MAP, "shop")
    assert account["metadata"]["name"] == "default"
    assert (root["metadata"]["name"], root["data"]) == ("kube-root-ca.crt", {"ca.crt": "PEM"})

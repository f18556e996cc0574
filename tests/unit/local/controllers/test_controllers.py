"""All controllers together on the in-memory server, with a pretended kubelet: the stories users know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address

import pytest

from kit.kubelet import Kubelets
from kit.memory_api import MemoryApi
from plait.base import aio
from plait.local import controllers
from plait.local.addresses import AddressPlan
from plait.resources import kinds
from plait.resources.kinds import (
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EVENT,
    JOB,
    LEASE,
    NAMESPACE,
    NODE,
    POD,
    REPLICA_SET,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
)
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

    def condition(self, kind: Kind, type: str) -> Document:
        found = [c for d in self.api.all(kind) for c in d.get("status", {}).get("conditions") or ()]
        return next((c for c in found if c["type"] == type), {})

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


def workload(name: str, image: str, **spec: object) -> Document:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


async def test_a_job_runs_its_completions_and_says_complete(world: World) -> None:
    world.kubelets.finish["task"] = "Succeeded"
    await world.api.create(JOB, workload("sum", "task", completions=3, parallelism=2))
    await world.until(lambda: world.condition(JOB, "Complete"))
    [job] = world.api.all(JOB)
    assert (job["status"]["succeeded"], len(world.pods("task"))) == (3, 3)


async def test_a_job_that_keeps_failing_gives_up_at_its_limit(world: World) -> None:
    world.kubelets.finish["task"] = "Failed"
    await world.api.create(JOB, workload("sum", "task", completions=1, backoffLimit=0))
    await world.until(lambda: world.condition(JOB, "Failed"))
    assert world.condition(JOB, "Failed")["reason"] == "BackoffLimitExceeded"


async def test_a_daemon_set_has_one_pod_on_every_node_also_on_later_ones(world: World) -> None:
    await world.api.create(DAEMON_SET, workload("agent", "d:1"))
    await world.until(lambda: len(world.pods("d:1")) == 2)
    await world.kubelets.add_node("n3")
    await world.until(lambda: sorted(p["spec"]["nodeName"] for p in world.pods("d:1")) == ["n1", "n2", "n3"])
    changed = workload("agent", "d:2")["spec"]["template"]
    await world.api.patch(DAEMON_SET, "agent", {"spec": {"template": changed}}, "shop")
    await world.until(lambda: len(world.pods("d:2")) == 3 and not world.pods("d:1"))


async def test_a_deleted_namespace_goes_with_all_it_holds(world: World) -> None:
    await world.api.create(DEPLOYMENT, deployment())
    await world.rolled_out()
    await world.api.delete(NAMESPACE, "shop")
    await world.until(lambda: not world.api.all(NAMESPACE))
    assert not [document for kind in kinds.ALL if kind.namespaced for document in world.api.all(kind, "shop")]


@pytest.mark.parametrize(("policy", "left"), [("Background", 0), ("Foreground", 0), ("Orphan", 3)])
async def test_dependents_follow_the_deletion_policy(world: World, policy: str, left: int) -> None:
    await world.api.create(DEPLOYMENT, deployment())
    await world.rolled_out()
    [replica_set] = world.api.all(REPLICA_SET)
    await world.api.delete(DEPLOYMENT, "web", "shop", propagation="Orphan")
    await world.until(lambda: not world.api.all(DEPLOYMENT))
    await world.api.delete(REPLICA_SET, replica_set["metadata"]["name"], "shop", propagation=policy)
    await world.until(lambda: not world.api.all(REPLICA_SET) and len(world.pods()) == left)
    assert not any(pod["metadata"].get("ownerReferences") for pod in world.pods())


async def test_a_service_has_the_ready_pods_as_endpoints_and_an_address(world: World) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    spec = {"type": "LoadBalancer", "clusterIP": "10.64.128.9", "selector": {"app": "web"}, "ports": ports}
    await world.api.create(SERVICE, {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec})
    await world.api.create(DEPLOYMENT, deployment())

    def ready() -> list[str]:
        slices = world.api.all(ENDPOINT_SLICE)
        return [e["targetRef"]["name"] for s in slices for e in s["endpoints"] if e["conditions"]["ready"]]

    await world.until(lambda: len(ready()) == 3)
    assert sorted(ready()) == sorted(pod["metadata"]["name"] for pod in world.pods())
    [slice_] = [s for s in world.api.all(ENDPOINT_SLICE) if s["endpoints"]]
    assert slice_["ports"] == [{"name": "http", "protocol": "TCP", "port": 8080}]
    await world.until(lambda: world.api.all(SERVICE)[0].get("status", {}).get("loadBalancer"))
    [ingress] = world.api.all(SERVICE)[0]["status"]["loadBalancer"]["ingress"]
    assert IPv4Address(ingress["ip"]) in AddressPlan(64).load_balancers
    await world.api.patch(DEPLOYMENT, "web", {"spec": {"replicas": 0}}, "shop")
    await world.until(lambda: not ready())


async def test_pods_of_a_node_that_is_gone_go_and_a_stale_lease_makes_it_unknown(world: World) -> None:
    await world.api.create(DEPLOYMENT, deployment())
    await world.rolled_out()
    lease = {"metadata": {"name": "n1", "namespace": "kube-node-lease"}, "spec": {"renewTime": "2020-01-01T00:00:00Z"}}
    await world.api.create(LEASE, lease)
    await world.until(
        lambda: (
            [
                c["status"]
                for n in world.api.all(NODE)
                if n["metadata"]["name"] == "n1"
                for c in n["status"]["conditions"]
            ]
            == ["Unknown"]
        )
    )
    await world.api.delete(NODE, "n1")
    await world.rolled_out()
    await world.until(lambda: {pod["spec"].get("nodeName") for pod in world.pods()} == {"n2"})

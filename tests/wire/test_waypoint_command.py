"""`plait waypoint` as a user types it, against the real embedded API server with a control plane beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import pytest
import yaml

from kit import apiserver
from kit import documents as d
from plait.app.control import Control
from plait.base import aio
from plait.cli import main, waypoint_rows
from plait.identity import trust
from plait.local import controllers
from plait.model.mesh import Settings
from plait.resources import kinds

Capture = pytest.CaptureFixture[str]


@dataclass(frozen=True, slots=True)
class Typed:
    code: int
    out: str
    err: str


class Terminal:
    def __init__(self, cluster: apiserver.Cluster, capture: Capture) -> None:
        self._cluster, self._capture, self.api = cluster, capture, cluster.http

    async def __call__(self, *words: str) -> Typed:
        arguments = ["waypoint", *words, "--kubeconfig", str(self._cluster.kubeconfig)]
        self._capture.readouterr()
        code = await asyncio.to_thread(main.main, arguments)
        said = self._capture.readouterr()
        return Typed(code, said.out, said.err)

    async def serving(self, service: str) -> None:
        """As a ready pod behind it would show: no kubelet runs here."""
        labels = {"kubernetes.io/service-name": service}
        ready = {"addresses": ["10.99.1.5"], "conditions": {"ready": True}}
        found = d.document("discovery.k8s.io/v1", "EndpointSlice", f"{service}-test", "shop", labels=labels)
        await self.api.create(kinds.ENDPOINT_SLICE, {**found, "addressType": "IPv4", "endpoints": [ready]}, "shop")

    async def labels(self) -> dict[str, str]:
        found: dict[str, str] = (await self.api.get(kinds.NAMESPACE, "shop"))["metadata"]["labels"]
        return found


@asynccontextmanager
async def terminal(capture: Capture) -> AsyncIterator[Terminal]:
    async with apiserver.running() as cluster:
        local = aio.spawn(controllers.run(cluster.local, apiserver.PLAN, root_ca=b"ca"), "local controllers")
        control = Control(cluster.http, trust.create("cluster.local", aio.now(), 1), Settings())
        try:
            await control.start("127.0.0.1", (ip_address("127.0.0.1"),), port=0, status_port=0)
            await cluster.http.create(kinds.NAMESPACE, d.document("v1", "Namespace", "shop", ""))
            yield Terminal(cluster, capture)
        finally:
            await control.close()
            await aio.cancel(local)


async def test_a_waypoint_from_apply_to_delete(capsys: Capture) -> None:
    async with terminal(capsys) as plait:
        assert (await plait("list", "-n", "shop")).err.startswith("no waypoints; make one with")
        await plait.serving("waypoint")
        done = await plait("apply", "-n", "shop", "--for", "all", "--enroll-namespace", "--wait", "--timeout", "20")
        assert (done.code, done.out.splitlines()) == (
            0,
            [
                "waypoint shop/waypoint applied",
                "waypoint shop/waypoint is ready",
                "namespace shop uses it (istio.io/use-waypoint: waypoint)",
            ],
        )
        assert "kubectl label namespace shop istio.io/dataplane-mode=ambient" in done.err
        assert (await plait.labels())["istio.io/use-waypoint"] == "waypoint"
        (row,) = json.loads((await plait("list", "-A", "-o", "json")).out)
        address = (await plait.api.get(kinds.SERVICE, "waypoint", "shop"))["spec"]["clusterIP"]
        assert row == {
            "namespace": "shop",
            "name": "waypoint",
            "class": "istio-waypoint",
            "traffic type": "all",
            "placement": "node",
            "programmed": "True",
            "address": address,
        }
        assert (await plait("scale", "waypoint", "--replicas", "2", "-n", "shop")).code == 0
        assert (await plait.api.get(kinds.DEPLOYMENT, "waypoint", "shop"))["spec"]["replicas"] == 2
        shown = await plait("status", "-n", "shop", "-o", "json")
        assert shown.code == 0
        conditions: list[dict[str, Any]] = json.loads(shown.out)
        assert {(each["type"], each["status"], each["ready"]) for each in conditions} == {
            ("Accepted", "True", "0/2"),
            ("Programmed", "True", "0/2"),
            ("ResolvedRefs", "True", "0/2"),
        }
        assert (await plait("delete", "waypoint", "-n", "shop")).out == "waypoint shop/waypoint deleted\n"
        assert (await plait("delete", "waypoint", "-n", "shop")).code == 1
        assert json.loads((await plait("list", "-n", "shop", "-o", "json")).out) == []


async def test_a_managed_one_is_shown_where_it_runs_and_scaled_there(capsys: Capture) -> None:
    async with terminal(capsys) as plait:
        await plait.serving("waypoint")
        done = await plait("apply", "-n", "shop", "--placement", "managed", "--wait", "--timeout", "20")
        assert done.code == 0
        for scope in (("-n", "shop"), ("-A",)):
            (row,) = json.loads((await plait("list", *scope, "-o", "json")).out)
            assert (row["placement"], row["programmed"]) == ("managed", "True")
        assert (await plait("scale", "waypoint", "--replicas", "2", "-n", "shop")).code == 0
        assert (await plait.api.get(kinds.DEPLOYMENT, "shop.waypoint", "plait-managed"))["spec"]["replicas"] == 2
        conditions = json.loads((await plait("status", "-n", "shop", "-o", "json")).out)
        assert {(each["placement"], each["ready"]) for each in conditions} == {("managed", "0/2")}
        wrong = await plait("apply", "-n", "shop", "--placement", "moon")
        assert wrong.code == 2
        assert '--placement: "moon" is not a placement; write node, serverless or managed' in wrong.err


async def test_what_does_not_serve_is_said_with_the_reason(capsys: Capture) -> None:
    async with terminal(capsys) as plait:
        done = await plait("apply", "-n", "shop", "--wait", "--timeout", "1.5")
        assert done.code == 1
        assert "waypoint shop/waypoint does not serve after 1.5 s: no proxy of this gateway is ready yet" in done.err
        assert (await plait("status", "-n", "shop")).code == 1


async def test_a_namespace_keeps_the_waypoint_it_uses_unless_told(capsys: Capture) -> None:
    async with terminal(capsys) as plait:
        body = {"metadata": {"labels": {"istio.io/use-waypoint": "first", "istio.io/dataplane-mode": "ambient"}}}
        await plait.api.patch(kinds.NAMESPACE, "shop", body)
        kept = await plait("apply", "-n", "shop", "--name", "second", "--enroll-namespace")
        assert (kept.code, kept.out) == (1, "")
        assert "namespace shop uses waypoint first; --overwrite makes it use second" in kept.err
        taken = await plait("apply", "-n", "shop", "--name", "second", "--enroll-namespace", "--overwrite")
        assert (taken.code, taken.err) == (0, "")
        assert (await plait.labels())["istio.io/use-waypoint"] == "second"
        assert (await plait("apply", "-n", "nowhere")).code == 1


async def test_all_waypoints_of_a_namespace_go_and_gateways_stay(capsys: Capture) -> None:
    async with terminal(capsys) as plait:
        for words in (("--name", "a"), ("--name", "b", "--class", "plait-waypoint")):
            assert (await plait("apply", "-n", "shop", *words)).code == 0
        edge = d.document("gateway.networking.k8s.io/v1", "Gateway", "edge", "shop")
        listener = {"name": "http", "port": 80, "protocol": "HTTP"}
        await plait.api.create(kinds.GATEWAY, {**edge, "spec": {"gatewayClassName": "istio", "listeners": [listener]}})
        assert (await plait("delete", "edge", "-n", "shop")).code == 1
        assert len((await plait("delete", "--all", "-n", "shop")).out.splitlines()) == 2
        left, _ = await plait.api.list(kinds.GATEWAY, "shop")
        assert [each["metadata"]["name"] for each in left] == ["edge"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("generate", "--name", "none"), "choose another name"),
        (("generate", "--for", "everything"), "use service, workload, all, none"),
        (("generate", "--scale-to-zero", "soon"), '"soon" is not a time without use; write for example 60s'),
        (("delete",), "name waypoints, or --all"),
        (("delete", "a", "--all"), "name waypoints, or --all"),
    ],
)
def test_wrong_usage_says_what_to_type(words: tuple[str, ...], why: str, capsys: Capture) -> None:
    assert main.main(["waypoint", *words]) == 2
    assert why in capsys.readouterr().err


def test_a_waypoint_may_be_told_to_sleep(capsys: Capture) -> None:
    assert main.main(["waypoint", "generate", "--scale-to-zero", "60s"]) == 0
    assert "annotations:\n      plait.dev/scale-to-zero: 60s" in capsys.readouterr().out


def test_one_that_sleeps_is_shown_as_such() -> None:
    owner = {"metadata": {"uid": "u"}}
    metadata = {"ownerReferences": [{"uid": "u"}], "annotations": {"plait.dev/asleep": "true"}}
    deployment = {"metadata": metadata, "spec": {"replicas": 0}}
    assert waypoint_rows.ready(owner, [deployment]) == "asleep"
    assert waypoint_rows.ready(owner, [{**deployment, "metadata": {**metadata, "annotations": {}}}]) == "0/0"


def test_generate_prints_what_apply_would_apply(capsys: Capture) -> None:
    assert main.main(["waypoint", "generate", "-n", "shop", "--name", "w", "--for", "service"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "w", "namespace": "shop", "labels": {"istio.io/waypoint-for": "service"}},
        "spec": {
            "gatewayClassName": "istio-waypoint",
            "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}],
        },
    }

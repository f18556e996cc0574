"""The gateway controller over the real embedded API server, with the local runtime's controllers beside it.

No kubelet runs: a pod that serves is an EndpointSlice that a test writes.
"""

from __future__ import annotations

from typing import Any

from kit import documents as d
from kit import gateways as g
from kit.deploying import controlling, operated, world, written
from plait.resources import kinds

Document = dict[str, Any]
SHOP = ("shop", "waypoint")


def serving(service: str) -> Document:
    labels = {"kubernetes.io/service-name": service}
    found = d.document("discovery.k8s.io/v1", "EndpointSlice", f"{service}-test", "shop", labels=labels)
    return {**found, "addressType": "IPv4", "endpoints": [{"addresses": ["10.99.1.5"], "conditions": {"ready": True}}]}


async def test_a_waypoint_is_made_measured_and_leaves_nothing() -> None:
    async with world() as w:
        await w.api.create(kinds.GATEWAY, written(g.waypoint()))
        await w.made()
        await w.until(lambda: (m := w.measured()) is not None and m.addresses, "an address")
        before = w.measured()
        assert before is not None
        assert (before.programmed, before.reason) == (False, "Pending")
        address = (await w.api.get(kinds.SERVICE, "waypoint", "shop"))["spec"]["clusterIP"]
        assert before.addresses == (address, "waypoint.shop.svc.cluster.local")
        await w.api.create(kinds.ENDPOINT_SLICE, serving("waypoint"), "shop")
        await w.until(lambda: (m := w.measured()) is not None and m.programmed, "programmed")
        await w.api.delete(kinds.GATEWAY, "waypoint", "shop")
        for kind in (kinds.DEPLOYMENT, kinds.SERVICE, kinds.SERVICE_ACCOUNT):
            await w.until(lambda kind=kind: w.absent(kind), f"no {kind}")
        assert w.measured() is None


async def test_a_gateway_gets_an_address_of_the_load_balancer_and_follows_its_listeners() -> None:
    async with world() as w:
        await w.api.create(kinds.GATEWAY, written(g.gateway("edge", "istio", g.HTTP)))
        await w.made("edge-istio")
        await w.until(lambda: (m := w.measured("edge")) is not None and m.addresses, "an address")
        found = w.measured("edge")
        assert found is not None
        assert found.addresses[0].startswith("10.99.")
        https = {"name": "https", "port": 443, "protocol": "TLS", "tls": {"mode": "Passthrough"}}
        await w.api.patch(kinds.GATEWAY, "edge", {"spec": {"listeners": [g.HTTP, https]}}, "shop")

        async def ports() -> bool:
            service = await w.api.get(kinds.SERVICE, "edge-istio", "shop")
            return [each["port"] for each in service["spec"]["ports"]] == [15021, 80, 443]

        await w.until(ports, "the new port")


async def test_nothing_is_written_when_nothing_changes_not_even_by_a_new_controller() -> None:
    async with world() as w:
        await w.api.create(kinds.GATEWAY, written(g.waypoint()))
        await w.made()
        await w.quiet()
        writes, versions = w.controller.writes, await w.versions()
        assert writes == 3
        await w.api.patch(kinds.GATEWAY, "waypoint", {"metadata": {"annotations": {"gateway.istio.io/x": "1"}}}, "shop")
        await w.quiet()
        assert w.controller.writes > writes, "annotations are passed on"
        await w.quiet()
        versions = await w.versions()
        async with controlling(w.api) as second:
            await second.until(lambda: second.controller.writes >= 3, "its first look")
            await second.quiet()
            assert second.controller.writes == 3
        assert await w.versions() == versions, "applying the same again changes no object"


async def test_what_people_change_or_delete_comes_back_and_their_scale_stays() -> None:
    async with world() as w:
        await w.api.create(kinds.GATEWAY, written(g.waypoint()))
        await w.made()
        await w.api.patch(kinds.DEPLOYMENT, "waypoint", {"spec": {"replicas": 3}}, "shop", subresource="scale")
        await w.api.delete(kinds.SERVICE, "waypoint", "shop")
        await w.made()
        image = {"name": "istio-proxy", "image": "other"}
        other = {"spec": {"template": {"spec": {"containers": [image]}}}}
        await w.api.patch(kinds.DEPLOYMENT, "waypoint", other, "shop", type="strategic", manager="kubectl")

        async def mended() -> bool:
            spec = (await w.api.get(kinds.DEPLOYMENT, "waypoint", "shop"))["spec"]
            assert spec["replicas"] == 3
            return bool(spec["template"]["spec"]["containers"][0]["image"] == "plait/proxyv2")

        await w.until(mended, "the image is ours again")


async def test_a_renamed_reclassed_or_handed_over_gateway_leaves_nothing_of_its_old_self() -> None:
    async with world() as w:
        await w.api.create(kinds.GATEWAY, written(g.waypoint()))
        await w.made()
        name = {"gateway.istio.io/name-override": "door"}
        await w.api.patch(kinds.GATEWAY, "waypoint", {"metadata": {"annotations": name}}, "shop")
        await w.made("door")
        for kind in (kinds.DEPLOYMENT, kinds.SERVICE, kinds.SERVICE_ACCOUNT):
            await w.until(lambda kind=kind: w.absent(kind, "waypoint"), f"no {kind} of the old name")
        foreign = {**d.document("gateway.networking.k8s.io/v1", "GatewayClass", "other", "")}
        await w.api.create(kinds.GATEWAY_CLASS, {**foreign, "spec": {"controllerName": "example.com/other"}})
        await w.api.patch(kinds.GATEWAY, "waypoint", {"spec": {"gatewayClassName": "other"}}, "shop")
        await w.until(lambda: w.absent(kinds.DEPLOYMENT, "door"), "another controller's class")
        assert w.measured() is None


async def test_an_object_of_somebody_else_is_left_alone_and_said() -> None:
    async with world() as w:
        own = {"spec": {"selector": {"app": "mine"}, "ports": [{"port": 9}]}}
        await w.api.create(kinds.SERVICE, {**d.document("v1", "Service", "waypoint"), **own}, "shop")
        await w.api.create(kinds.SERVICE_ACCOUNT, d.document("v1", "ServiceAccount", "waypoint"), "shop")
        await w.api.create(kinds.GATEWAY, written(g.waypoint()))
        await w.until(lambda: w.there(kinds.DEPLOYMENT), "the deployment")
        await w.until(lambda: (m := w.measured()) is not None and m.reason == "Invalid", "told")
        found = w.measured()
        assert found is not None
        assert "Service shop/waypoint exists and is not this gateway's" in found.message
        service = await w.api.get(kinds.SERVICE, "waypoint", "shop")
        assert service["spec"]["selector"] == {"app": "mine"}
        account = await w.api.get(kinds.SERVICE_ACCOUNT, "waypoint", "shop")
        assert "ownerReferences" not in account["metadata"], "an account that is there is used as it is"
        events, _ = await w.api.list(kinds.EVENT, "shop")
        assert any(each["reason"] == "GatewayNotDeployed" for each in events)
        await w.api.delete(kinds.SERVICE, "waypoint", "shop")
        await w.made()
        await w.until(lambda: (m := w.measured()) is not None and m.reason == "Pending", "mended")


async def test_parameters_are_merged_followed_and_a_wrong_one_leaves_what_runs() -> None:
    async with world() as w:
        reference = {"group": "", "kind": "ConfigMap", "name": "params"}
        given = g.waypoint(spec={"infrastructure": {"parametersRef": reference}})
        await w.api.create(kinds.GATEWAY, written(given))
        await w.until(lambda: (m := w.measured()) is not None and m.reason == "Invalid", "no parameters yet")
        assert await w.absent(kinds.DEPLOYMENT)
        params = {**d.document("v1", "ConfigMap", "params"), "data": {"deployment": "spec: {replicas: 2}"}}
        await w.api.create(kinds.CONFIG_MAP, params, "shop")
        await w.made()
        assert (await w.api.get(kinds.DEPLOYMENT, "waypoint", "shop"))["spec"]["replicas"] == 2
        for wrong in ("spec: {replicas: many}", "spec: {$patch: maybe}", "[", "{spec: , metadata: }"):
            await w.api.patch(kinds.CONFIG_MAP, "params", {"data": {"deployment": wrong}}, "shop")
            await w.until(lambda: (m := w.measured()) is not None and m.reason == "Invalid", f"{wrong} is told")
            assert (await w.api.get(kinds.DEPLOYMENT, "waypoint", "shop"))["spec"]["replicas"] == 2
            await w.api.patch(kinds.CONFIG_MAP, "params", {"data": {"deployment": "spec: {replicas: 2}"}}, "shop")
            await w.until(lambda: (m := w.measured()) is not None and m.reason == "Pending", "mended")
        scaler = {"horizontalPodAutoscaler": "spec: {maxReplicas: 3}"}
        await w.api.patch(kinds.CONFIG_MAP, "params", {"data": scaler}, "shop")
        await w.until(
            lambda: (m := w.measured()) is not None and "has no HorizontalPodAutoscaler" in m.message, "no such kind"
        )


async def test_defaults_of_a_class_come_before_a_gateways_own_parameters() -> None:
    async with world() as w:
        await w.api.create(kinds.GATEWAY, written(g.waypoint()))
        await w.made()
        labels = {"gateway.istio.io/defaults-for-class": "istio-waypoint"}
        usual = d.document("v1", "ConfigMap", "usual", "istio-system", labels=labels)
        data = {"deployment": "spec: {replicas: 3, minReadySeconds: 1}"}
        await w.api.create(kinds.CONFIG_MAP, {**usual, "data": data}, "istio-system")

        async def said(replicas: int) -> bool:
            spec = (await w.api.get(kinds.DEPLOYMENT, "waypoint", "shop"))["spec"]
            return bool((spec["replicas"], spec.get("minReadySeconds")) == (replicas, 1))

        await w.until(lambda: said(3), "the class's")
        own = {**d.document("v1", "ConfigMap", "params"), "data": {"deployment": "spec: {replicas: 2}"}}
        await w.api.create(kinds.CONFIG_MAP, own, "shop")
        reference = {"infrastructure": {"parametersRef": {"group": "", "kind": "ConfigMap", "name": "params"}}}
        await w.api.patch(kinds.GATEWAY, "waypoint", {"spec": reference}, "shop")
        await w.until(lambda: said(2), "its own")


async def test_a_waypoint_that_may_sleep_has_a_slice_of_the_activator_beside_that_of_its_pods() -> None:
    async with world() as w:
        await w.api.create(kinds.GATEWAY, operated(scale_to_zero="60s", target_rps="100"))
        await w.until(lambda: w.there(kinds.ENDPOINT_SLICE, "waypoint-activator"), "a slice")
        found = await w.api.get(kinds.ENDPOINT_SLICE, "waypoint-activator", "shop")
        assert found["metadata"]["labels"]["kubernetes.io/service-name"] == "waypoint"
        assert found["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "plait-activator"
        assert found["metadata"]["annotations"]["gateway.istio.io/service-account"] == "waypoint"
        assert found["endpoints"][0]["addresses"] == ["127.0.0.1"]
        assert [each["name"] for each in found["ports"]] == ["mesh"]
        await w.until(lambda: (m := w.measured()) is not None and m.programmed, "whoever calls is held: it serves")
        (scaled,) = w.controller.scaled().values()
        assert (scaled.deployment, scaled.operation.idle, scaled.operation.rps) == ("waypoint", 60.0, 100.0)
        await w.api.patch(kinds.GATEWAY, "waypoint", {"spec": {"infrastructure": None}}, "shop")
        await w.until(lambda: w.absent(kinds.ENDPOINT_SLICE, "waypoint-activator"), "it may not sleep: no slice")
        assert not w.controller.scaled()


async def test_a_serverless_waypoint_asks_for_nodes_of_its_class_and_a_wrong_place_leaves_what_runs() -> None:
    async with world() as w:
        await w.api.create(kinds.GATEWAY, operated(placement="serverless", node_class="spot"))
        await w.made()
        pod = (await w.api.get(kinds.DEPLOYMENT, "waypoint", "shop"))["spec"]["template"]["spec"]
        assert pod["nodeSelector"] == {"plait.dev/node-class": "spot"}
        assert [(each["key"], each["value"]) for each in pod["tolerations"]] == [("plait.dev/node-class", "spot")]
        wrong = {"spec": {"infrastructure": {"annotations": {"plait.dev/placement": "moon"}}}}
        await w.api.patch(kinds.GATEWAY, "waypoint", wrong, "shop")
        await w.until(lambda: (m := w.measured()) is not None and m.reason == "Invalid", "told")
        said = w.measured()
        assert said is not None
        assert said.message == (
            'PLT0008 spec.infrastructure.annotations[plait.dev/placement]: "moon" is not a placement; '
            "write node, serverless or managed"
        )
        kept = (await w.api.get(kinds.DEPLOYMENT, "waypoint", "shop"))["spec"]["template"]["spec"]
        assert kept["nodeSelector"] == {"plait.dev/node-class": "spot"}


async def test_parameters_say_how_a_waypoint_is_operated() -> None:
    async with world() as w:
        params = {**d.document("v1", "ConfigMap", "params"), "data": {"operation": "target-p99: 50ms"}}
        await w.api.create(kinds.CONFIG_MAP, params, "shop")
        reference = {"group": "", "kind": "ConfigMap", "name": "params"}
        await w.api.create(kinds.GATEWAY, written(g.waypoint(spec={"infrastructure": {"parametersRef": reference}})))
        await w.made()
        (scaled,) = w.controller.scaled().values()
        assert scaled.operation.p99 == 0.05


async def test_the_built_in_classes_are_there_and_come_back() -> None:
    async with world() as w:
        for name in ("istio", "istio-waypoint", "plait", "plait-waypoint"):
            await w.until(lambda name=name: w.api.get(kinds.GATEWAY_CLASS, name), name)
        await w.api.delete(kinds.GATEWAY_CLASS, "istio")
        await w.until(lambda: w.api.get(kinds.GATEWAY_CLASS, "istio"), "istio again")


async def test_a_deployment_of_a_class_that_went_stays() -> None:
    async with world() as w:
        mine = {**d.document("gateway.networking.k8s.io/v1", "GatewayClass", "mine", "")}
        await w.api.create(kinds.GATEWAY_CLASS, {**mine, "spec": {"controllerName": "istio.io/gateway-controller"}})
        await w.api.create(kinds.GATEWAY, written(g.gateway("edge", "mine", g.HTTP)))
        await w.made("edge-mine")
        await w.api.delete(kinds.GATEWAY_CLASS, "mine")
        await w.quiet()
        assert await w.there(kinds.DEPLOYMENT, "edge-mine")


async def test_where_the_mesh_does_not_look_nothing_is_made_until_it_does() -> None:
    async with world() as w:
        text = "discoverySelectors: [{matchLabels: {mesh: in}}]"
        config = d.document("v1", "ConfigMap", "istio", "istio-system", data={"mesh": text})
        await w.api.create(kinds.CONFIG_MAP, config, "istio-system")
        await w.until(
            lambda: ("istio-system", "istio") in w.controller._informers[kinds.CONFIG_MAP].cache, "it is heard"
        )
        await w.api.create(kinds.GATEWAY, written(g.waypoint()))
        await w.quiet()
        assert await w.absent(kinds.DEPLOYMENT)
        await w.api.patch(kinds.NAMESPACE, "shop", {"metadata": {"labels": {"mesh": "in"}}})
        await w.made()
        await w.api.patch(kinds.NAMESPACE, "shop", {"metadata": {"labels": {"mesh": "out"}}})
        await w.until(lambda: w.measured() is None, "it is not looked at")
        await w.quiet()
        assert await w.there(kinds.DEPLOYMENT), "what runs is left as it is"

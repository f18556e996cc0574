"""What benches of waypoints have in common: a Gateway of class istio-waypoint before bench-l4, there or not."""

from __future__ import annotations

from plait.base import wellknown
from plait.resources import kinds
from plait.resources.kinds import SERVICE
from plait.store.api import Document
from plait.trial import talk
from plait.trial.scene import Pod, Scene, until

NAMESPACE = "bench-l4"
NAME = "waypoint"
HTTP = 8080
_API = "gateway.networking.k8s.io/v1"


def waypoint(**operation: str) -> Document:
    """`operation`: how it is operated, as `placement="managed"`."""
    listener = {"name": "mesh", "port": wellknown.HBONE_PORT, "protocol": "HBONE"}
    spec: Document = {"gatewayClassName": "istio-waypoint", "listeners": [listener]}
    if operation:
        said = {f"plait.dev/{name.replace('_', '-')}": value for name, value in operation.items()}
        spec["infrastructure"] = {"annotations": said}
    return {"apiVersion": _API, "kind": "Gateway", "metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": spec}


def policy() -> Document:
    """Denies at the waypoint what no bench asks for; all that stands behind it is then guarded."""
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": NAME}
    rule = {"to": [{"operation": {"paths": ["/denied"]}}]}
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"targetRefs": [target], "action": "DENY", "rules": [rule]},
    }


def route(name: str, *rules: Document) -> Document:
    """HTTPRoute `name` of the Service of this name."""
    parent = {"group": "", "kind": "Service", "name": name, "port": HTTP}
    spec = {"parentRefs": [parent], "rules": list(rules)}
    return {"apiVersion": _API, "kind": "HTTPRoute", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def virtual_service(name: str, *rules: Document) -> Document:
    """The same for one of Istio's."""
    metadata = {"name": name, "namespace": NAMESPACE}
    spec = {"hosts": [name], "http": list(rules)}
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": spec}


def redirect(to: str) -> Document:
    """A rule that the waypoint answers itself, and whose answer tells which version of the route it has."""
    return {"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": to, "statusCode": 302}}]}


async def address(scene: Scene, service: str) -> str:
    found = await scene.api.get(SERVICE, service, NAMESPACE)
    return str(found["spec"]["clusterIP"])


async def attach(scene: Scene, attached: bool = True) -> None:
    await scene.label_namespace(NAMESPACE, {wellknown.USE_WAYPOINT: NAME if attached else None})


async def remove(scene: Scene) -> None:
    """The Gateway, and wait until its pods are gone."""
    await scene.api.delete(kinds.GATEWAY, NAME, NAMESPACE)
    await until(lambda: absent(scene), 60.0)


async def absent(scene: Scene) -> str:
    """ "" when no pod of it is left, wherever it ran."""
    pods, _ = await scene.api.list(kinds.POD, labels=f"{wellknown.GATEWAY_NAME}={NAME}")
    return f"{len(pods)} pods of the waypoint are still there" if pods else ""


async def keep_warm(scene: Scene, proxies: int) -> None:
    """Settle how many proxies of the pool run for nobody, and wait until they do."""
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": wellknown.POOL_NAMESPACE}}
    settled = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "pool", "namespace": wellknown.POOL_NAMESPACE},
        "data": {"pool": f"warm: {proxies}"},
    }
    await scene.put([space, settled])
    await until(lambda: _warm(scene, proxies), 60.0)


async def _warm(scene: Scene, proxies: int) -> str:
    pods, _ = await scene.api.list(kinds.POD, wellknown.POOL_NAMESPACE, labels=wellknown.WARM)
    begun = sum(
        (each["type"], each["status"]) == ("ContainersReady", "True")
        for pod in pods
        for each in (pod.get("status") or {}).get("conditions") or ()
    )
    return "" if begun == len(pods) == proxies else f"{begun} of {proxies} proxies are warm"


async def ask(scene: Scene, client: Pod, host: str) -> talk.Reply:
    return await scene.inside(client, lambda _: talk.get(host, HTTP))


async def through(scene: Scene, client: Pod, host: str) -> str:
    """ "" when a request is answered by Envoy's HTTP filters, that is through the waypoint."""
    reply = await ask(scene, client, host)
    return "" if passed(reply) else f"{reply.status} by {reply.server or 'none'}"


def passed(reply: talk.Reply) -> bool:
    """An HTTP proxy says so in its answer; a node proxy carries bytes and says nothing."""
    return reply.status == 200 and reply.server == "istio-envoy"


async def captured(scene: Scene) -> tuple[Pod, Pod]:
    """Client and server of the pair, both verified."""

    async def settled() -> str:
        pods = await scene.pods(NAMESPACE)
        late = [pod.name for pod in pods if pod.annotations.get(wellknown.REDIRECTION) != "enabled"]
        return f"not captured: {', '.join(late)}" if late else ""

    await until(settled, 60.0)
    return await scene.pod(NAMESPACE, "client"), await scene.pod(NAMESPACE, "echo")

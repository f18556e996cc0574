"""Two node proxies over a `Lab`: real Envoys, our views and translation, xDS from this process.

The world is a `Mesh` made here: pods a1, a2 (node na) and b1, b2 (node nb) speak HBONE, `plain` does not; a3 is known
but its node has not captured it yet. `change`
replaces parts of it, as the agent would when the control plane speaks; `reset` restores the first state.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from plait.base.bundle import Bundle, Resource
from plait.envoy import names
from plait.envoy.options import Options
from plait.envoy.roles import node
from plait.envoy.wire import resource
from plait.model.mesh import Membership, Mesh, NetworkAddress, Port, Service, Settings, Workload
from plait.model.policies import Policy
from plait.model.views.node import NodeState, NodeView, PodState, project
from plait.xds.cache import Lookup

from .envoys import Envoy, Xds, secrets, until
from .netlab import CAPTURED, PODS, Lab
from .pki import Authority

NODE_OF = {"na": ("a1", "a2"), "nb": ("b1", "b2")}
NAMESPACE = "default"


def identity(pod: str) -> str:
    return f"spiffe://cluster.local/ns/{NAMESPACE}/sa/{pod}"


def uid_of(pod: str) -> str:
    return f"Kubernetes//Pod/{NAMESPACE}/{pod}"


class DataPlane:
    """Started by `running`. `service_ip` is the address of service `web` (b1 and b2, port 80 to 8080)."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.authority = Authority()
        self.directory = directory
        self.service_ip = f"10.{lab.index}.128.10"
        self.xds = {name: Xds(str(directory / f"{name}.xds")) for name in NODE_OF}
        self.envoys: dict[str, Envoy] = {}
        self._secrets = {name: secrets(self.authority, [identity(p) for p in pods]) for name, pods in NODE_OF.items()}
        self.answers: dict[str, dict[str, Any]] = {}
        """Clusters that are answered instead of the translated ones, by on-demand name."""
        self.options = {
            name: Options(access_log=str(directory / f"{name}.access.log"), eager=0, live=1.0) for name in NODE_OF
        }
        self.reset()

    def _mesh(self) -> Mesh:
        web = Service(
            "web", NAMESPACE, "web.default.svc.cluster.local", (NetworkAddress(self.service_ip),), (Port(80, 8080),)
        )
        workloads = {}
        for pod in PODS:
            uid = uid_of(pod)
            services = (Membership(web.key, (Port(80, 8080),)),) if pod in ("b1", "b2") else ()
            workloads[uid] = Workload(
                uid=uid,
                name=pod,
                namespace=NAMESPACE,
                addresses=(self.lab.address(pod),),
                tunnel="hbone" if pod in CAPTURED else "none",
                service_account=pod,
                workload_name=f"{pod}-deployment",
                canonical_name=pod,
                canonical_revision="v1",
                services=services,
            )
        return Mesh(Settings(ranges=(self.lab.network,)), workloads, {web.key: web}, {})

    def change(
        self,
        *,
        policies: Iterable[Policy] | None = None,
        workloads: dict[str, dict[str, object]] | None = None,
        services: Iterable[Service] | None = None,
        settle: bool = True,
    ) -> None:
        """Replace the policies, the services, or fields of workloads by pod name, and tell the proxies."""
        old = self.mesh
        changed = dict(old.workloads)
        for pod, fields in (workloads or {}).items():
            changed[uid_of(pod)] = msgspec.structs.replace(changed[uid_of(pod)], **fields)
        self.mesh = Mesh(
            old.settings,
            changed,
            old.services if services is None else {s.key: s for s in services},
            old.policies if policies is None else {p.key: p for p in policies},
        )
        self.push()
        if settle:
            self.expect_settled()

    def forget(self, pod: str) -> None:
        """The pod is not described any more (its own node keeps its view until the next push of that node)."""
        workloads = {uid: workload for uid, workload in self.mesh.workloads.items() if uid != uid_of(pod)}
        self.mesh = Mesh(self.mesh.settings, workloads, self.mesh.services, self.mesh.policies)
        self.push(only="na")

    def view(self, node_name: str) -> NodeView:
        return project(self.mesh, NodeState(node_name, tuple(self.pods[node_name])))

    def reset(self) -> None:
        """Back to the first world, with the first secrets and pods."""
        self.mesh = self._mesh()
        self.secrets = dict(self._secrets)
        self.pods = {name: list(map(self.pod_state, pods)) for name, pods in NODE_OF.items()}
        self.answers.clear()
        if self.envoys:
            for xds in self.xds.values():
                xds.refused.clear()
            self.push()
            self.expect_settled()

    def pod_state(self, pod: str) -> PodState:
        return PodState(f"uid-{pod}", NAMESPACE, pod, pod, (self.lab.address(pod),), str(self.lab.netns(pod)))

    def push(self, only: str = "") -> None:
        """Tell the proxies what the present world, pods, secrets and answers are."""
        for name in [only] if only else NODE_OF:
            view = self.view(name)
            bundle = node.translate(view, self.options[name])
            self.xds[name].set(Bundle({**bundle.types, names.SECRET: self.secrets[name]}), self._lookup(view))

    def _lookup(self, view: NodeView) -> Lookup:
        def found(url: str, name: str) -> Resource | None:
            if url != names.CLUSTER or names.destination_of(name) is None:
                return None
            if name in self.answers:
                return resource(url, name, self.answers[name])
            return node.destination_resource(view, name)

        return found

    def settled(self) -> bool:
        """Every proxy has acknowledged everything, and listens."""
        states = [state for xds in self.xds.values() for state in xds.statistics()]
        listening = all(len(self.envoys[n].listeners()) >= 3 * len(self.pods[n]) for n in self.envoys)
        return bool(states) and all(state.settled and state.types for state in states) and listening

    def expect_settled(self) -> None:
        until(self.settled, "both proxies acknowledged their configuration")


@contextlib.contextmanager
def running(concurrency: int = 1) -> Iterator[DataPlane]:
    """A lab with two node proxies, ready."""
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="plait-envoy-") as held, contextlib.ExitStack() as stack:
        plane = DataPlane(lab, Path(held))
        for xds in plane.xds.values():
            stack.callback(xds.stop)
        plane.push()
        for name in NODE_OF:
            envoy = Envoy(lab.netns(name), plane.xds[name], name, concurrency, plane.directory)
            plane.envoys[name] = stack.enter_context(envoy)
        plane.expect_settled()
        yield plane

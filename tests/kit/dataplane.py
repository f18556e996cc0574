"""Two node proxies over a `Lab`: real Envoys, our views and translation, xDS from this process. What a trap test starts with.

The world is a `Mesh` made here: pods a1, a2 (node na) and b1, b2 (node nb) speak HBONE, `plain` does not. `change` replaces
parts of it, as the agent would when the control plane speaks.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from plait.base.bundle import Bundle, Resource
from plait.envoy import names
from plait.envoy.options import Options
from plait.envoy.roles import node
from plait.model.mesh import Membership, Mesh, NetworkAddress, Port, Service, Settings, Workload
from plait.model.policies import Policy
from plait.model.views.node import NodeState, NodeView, PodState, project

from .envoys import Envoy, Xds, secrets, until
from .netlab import CAPTURED, PODS, Lab
from .pki import Authority

NODE_OF = {"na": ("a1", "a2"), "nb": ("b1", "b2")}
NAMESPACE = "default"


def identity(pod: str) -> str:
    return f"spiffe://cluster.local/ns/{NAMESPACE}/sa/{pod}"


class DataPlane:
    """Started by `running`. `service_ip` is the address of service `web` (b1 and b2, port 80 to 8080)."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.authority = Authority()
        self.directory = directory
        self.service_ip = f"10.{lab.index}.128.10"
        self.xds = {name: Xds(str(directory / f"{name}.xds")) for name in NODE_OF}
        self.envoys: dict[str, Envoy] = {}
        self.secrets = {name: secrets(self.authority, [identity(p) for p in pods]) for name, pods in NODE_OF.items()}
        self.mesh = self._mesh()
        self.views: dict[str, NodeView] = {}
        self.options = {name: Options(access_log=str(directory / f"{name}.access.log"), eager=0) for name in NODE_OF}

    def _mesh(self) -> Mesh:
        web = Service(
            "web", NAMESPACE, "web.default.svc.cluster.local", (NetworkAddress(self.service_ip),), (Port(80, 8080),)
        )
        workloads = {}
        for pod in PODS:
            uid = f"Kubernetes//Pod/{NAMESPACE}/{pod}"
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
        self, *, policies: Iterable[Policy] | None = None, workloads: dict[str, dict[str, object]] | None = None
    ) -> None:
        """Replace the policies, or fields of workloads by pod name, and tell the proxies."""
        mesh = self.mesh
        if policies is not None:
            mesh = Mesh(mesh.settings, mesh.workloads, mesh.services, {p.key: p for p in policies})
        if workloads is not None:
            changed = dict(mesh.workloads)
            for pod, fields in workloads.items():
                uid = f"Kubernetes//Pod/{NAMESPACE}/{pod}"
                changed[uid] = msgspec.structs.replace(changed[uid], **fields)
            mesh = Mesh(mesh.settings, changed, mesh.services, mesh.policies)
        self.mesh = mesh
        self.push()

    def push(self) -> None:
        for name, pods in NODE_OF.items():
            states = tuple(
                PodState(f"uid-{pod}", NAMESPACE, pod, pod, (self.lab.address(pod),), str(self.lab.netns(pod)))
                for pod in pods
            )
            view = project(self.mesh, NodeState(name, states))
            self.views[name] = view
            bundle = node.translate(view, self.options[name])
            self.xds[name].set(Bundle({**bundle.types, names.SECRET: self.secrets[name]}), self._lookup(view))

    @staticmethod
    def _lookup(view: NodeView):  # type: ignore[no-untyped-def]
        def found(url: str, name: str) -> Resource | None:
            return (
                node.destination_resource(view, name) if url == names.CLUSTER and names.destination_of(name) else None
            )

        return found

    def settled(self) -> bool:
        """Every proxy has acknowledged everything."""
        return all(
            state.settled and state.types for xds in self.xds.values() for state in xds.cache.statistics()
        ) and all(len(self.envoys[name].listeners()) == 7 for name in NODE_OF)

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

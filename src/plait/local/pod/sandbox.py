"""A pod's sandbox: its network namespace and addresses, joined to the mesh by the hook, and the files in /etc."""

from __future__ import annotations

from pathlib import Path

from plait.base.observe import logger
from plait.local.pod import spec as podspec
from plait.local.pod.network import named_address
from plait.local.pod.node import Node
from plait.store.api import Document

_log = logger("kubelet")
_HOST_RESOLVER = Path("/etc/resolv.conf")


class Sandbox:
    """`attach` before any container starts, `release` when the last has ended."""

    def __init__(self, pod: Document, node: Node) -> None:
        self._node, self._uid = node, pod["metadata"]["uid"]
        self._host = bool(pod["spec"].get("hostNetwork"))
        self._attached = False
        self.addresses: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The first one: probes and hooks go there. "" until known."""
        return self.addresses[0] if self.addresses else ""

    @property
    def netns(self) -> Path:
        if self._host:
            return self._node.layout.netns(self._node.name)
        return self._node.network.namespace(self._uid)

    async def attach(self, pod: Document) -> None:
        """Raises also for the mesh's refusal to start the pod uncaptured."""
        if self._host:
            self.addresses = self._node.addresses
            return
        self.addresses = tuple(map(str, await self._node.network.attach(self._uid, named_address(pod))))
        self._attached = True
        await self._node.hook.attached(pod, self.netns, self.addresses)

    def write_files(self, pod: Document, etc: Path) -> None:
        """hosts, resolv.conf, hostname."""
        etc.mkdir(exist_ok=True)
        host = _HOST_RESOLVER.read_text() if _HOST_RESOLVER.exists() else ""
        dns = str(self._node.plan.first(self._node.plan.dns_service))
        for name, text in podspec.etc_files(pod, self.addresses, dns, host).items():
            (etc / name).write_text(text)
            (etc / name).chmod(0o644)

    def left(self, addresses: tuple[str, ...]) -> None:
        """A former kubelet attached it: `release` removes what is left of that."""
        self.addresses, self._attached = addresses, True

    async def release(self, pod: Document) -> None:
        if not self._attached:
            return
        try:
            await self._node.hook.detaching(pod, self.netns)
        except Exception as error:
            _log.error("the mesh's hook failed", pod=self._uid, error=repr(error))
        await self._node.network.detach(self._uid)
        self._attached = False

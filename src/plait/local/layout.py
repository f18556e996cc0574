"""Where one mesh keeps its files and what its parts are called: every path and socket, derived from one root.

One mesh = one name = one directory. Nothing of a mesh lies outside its directory but network namespaces
(`/run/netns/plait-<mesh>-…`) and, as root, one veth pair of the host.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

SOCKET_PATH_LIMIT = 107
"""Bytes in the path of a unix socket: `sun_path` of unix(7), less its closing zero."""
_LONGEST_SOCKET = "proxies/00000000-0000-0000-0000-000000000000/metrics.sock"


_NAME = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")
_NAMESPACES = r"(fab|node-[0-9]+(-zt)?|p-[0-9a-f]{10})"
"""What the names of a mesh's network namespaces end with: none of them ends as another mesh's does."""


class BadName(ValueError):
    """No mesh may be called that: its name stands in paths, and what is below them is deleted with it."""


def home() -> Path:
    """Directory of all meshes: $PLAIT_HOME, else /var/lib/plait for root, else ~/.local/state/plait."""
    if configured := os.environ.get("PLAIT_HOME"):
        return Path(configured)
    return Path("/var/lib/plait") if os.geteuid() == 0 else Path.home() / ".local/state/plait"


def short(uid: str) -> str:
    """Ten characters that stand for a pod's uid in names that must be short."""
    return blake2b(uid.encode(), digest_size=5).hexdigest()


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of the mesh `name` under `root` (= home()/name)."""

    name: str
    root: Path

    @classmethod
    def of(cls, name: str) -> Layout:
        if not _NAME.fullmatch(name):
            raise BadName(f"--name {name!r}: no name for a mesh; use letters, digits and dashes, at most 63")
        return cls(name, home() / name)

    @property
    def too_long(self) -> int:
        """By how many bytes the root is too long for the sockets below it; 0 when they all fit."""
        return max(0, len(os.fsencode(self.root / _LONGEST_SOCKET)) - SOCKET_PATH_LIMIT)

    @property
    def record(self) -> Path:
        """mesh.json: what was started (pids with start times, nodes, addresses); written first, removed last."""
        return self.root / "mesh.json"

    @property
    def lock(self) -> Path:
        return self.root.parent / f".{self.name}.lock"

    @property
    def database(self) -> Path:
        return self.root / "state.db"

    @property
    def pki(self) -> Path:
        """Keys and certificates of the API server and its clients (ca.crt, admin.crt …); mode 0700."""
        return self.root / "pki"

    @property
    def mesh_ca(self) -> Path:
        """Root certificate and key that sign workload identities; mode 0700."""
        return self.root / "mesh-ca"

    @property
    def readable(self) -> Path:
        """How security objects last were when the control plane could read them."""
        return self.root / "readable"

    @property
    def telling(self) -> Path:
        """The changes of ways that not every proxy has acknowledged."""
        return self.root / "telling.json"

    @property
    def providers(self) -> Path:
        """Where issuers of tokens said that their keys are."""
        return self.root / "providers.json"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def api_socket(self) -> Path:
        """The API server's unix socket (TLS inside, as on its TCP port)."""
        return self.root / "api.sock"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def node(self, node: str) -> Path:
        """State of one node: kubelet.sock, agent.sock, xds.sock, envoy logs, pods/<uid>/…"""
        return self.root / "nodes" / node

    def kubelet_socket(self, node: str) -> Path:
        return self.node(node) / "kubelet.sock"

    def agent_socket(self, node: str) -> Path:
        """The node agent's xDS (and SDS) socket for Envoys on this node."""
        return self.node(node) / "xds.sock"

    def command_socket(self, node: str) -> Path:
        """Where the node's agent takes commands of the mesh's owner."""
        return self.node(node) / "agent.sock"

    def pod(self, node: str, uid: str) -> Path:
        return self.node(node) / "pods" / uid

    @property
    def proxies(self) -> Path:
        """A folder for each L7 proxy, by the UID of its pod: what its node's agent and its container share."""
        return self.root / "proxies"

    def netns(self, suffix: str) -> Path:
        """A network namespace of this mesh, visible to `ip netns`: fabric `fab`, nodes by name, pods `p-<hash>`."""
        return Path("/run/netns") / f"plait-{self.name}-{suffix}"

    def is_netns(self, path: Path) -> bool:
        """Is it one of this mesh's, and not of one whose name only begins alike?"""
        return re.fullmatch(rf"plait-{re.escape(self.name)}-{_NAMESPACES}", path.name) is not None

    def pod_netns(self, uid: str) -> Path:
        return self.netns(f"p-{short(uid)}")

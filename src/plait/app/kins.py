"""What sidecars call, projected and translated once for each kin of them (`model.views.kin`), in step with the Mesh."""

from __future__ import annotations

from dataclasses import dataclass, field

from plait.envoy.l7 import outbound
from plait.envoy.l7.options import DEFAULT, Options
from plait.envoy.l7.outbound import Calls
from plait.envoy.l7.parts import Parts
from plait.model.mesh import Mesh
from plait.model.proxies import Proxy
from plait.model.views import outbound_projection
from plait.model.views.kin import kin


@dataclass(slots=True)
class _Kin:
    mesh: Mesh
    calls: Calls
    parts: Parts = field(default_factory=Parts)


class Kins:
    def __init__(self, options: Options = DEFAULT) -> None:
        self._options = options
        self._known: dict[Proxy, _Kin] = {}

    def __len__(self) -> int:
        return len(self._known)

    def calls(self, mesh: Mesh, proxy: Proxy) -> Calls:
        """What this sidecar and all of its kin call in this mesh."""
        who = kin(mesh, proxy)
        known = self._known.get(who)
        if known is None:
            parts = Parts()
            view = outbound_projection.project(mesh, who)
            known = self._known[who] = _Kin(mesh, outbound.of_kin(view, self._options, parts), parts)
        elif known.mesh is not mesh:
            view = outbound_projection.project(mesh, who, known.calls.view)
            if view is not known.calls.view:
                known.calls = outbound.of_kin(view, self._options, known.parts)
            known.mesh = mesh
        return known.calls

    def keep(self, mesh: Mesh) -> None:
        """Forget those that nobody has asked for in this mesh."""
        self._known = {who: known for who, known in self._known.items() if known.mesh is mesh}

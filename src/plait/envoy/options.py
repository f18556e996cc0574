"""What a node's owner decides about its Envoy, beside what the mesh says."""

from __future__ import annotations

from dataclasses import dataclass

from plait.base.wellknown import EAGER


@dataclass(frozen=True, slots=True)
class Options:
    """`access_log` is a path as Envoy sees it. Up to `eager` services their destinations are pushed before anybody asks
    for them; in a mesh that has more, each when its first connection asks. 0: always on demand."""

    access_log: str = "/dev/stdout"
    eager: int = EAGER
    live: float = 15.0
    """Seconds after which, and in which, the bytes of a living connection are counted; 0: at its end only."""
    shared_netns: str = ""
    """Node-level capture: the namespace whose three listeners serve every pod; "" when each pod has its own."""

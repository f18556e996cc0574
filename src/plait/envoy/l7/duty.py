"""What one chain of filters has to do besides forwarding; the same for requests and for bare connections."""

from __future__ import annotations

from dataclasses import dataclass

from plait.envoy.l7.authorization import Where
from plait.envoy.l7.points import Point
from plait.model.views.enforced import Enforced


@dataclass(frozen=True, slots=True)
class Duty:
    """`point`: who reports, and about whom. `enforced`: policies, plugins, telemetry. `where`: what says who calls.

    Without `enforces` the policies are somebody else's (this is a client's side); plugins and telemetry stay.
    """

    point: Point
    enforced: Enforced
    where: Where = "tls"
    enforces: bool = True

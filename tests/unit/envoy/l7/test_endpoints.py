"""One endpoint of a cluster: where it is, and where else."""

from __future__ import annotations

from plait.envoy.l7.endpoints import endpoint
from plait.model.views.upstreams import UpstreamEndpoint


def test_a_pod_of_both_families_is_tried_at_its_other_address_too() -> None:
    found = endpoint(UpstreamEndpoint("10.0.0.2", 80, others=("fd00::2",)))["endpoint"]
    assert found["address"]["socket_address"] == {"address": "10.0.0.2", "port_value": 80}
    (more,) = found["additional_addresses"]
    assert more["address"]["socket_address"] == {"address": "fd00::2", "port_value": 80}
    assert "additional_addresses" not in endpoint(UpstreamEndpoint("10.0.0.2", 80))["endpoint"]

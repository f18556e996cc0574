"""Fields that still work and have a successor, and what the mesh no longer knows."""

from __future__ import annotations

from collections.abc import Iterator

from plait.diagnose.evidence import Evidence
from plait.diagnose.messages import say
from plait.resources.networking.sidecar import Sidecar
from plait.resources.networking.virtual_service import VirtualService
from plait.resources.problems import Problem
from plait.resources.telemetry import Telemetry


def fields(evidence: Evidence) -> Iterator[Problem]:
    for each in evidence.all(VirtualService):
        for number, rule in enumerate(each.spec.http):
            delay = rule.fault.delay if rule.fault is not None else None
            if delay is not None and delay.percent:
                path = f"spec.http[{number}].fault.delay.percent"
                yield say("IST0002", each, path, "percent is deprecated; use percentage")
    for sidecar in evidence.all(Sidecar):
        policy = sidecar.spec.outbound_traffic_policy
        if policy is not None and policy.egress_proxy is not None:
            text = "egressProxy is deprecated, and Istio passes it over; route to the egress gateway instead"
            yield say("IST0002", sidecar, "spec.outboundTrafficPolicy.egressProxy", text)


def providers(evidence: Evidence) -> Iterator[Problem]:
    """Tracing to Lightstep's own protocol, which Envoy no longer has."""
    found = {each.name for each in evidence.config.extension_providers if each.lightstep is not None}
    for each in evidence.all(Telemetry):
        for number, tracing in enumerate(each.spec.tracing):
            for place, provider in enumerate(tracing.providers):
                if provider.name in found:
                    path = f"spec.tracing[{number}].providers[{place}].name"
                    text = f"{provider.name} is of type lightstep, which is deprecated; use opentelemetry"
                    yield say("IST0002", each, path, text)

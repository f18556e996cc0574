"""Telemetry that sends nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from plait.diagnose.evidence import Evidence
from plait.diagnose.messages import say
from plait.resources.problems import Problem
from plait.resources.telemetry import Telemetry


def without_provider(evidence: Evidence) -> Iterator[Problem]:
    """Tracing without a provider, neither here nor in the mesh configuration's defaults."""
    if evidence.mesh.l7.settings.tracing_sinks:
        return
    for each in evidence.all(Telemetry):
        for number, tracing in enumerate(each.spec.tracing):
            if not tracing.providers and not tracing.disable_span_reporting:
                text = "no provider is named here or in defaultProviders of the mesh configuration; name one"
                yield say("IST0157", each, f"spec.tracing[{number}].providers", text)

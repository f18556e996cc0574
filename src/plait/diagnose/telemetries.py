"""Telemetry that sends nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from plait.diagnose.evidence import Evidence
from plait.diagnose.messages import say
from plait.resources.problems import Problem
from plait.resources.telemetry import Telemetry


def without_provider(evidence: Evidence) -> Iterator[Problem]:
    """Tracing or access logs without a provider, neither here nor in the mesh configuration's defaults."""
    default, settings = evidence.config.default_providers, evidence.mesh.l7.settings
    for each in evidence.all(Telemetry):
        for number, tracing in enumerate(each.spec.tracing):
            if not settings.tracing_sinks and not tracing.providers and not tracing.disable_span_reporting:
                yield say("IST0157", each, f"spec.tracing[{number}].providers", _text("tracing"))
        for number, logging in enumerate(each.spec.access_logging):
            if not default.access_logging and not logging.providers and not logging.disabled:
                yield say("IST0157", each, f"spec.accessLogging[{number}].providers", _text("accessLogging"))


def _text(field: str) -> str:
    return f"no provider is named here or in defaultProviders.{field} of the mesh configuration; name one"

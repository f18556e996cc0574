"""Admission webhooks that call a Service which is not there: every object they are asked about is refused."""

from __future__ import annotations

from collections.abc import Iterator

from plait.diagnose.evidence import Evidence, part
from plait.diagnose.messages import say
from plait.resources import kinds
from plait.resources.kubernetes import Service
from plait.resources.problems import Problem

_KINDS = {kinds.MUTATING_WEBHOOK.kind, kinds.VALIDATING_WEBHOOK.kind}


def missing_service(evidence: Evidence) -> Iterator[Problem]:
    services = evidence.objects.all(Service)
    for each in evidence.written:
        hooks = each.document.get("webhooks") if each.kind in _KINDS else None
        for number, hook in enumerate(hooks if isinstance(hooks, list) else ()):
            service = part(hook, "clientConfig", "service")
            name = str(service.get("namespace") or ""), str(service.get("name") or "")
            if service and name not in services:
                text = f"Service {'/'.join(name)} does not exist; create it or delete this webhook"
                yield say("IST0139", each, f"webhooks[{number}].clientConfig.service", text)

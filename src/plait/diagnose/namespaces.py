"""Namespaces: are they in the mesh, and by one word only?"""

from __future__ import annotations

from collections.abc import Iterator

from plait.base.wellknown import DATAPLANE_MODE, INJECTION
from plait.diagnose import injectors
from plait.diagnose.evidence import REVISION, SYSTEM, Evidence
from plait.diagnose.messages import say
from plait.resources.kubernetes import Namespace
from plait.resources.problems import Problem


def outside(evidence: Evidence) -> Iterator[Problem]:
    """Namespaces about which nobody said whether they are in the mesh."""
    injecting = injectors.everywhere(injectors.values(evidence).get(injectors.DEFAULT, {}))
    for each in evidence.all(Namespace):
        if each.name in SYSTEM or each.name == evidence.root:
            continue
        if not {INJECTION, REVISION, DATAPLANE_MODE} & each.meta.labels.keys():
            if injecting:
                text = f"it says nothing, so sidecars are injected (enableNamespacesByDefault); label it {INJECTION}"
                yield say("IST0148", each, "metadata.labels", text)
                continue
            text = (
                f"not in the mesh; label it {DATAPLANE_MODE}=ambient or {INJECTION}=enabled, or {DATAPLANE_MODE}=none"
            )
            yield say("IST0102", each, "metadata.labels", text)


def at_odds(evidence: Evidence) -> Iterator[Problem]:
    """Labels that say two things."""
    for each in evidence.all(Namespace):
        labels = each.meta.labels
        if INJECTION in labels and REVISION in labels:
            text = f"{INJECTION} and {REVISION} are both set, and the first wins; remove one"
            yield say("IST0123", each, "metadata.labels", text)
        injected = labels.get(INJECTION) == "enabled" or (INJECTION not in labels and REVISION in labels)
        if injected and labels.get(DATAPLANE_MODE) == "ambient":
            text = f"sidecars are injected and {DATAPLANE_MODE} is ambient; pods get a sidecar. Remove one label"
            yield say("IST0123", each, f"metadata.labels[{DATAPLANE_MODE}]", text)

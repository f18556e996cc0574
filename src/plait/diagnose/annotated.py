"""Annotations of Istio's domain: unknown ones, misplaced ones, wrong values, and those better not used."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from plait.diagnose.annotation_table import ANNOTATIONS, INGRESS_CLASS
from plait.diagnose.evidence import Evidence, Workload, Written
from plait.diagnose.messages import say
from plait.resources.problems import Problem

_NOT_FOR_USERS = ("internal.istio.io/", "install.operator.istio.io/")


def wrong(evidence: Evidence) -> Iterator[Problem]:
    for about, kind, where, found in _annotated(evidence):
        for name, value in found.items():
            if _istio(name) and isinstance(value, str):
                yield from _judged(about, kind, f"{where}[{name}]", name, value)


def _judged(about: Written | Workload, kind: str, path: str, name: str, value: str) -> Iterator[Problem]:
    known = ANNOTATIONS.get(name)
    if known is None:
        close = difflib.get_close_matches(name, ANNOTATIONS, n=1)
        yield say(
            "IST0108", about, path, f"no such annotation; {f'did you mean {close[0]}?' if close else 'remove it'}"
        )
        return
    if known.kinds and kind not in known.kinds:
        text = f"means nothing on a {kind}; put it on a {' or '.join(sorted(known.kinds))}"
        yield say("IST0107", about, path, text)
    elif why := known.check(value):
        yield say("IST0125", about, path, f"{why}; mend the value")
    if known.stage == "deprecated" and name not in about.labels:  # of some a label took the place
        yield say("IST0135", about, path, f"deprecated; use {known.instead}")
    elif known.stage == "alpha" and (not known.kinds or kind in known.kinds):
        yield say("IST0136", about, path, "at alpha stage: it may change or go; do not depend on it")


def _annotated(evidence: Evidence) -> Iterable[tuple[Written | Workload, str, str, Mapping[str, str]]]:
    for each in evidence.written:
        yield each, each.kind, "metadata.annotations", each.annotations
    for workload in evidence.workloads:
        if workload.path != "spec":
            yield workload, "Pod", "spec.template.metadata.annotations", workload.annotations


def _istio(name: str) -> bool:
    domain = name.partition("/")[0]
    ours = domain == "istio.io" or domain.endswith(".istio.io")
    return name == INGRESS_CLASS or (ours and not name.startswith(_NOT_FOR_USERS))

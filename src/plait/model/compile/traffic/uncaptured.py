"""Pods to whose sidecar nothing is redirected: it is said of each, for only what comes by its proxy is judged there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from plait.model.attachment import carries
from plait.model.compile.traffic.report import UNCAPTURED, Report
from plait.model.http_services import Instance
from plait.model.mesh import Workload
from plait.model.sidecars import SidecarScope
from plait.resources.problems import Problem
from plait.resources.redirection import MODE

_TEXT = (
    "interception mode NONE: who connects to the application's own port meets neither mutual TLS nor policies; let it"
    " listen at 127.0.0.1, and name it as defaultEndpoint of an ingress listener in a Sidecar"
)


def told(
    instances: Mapping[str, Instance], workloads: Mapping[str, Workload], sidecars: Mapping[str, SidecarScope]
) -> Iterator[Problem]:
    """Of each for which no Sidecar of its namespace says where its application is."""
    listening = [each for each in sidecars.values() if each.ingress]
    for uid, instance in instances.items():
        workload = workloads.get(uid)
        if not instance.uncaptured or workload is None:
            continue
        labels = dict(instance.labels)
        if not any(each.namespace == workload.namespace and carries(labels, each.selector) for each in listening):
            report = Report("Pod", workload.namespace, workload.name)
            report.say(UNCAPTURED, f"metadata.annotations[{MODE}]", _TEXT)
            yield from report.problems

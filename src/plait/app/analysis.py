"""Manifests, or the objects of a running mesh -> everything that is wrong with them, worst first.

Three sources: what validation says of single documents, what compile says of the whole, what analyzers say of both.
Pods of Deployments that have none are made up for compile, so that files alone can be judged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from plait.app import standins
from plait.app.offline import World
from plait.app.pipeline import READ
from plait.diagnose.analysis import Suppression, analyze, heard, told_by_analyzers
from plait.diagnose.evidence import TEMPLATED, Evidence
from plait.model.mesh import Settings
from plait.resources import codes, kinds
from plait.resources.kinds import Kind
from plait.resources.problems import Problem
from plait.store.api import Api, ApiError

Document = dict[str, Any]
KINDS: tuple[Kind, ...] = (*READ, *TEMPLATED, kinds.MUTATING_WEBHOOK, kinds.VALIDATING_WEBHOOK)
"""Everything that is read of a running mesh."""


def analyzed(
    documents: Iterable[Document],
    settings: Settings,
    problems: Iterable[Problem] = (),
    *,
    config: str | None = None,
    suppressions: Iterable[Suppression] = (),
    installed: bool = True,
    now: float | None = None,
) -> tuple[Problem, ...]:
    """`problems` are those of reading; `config` is a mesh configuration that comes beside the documents. Where the mesh
    is not `installed`, documents are all there is, and what every installation has is thought beside them."""
    written = list(documents)
    if not installed:
        written += _ingress(written, settings.root_namespace)
    world = World([*written, *_stand_ins(written)], settings, problems, config)
    evidence = Evidence(written, world.objects, world.mesh, now)
    found = [each for each in world.problems if each.code != codes.ASSUMED and not told_by_analyzers(each)]
    return heard((*found, *analyze(evidence)), evidence, suppressions)


def _ingress(written: list[Document], root: str) -> list[Document]:
    """The ingress gateway that most manifests are written for, unless they bring one: its pod and its Service."""
    labels = {"istio": "ingressgateway"}
    if any(labels.items() <= _carried(each).items() for each in written):
        return []
    metadata = {"name": "istio-ingressgateway", "namespace": root}
    ports = [{"name": name, "port": number, "protocol": "TCP"} for name, number in _INGRESS_PORTS]
    container = {"name": "istio-proxy", "image": "auto-injected"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**metadata, "labels": labels},
            "spec": {"containers": [container]},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**metadata, "labels": labels},
            "spec": {"selector": labels, "ports": ports},
        },
    ]


_INGRESS_PORTS = (("http2", 80), ("https", 443), ("tcp", 31400), ("tls", 15443))


def _carried(each: Document) -> Document:
    """The labels of pods that this is, or makes."""
    kind = kinds.by_document(each)
    if kind == kinds.POD:
        return standins.part(each, "metadata", "labels")
    return standins.part(each, "spec", "template", "metadata", "labels") if kind in TEMPLATED else {}


def _stand_ins(written: list[Document]) -> list[Document]:
    """A pod for every template of which no pod is described."""
    pods = [each for each in written if kinds.by_document(each) == kinds.POD]
    found: list[Document] = []
    for each in written:
        if kinds.by_document(each) not in TEMPLATED:
            continue
        template, (namespace, name) = standins.part(each, "spec", "template"), standins.named(each)
        labels = standins.part(template, "metadata", "labels")
        taken = any(
            standins.named(pod)[0] == namespace and labels.items() <= standins.part(pod, "metadata", "labels").items()
            for pod in pods
        )
        if labels and not taken:
            address = f"198.18.{len(found) // 250}.{len(found) % 250 + 1}"  # of the benchmark range: nobody's
            metadata = {**standins.part(template, "metadata"), "name": f"{name}-offline", "namespace": namespace}
            spec, status = standins.part(template, "spec"), {"podIP": address}
            found.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status})
    return found


async def listed(api: Api) -> list[Document]:
    """Every object of a running mesh that analysis reads. Kinds that the server does not have are passed over."""

    async def of(kind: Kind) -> list[Document]:
        try:
            found, _ = await api.list(kind)
        except ApiError as error:
            if error.code == 404:
                return []
            raise
        return found

    return [each for found in await asyncio.gather(*map(of, KINDS)) for each in found]

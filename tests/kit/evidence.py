"""Documents to what one analyzer says of them: (code, object's name, path)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kit import documents as d
from plait.diagnose.evidence import Evidence
from plait.model.compile import compile
from plait.resources.objects import from_documents
from plait.resources.problems import Problem

ISTIO = "networking.istio.io/v1"


def evidence(*documents: d.Document) -> Evidence:
    objects, wrong = from_documents(documents, check=False)
    assert not wrong, wrong
    return Evidence(documents, objects, compile(objects)[0])


def said(analyzer: Callable[[Evidence], Iterator[Problem]], *documents: d.Document) -> list[tuple[str, str, str]]:
    found = list(analyzer(evidence(*documents)))
    assert all(problem.message for problem in found)
    return [(problem.code, problem.name, problem.path) for problem in found]


def codes(analyzer: Callable[[Evidence], Iterator[Problem]], *documents: d.Document) -> list[str]:
    return [code for code, _, _ in said(analyzer, *documents)]


def namespace(name: str = "shop", /, **labels: str) -> d.Document:
    named = {key.replace("_", "-"): value for key, value in labels.items()}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": named}}


def deployment(name: str = "web", /, image: str = "web", labels: d.Document | None = None, **spec: Any) -> d.Document:
    annotations = spec.pop("annotations", {})
    carried = {"app": name, **(labels or {})}
    template = {
        "metadata": {"labels": carried, "annotations": annotations},
        "spec": {"containers": [{"name": "app", "image": image}], **spec},
    }
    return d.document(
        "apps/v1", "Deployment", name, spec={"selector": {"matchLabels": {"app": name}}, "template": template}
    )


def istio(kind: str, name: str, namespace: str = "shop", /, **spec: Any) -> d.Document:
    return d.document(ISTIO, kind, name, namespace, spec=spec)


INJECTED = namespace(istio_injection="enabled")
AMBIENT = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "shop", "labels": {"istio.io/dataplane-mode": "ambient"}},
}

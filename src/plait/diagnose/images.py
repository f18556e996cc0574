"""Proxies that run another image than injection would give them now: they are older than the control plane."""

from __future__ import annotations

from collections.abc import Iterator

from plait.base.wellknown import INJECTION, PROXY_CONTAINER
from plait.diagnose import injectors
from plait.diagnose.evidence import REVISION, Evidence, Workload
from plait.diagnose.messages import say
from plait.resources.kubernetes import Namespace
from plait.resources.mesh_config import mesh as mesh_config
from plait.resources.problems import Problem

_CONFIG = "proxy.istio.io/config"
_CHOSEN = "sidecar.istio.io/proxyImage"


def outdated(evidence: Evidence) -> Iterator[Problem]:
    """Told once for a namespace, as a restart mends it."""
    values = injectors.values(evidence)
    for each in evidence.all(Namespace) if values else ():
        revision = each.meta.labels.get(REVISION) or injectors.DEFAULT
        if REVISION not in each.meta.labels and each.meta.labels.get(INJECTION) != "enabled":
            continue
        image = injectors.image(values.get(revision, {}))
        found = [w for w in evidence.inside(each.name) if w.kind == "Pod" and not w.annotations.get(_CHOSEN)]
        names = [pod.name for pod in found if image and not _current(evidence, pod, image)]
        if names:
            text = f"the proxies of {', '.join(names)} are not {image}; make them again (kubectl rollout restart)"
            yield say("IST0158", each, "metadata.name", text)


def _current(evidence: Evidence, pod: Workload, image: str) -> bool:
    kind = _kind(evidence, pod)
    fine = {image, f"{image}-{kind}"} if kind else {image}
    inits = pod.spec.get("initContainers") or []
    containers = [each for each in (*pod.containers, *inits) if isinstance(each, dict)]
    return all(each.get("image") in fine for each in containers if each.get("name") == PROXY_CONTAINER)


def _kind(evidence: Evidence, pod: Workload) -> str:
    """`distroless`, `debug`: of the pod's own configuration, else of the mesh's."""
    config = evidence.config.default_config
    if text := pod.annotations.get(_CONFIG):
        config = mesh_config.overlaid(config, text, _CONFIG)[0]
    return config.image.image_type if config.image is not None else ""

"""`plait bench control`: what one edited object costs the control plane, by the number of connected sidecars.

In this process, without a network and without Envoy: compiling, projecting, translating and encoding for every proxy
that is connected, as the control process does it, in CPU time. Needs no mesh and no root.
"""

from __future__ import annotations

import gc
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from plait.app.proxy_caches import ProxyCaches
from plait.model.compile import compile
from plait.model.mesh import Mesh
from plait.resources.decode import decode
from plait.resources.meta import Resource
from plait.resources.objects import Objects, key_of

Ports = Literal["http", "unnamed"]
_NAMESPACE = "bench"


@dataclass(frozen=True, slots=True)
class Wanted:
    """`ports`: what services say of their protocol. Of `unnamed` ones the bytes tell, which is more to configure."""

    services: int = 1000
    sidecars: tuple[int, ...] = (1, 20, 200)
    ports: Ports = "http"
    edits: int = 10


@dataclass(frozen=True, slots=True)
class Row:
    """Milliseconds of CPU, the median over edits; `memory` is the resident memory of this process in MB."""

    sidecars: int
    edit: str
    compile: float
    proxies: float
    each: float
    memory: float


class _Connected:
    """Stands for a proxy's stream that has answered everything."""

    name, answered = "bench", 1 << 62

    def statistics(self) -> object:
        return None


def run(wanted: Wanted, tell: Callable[[str], None]) -> list[Row]:
    """Rows for each number of sidecars, in ascending order: memory only grows within a process."""
    most = max(wanted.sidecars)
    documents = [_service(n, wanted.ports) for n in range(wanted.services)]
    documents += [_virtual_service(n, 0) for n in range(wanted.services)]
    objects = Objects().with_(*map(_typed, documents), *(_typed(_pod(n, 0)) for n in range(most)))
    mesh, _ = compile(objects)
    many = min(most, wanted.services)
    return [
        row for sidecars in sorted(wanted.sidecars) for row in _rows(objects, mesh, sidecars, many, wanted.edits, tell)
    ]


def _rows(
    objects: Objects, mesh: Mesh, sidecars: int, many: int, edits: int, tell: Callable[[str], None]
) -> Iterator[Row]:
    """With so many connected; edits go around the first `many` objects of a kind."""
    world = [mesh]
    caches = ProxyCaches(lambda: world[-1], lambda name: None)
    began = time.process_time()
    for number in range(sidecars):
        caches.cache("sidecar", _NAMESPACE, f"pod-{number}").attach(_Connected(), lambda: None)
    first = time.process_time() - began
    tell(f"{sidecars} sidecars connected: {first * 1000 / sidecars:.1f} ms of CPU each")
    yield _row(sidecars, "(connecting)", 0.0, first)
    for edit, changed in (("VirtualService", _virtual_service), ("Pod ready or not", _pod)):
        took: list[tuple[float, float]] = []
        for number in range(1, edits + 1):
            objects = objects.with_(_typed(changed(number % many, number)))
            gc.collect()
            took.append(_told(objects, world, caches))
        compiled, told = zip(*took, strict=True)
        yield _row(sidecars, edit, statistics.median(compiled), statistics.median(told))
    objects = objects.without(key_of(_typed(_virtual_service(0, 0))))
    yield _row(sidecars, "VirtualService gone", *_told(objects, world, caches))


def _told(objects: Objects, world: list[Mesh], caches: ProxyCaches) -> tuple[float, float]:
    """Seconds of CPU until compiled, and from then until all are told."""
    began = time.process_time()
    world.append(compile(objects, world[-1])[0])
    compiled = time.process_time()
    caches.changed()
    return compiled - began, time.process_time() - compiled


def _row(sidecars: int, edit: str, compiled: float, told: float) -> Row:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ms = 1000.0
    return Row(
        sidecars, edit, round(compiled * ms, 1), round(told * ms, 1), round(told * ms / sidecars, 2), round(memory)
    )


def _typed(document: dict[str, Any]) -> Resource:
    found, problems = decode(document)
    assert found is not None, problems
    return found


def _object(version: str, kind: str, name: str, spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": _NAMESPACE, **more}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _service(number: int, ports: Ports) -> dict[str, Any]:
    port = {"port": 80, **({"name": "http"} if ports == "http" else {})}
    address = f"10.96.{number >> 8}.{number & 255}"
    spec = {"clusterIP": address, "selector": {"app": f"service-{number}"}, "ports": [port]}
    return _object("v1", "Service", f"service-{number}", spec)


def _virtual_service(number: int, version: int) -> dict[str, Any]:
    name = f"service-{number}"
    there = {"route": [{"destination": {"host": name}}]}
    rules = [{"match": [{"uri": {"prefix": f"/v{version}"}}], **there}, there]
    return _object("networking.istio.io/v1", "VirtualService", name, {"hosts": [name], "http": rules})


def _pod(number: int, version: int) -> dict[str, Any]:
    """Of the service of its number, with a sidecar; ready in even versions."""
    found = _object(
        "v1",
        "Pod",
        f"pod-{number}",
        {"nodeName": f"node-{number % 2}", "serviceAccountName": "default", "containers": [{"name": "app"}]},
        labels={"app": f"service-{number}"},
        annotations={"sidecar.istio.io/status": "{}"},
        uid=f"{number}",
    )
    ready = {"type": "Ready", "status": "True" if version % 2 == 0 else "False"}
    address = f"10.1.{number >> 8}.{number & 255}"
    return {**found, "status": {"phase": "Running", "podIP": address, "conditions": [ready]}}


def table(rows: list[Row]) -> Iterator[dict[str, object]]:
    for row in rows:
        yield {
            "sidecars": row.sidecars,
            "edit": row.edit,
            "compile ms": row.compile,
            "all proxies ms": row.proxies,
            "a proxy ms": row.each,
            "memory MB": row.memory,
        }

"""What people call pods and services on a command line -> workloads of the mesh."""

from __future__ import annotations

from collections.abc import Iterator

from plait.diagnose.binding import Called
from plait.model.index import index_of
from plait.model.mesh import Mesh, Workload


class Unknown(Exception):
    """Nothing of this name; the text says what there is."""


def pod(mesh: Mesh, name: str) -> Workload:
    """`NS/POD`, or the first pod of `NS/DEPLOYMENT`; without a namespace it is in default."""
    namespace, bare = _split(name)
    here = [each for _, each in sorted(mesh.workloads.items()) if each.namespace == namespace]
    exact = next((each for each in here if each.name == bare), None)
    found = exact or next((each for each in here if each.workload_name == bare), None)
    if found is None:
        there = ", ".join(sorted({each.name for each in here})) or "none"
        elsewhere = {each.namespace for each in mesh.workloads.values() if bare in (each.name, each.workload_name)}
        raise Unknown(f"no pod {namespace}/{bare}; there is: {there}{_meant(elsewhere, bare)}")
    return found


def called(mesh: Mesh, name: str) -> tuple[Called, ...]:
    """`NS/SERVICE[:PORT]` with every pod behind it, else `[pod/]NS/POD:PORT` by its own address."""
    name, _, text = name.partition(":")
    address = name.count("/") == 2 and name.startswith("pod/")
    name = name.removeprefix("pod/") if address else name
    if text and not text.isdigit():
        raise Unknown(f"{text!r} is no port number; write NAMESPACE/NAME:PORT")
    port, (namespace, bare) = int(text or 0), _split(name)
    service = next((s for s in mesh.l7.services.values() if (s.namespace, s.name) == (namespace, bare)), None)
    service = None if address else service
    if service is None:
        if not port:
            there = ", ".join(sorted(s.name for s in mesh.l7.services.values() if s.namespace == namespace)) or "none"
            elsewhere = {s.namespace for s in mesh.l7.services.values() if s.name == bare}
            text = f"no service {namespace}/{bare} (there is: {there}{_meant(elsewhere, bare)})"
            raise Unknown(f"{text}; of a pod say the port too: NS/POD:PORT")
        return (Called(pod(mesh, name), None, port, port),)
    numbers = [each.number for each in service.ports]
    if not port and len(numbers) == 1:
        port = numbers[0]
    if port not in numbers:
        asked = f"no port {port}" if port else "several ports"
        there = ", ".join(map(str, numbers))
        raise Unknown(f"service {namespace}/{bare} has {asked}; say one of {there} (of a pod: pod/{name}:PORT)")
    found = tuple(
        Called(each, service, port, target)
        for each in sorted(index_of(mesh).workloads_of(service.key), key=lambda w: w.uid)
        for target in _targets(each, service.key, port)
    )
    if not found:
        raise Unknown(f"service {namespace}/{bare} has no pods at port {port}; nothing can be said about them")
    return found


def _meant(namespaces: set[str], name: str) -> str:
    """A namespace was forgotten, or the wrong one said."""
    return f"; did you mean {' or '.join(f'{each}/{name}' for each in sorted(namespaces))}?" if namespaces else ""


def _split(name: str) -> tuple[str, str]:
    namespace, _, bare = name.rpartition("/")
    return namespace or "default", bare


def _targets(workload: Workload, service: str, port: int) -> Iterator[int]:
    for membership in workload.services:
        if membership.service == service:
            yield from (each.target or each.service for each in membership.ports if each.service == port)

"""What the controller of Gateways reads: the kinds with their indexes, and the plan that a Gateway is by them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from plait.deploy import operation, overlays, pooled
from plait.deploy.operation import Operation
from plait.deploy.overlays import Refused
from plait.deploy.plans import Plan
from plait.model import pool as naming
from plait.model.compile.seen import CONFIG_MAP, sees, selectors_of
from plait.model.compile.traffic.gateway_api import classes
from plait.model.compile.traffic.gateway_api.compiling import allowed_sets
from plait.resources import kinds
from plait.resources.decode import decode
from plait.resources.gateway_api.gateway import Gateway
from plait.resources.kinds import Kind
from plait.resources.objects import Objects
from plait.store.api import Document
from plait.store.informer import Informer, Key

READ = (
    kinds.GATEWAY,
    kinds.GATEWAY_CLASS,
    kinds.LISTENER_SET,
    kinds.NAMESPACE,
    kinds.CONFIG_MAP,
    kinds.SERVICE,
    kinds.ENDPOINT_SLICE,
    kinds.POD,
)
"""Kinds whose informers it is given: that of EndpointSlices with the index `SERVICE_INDEX`, of Pods `POD_INDEX`."""
SERVICE_INDEX, POD_INDEX = "service", "gateway"


def slice_service(document: Document) -> tuple[str, ...]:
    """The indexer: EndpointSlices by "namespace/service"."""
    metadata = document["metadata"]
    name = (metadata.get("labels") or {}).get("kubernetes.io/service-name")
    return (f"{metadata['namespace']}/{name}",) if name else ()


def pod_gateway(pod: Document) -> tuple[str, ...]:
    """The indexer of Pods: by the Gateway ("namespace/name") they were made for."""
    metadata = pod["metadata"]
    account = pod["spec"].get("serviceAccountName") or "default"
    found = naming.gateway_of(metadata["namespace"], metadata.get("labels") or {}, account)
    return (found,) if found else ()


def _owners(document: Document) -> list[str]:
    """The indexer: by the UID of the Gateway that controls it."""
    references = document["metadata"].get("ownerReferences") or ()
    return [each["uid"] for each in references if each.get("controller") and each.get("kind") == kinds.GATEWAY.kind]


def of_pool(document: Document) -> list[Key]:
    """The Gateway that an object of the pool is there for."""
    found = pooled.gateway(document)
    return [found] if found is not None else []


MADE_INDEXERS: Mapping[str, Callable[[Document], Iterable[str]]] = {
    "owner": _owners,
    "pool": lambda document: ["/".join(key) for key in of_pool(document)],
}
"""Of what the controller makes: by the Gateway that owns it, and by the one it is in the pool for."""


def known(informers: Mapping[Kind, Informer], class_name: str) -> bool:
    """Is there such a class?"""
    return class_name in classes.BUILT_IN or informers[kinds.GATEWAY_CLASS].get(class_name) is not None


def planned(informers: Mapping[Kind, Informer], gateway: Gateway) -> Plan | None:
    """None: somebody else's class."""
    found, name = _typed(informers, kinds.GATEWAY_CLASS), gateway.ident
    runs = classes.runs(gateway.spec.gateway_class_name, found.of(kinds.GATEWAY_CLASS))
    if runs is None:
        return None
    if gateway.spec.allowed_listeners is None:
        return Plan(gateway, runs)
    sets = allowed_sets(_typed(informers, kinds.LISTENER_SET, kinds.NAMESPACE), {name: gateway})
    return Plan(gateway, runs, tuple(sets[name]))


def seen(informers: Mapping[Kind, Informer], namespace: str, root_namespace: str) -> bool:
    """Whether the mesh looks into this namespace at all (`discoverySelectors`)."""
    config, space = (
        informers[kinds.CONFIG_MAP].get(CONFIG_MAP, root_namespace),
        informers[kinds.NAMESPACE].get(namespace),
    )
    selectors = selectors_of(((config or {}).get("data") or {}).get("mesh", ""))
    return sees(selectors, namespace, ((space or {}).get("metadata") or {}).get("labels") or {}, root_namespace)


class Wish(NamedTuple):
    """How its proxies are to be operated, whether in the pool, and what is merged into their documents."""

    operation: Operation
    managed: bool
    parameters: Mapping[str, tuple[Document, ...]]


def wished(plan: Plan, maps: Mapping[Key, Document], root_namespace: str) -> Wish | Refused:
    """By the Gateway's annotations and the ConfigMaps of its class and its own."""
    where = overlays.config_map(plan)
    usual = overlays.defaults(plan, (each for key, each in maps.items() if key[0] == root_namespace))
    own = overlays.overlays(plan, maps.get(where) if where else None)
    if isinstance(usual, Refused):
        return usual
    if isinstance(own, Refused):
        return own
    said, wrong = operation.read(plan.annotations, own.get(operation.PARAMETER, {}), waypoint=plan.waypoint)
    if wrong:
        return Refused("; ".join(map(str, wrong)))
    managed, parameters = said.placement == "managed" and plan.managed, overlays.stacked(usual, own)
    if managed and (why := pooled.refused(parameters)):
        return Refused(why)
    return Wish(said, managed, parameters)


def _typed(informers: Mapping[Kind, Informer], *wanted: Kind) -> Objects:
    found = (decode(each)[0] for kind in wanted for each in informers[kind].cache.values())
    return Objects().with_(*(each for each in found if each is not None))

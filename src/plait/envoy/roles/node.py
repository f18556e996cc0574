"""How a NodeView is said to Envoy: `translate` for what is pushed, `destination_cluster` for what is asked on demand.

Per pod: three listeners, one route, two authorization filters. Per node: four clusters and the internal listener. A
pod's documents depend on that pod alone, so equal pods encode to the same resource objects again.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from plait.base.bundle import Bundle, Resource
from plait.base.wellknown import CLASSIC_LOCAL_MARK, PROXY_MARK
from plait.envoy import classic, clusters, hbone, listeners, names, rbac
from plait.envoy.options import Options
from plait.envoy.pieces import Doc
from plait.envoy.wire import resource
from plait.model.views.destinations import Destination
from plait.model.views.node import LocalPod, NodeView

DEFAULT = Options()


def translate(view: NodeView, options: Options = DEFAULT) -> Bundle:
    """Everything pushed to this node's Envoy. Secrets are the agent's: it holds the keys."""
    return Bundle(
        {
            url: {name: resource(url, name, document) for name, document in named}
            for url, named in (
                (names.CLUSTER, _clusters(view, options)),
                (names.LISTENER, _listeners(view, options)),
                (names.ROUTE, _routes(view)),
                (names.EXTENSION, _extensions(view)),
            )
        }
    )


def destination_cluster(view: NodeView, name: str, options: Options = DEFAULT) -> Doc:
    """The answer to an on-demand cluster name; a name of another shape is answered with nowhere to go."""
    wanted = names.destination_of(name)
    if wanted is None:
        return clusters.blackhole(name)
    return clusters.destination(name, _found(view, *wanted), _mark(options), families=view.families)


def destination_resource(view: NodeView, name: str, options: Options = DEFAULT) -> Resource:
    """The same, encoded: what the agent serves when Envoy subscribes to `name`, and again whenever it changes."""
    return resource(names.CLUSTER, name, destination_cluster(view, name, options))


def secret_names(view: NodeView) -> tuple[str, ...]:
    """Identities of which this node must hold certificates; the roots' secret is `names.ROOT_SECRET`."""
    return tuple(sorted({pod.identity for pod in view.local}))


def documents(view: NodeView, options: Options = DEFAULT) -> dict[str, list[Doc]]:
    """The same configuration as readable documents, by the words people use for them."""
    found = [document for _, document in _clusters(view, options)]
    return {
        "clusters": found,
        "listeners": [document for _, document in _listeners(view, options)],
        "routes": [document for _, document in _routes(view)],
        "extensions": [document for _, document in _extensions(view)],
        "endpoints": [document["load_assignment"] for document in found if document.get("load_assignment")],
        "secrets": [{"name": name} for name in (*secret_names(view), names.ROOT_SECRET)] if view.local else [],
    }


def _mark(options: Options) -> int:
    return CLASSIC_LOCAL_MARK if options.shared_netns else PROXY_MARK


def _found(view: NodeView, address: str, port: int) -> Destination:
    return view.destination(address, port)


def _clusters(view: NodeView, options: Options) -> Iterator[tuple[str, Doc]]:
    for document in clusters.classic(dual=view.dual) if options.shared_netns else clusters.shared(dual=view.dual):
        yield document["name"], document
    if not view.local:
        return
    if len(view.mesh.services) <= options.eager:
        families = view.families
        for address, port in sorted(view.destinations()):
            name, found = names.on_demand(address, port), _found(view, address, port)
            # Names are looked up when somebody asks: until they are, Envoy would not begin to listen.
            if not any(end.named for end in found.endpoints):
                yield name, clusters.destination(name, found, _mark(options), families=families)


def _listeners(view: NodeView, options: Options) -> Iterator[tuple[str, Doc]]:
    if view.local:
        document = hbone.tunnel_listener(options)
        yield document["name"], document
    every = [list(_of_pod(view, pod, options)) for pod in view.local]
    for document in classic.shared(every, view) if options.shared_netns else chain.from_iterable(every):
        yield document["name"], document


def _of_pod(view: NodeView, pod: LocalPod, options: Options) -> Iterator[Doc]:
    yield listeners.outbound(view, pod, options)
    yield hbone.inbound(view, pod, options)
    yield listeners.inbound_plaintext(pod, options)


def _routes(view: NodeView) -> Iterator[tuple[str, Doc]]:
    for pod in view.local:
        yield names.inbound_route(pod.uid), hbone.route(view, pod)


def _extensions(view: NodeView) -> Iterator[tuple[str, Doc]]:
    for pod in view.local:
        for name, document in rbac.filters(pod.uid, pod.policies, pod.addresses, pod.known).items():
            yield name, {"name": name, "typed_config": document}
        service = names.service_filter(pod.uid)
        yield service, {"name": service, "typed_config": listeners.service_state(view, pod)}

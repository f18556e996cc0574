"""Which Gateways a changed object is about: its class, its ListenerSets, its parameters, its proxies."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from plait.app.gateway_reading import of_pool
from plait.deploy import overlays
from plait.local.controllers.controller import Concerned, itself
from plait.model.compile.seen import CONFIG_MAP
from plait.resources import kinds
from plait.resources.kinds import Kind
from plait.store.api import Document
from plait.store.informer import Informer, Key, key_of


class Concerns:
    """A key without a namespace stands for a built-in class itself, which may have to be made."""

    def __init__(self, gateways: Informer, built_in: Collection[str], root_namespace: str) -> None:
        self._gateways, self._built_in, self._root = gateways, built_in, root_namespace

    def by_kind(self) -> Mapping[Kind, Concerned]:
        return {
            kinds.GATEWAY: itself,
            kinds.GATEWAY_CLASS: self._of_class,
            kinds.LISTENER_SET: self._of_set,
            kinds.NAMESPACE: self._of_namespace,
            kinds.CONFIG_MAP: self._of_parameters,
            kinds.POD: of_pool,
        }

    def _where(self, fits: Callable[[Document], bool]) -> list[Key]:
        return [key for key, each in self._gateways.cache.items() if fits(each["spec"])]

    def _of_class(self, document: Document) -> Iterable[Key]:
        name = document["metadata"]["name"]
        found = self._where(lambda spec: bool(spec.get("gatewayClassName") == name))
        return [*found, ("", name)] if name in self._built_in else found

    def _of_set(self, document: Document) -> Iterable[Key]:
        parent = document["spec"].get("parentRef") or {}
        return [(parent.get("namespace") or document["metadata"]["namespace"], parent.get("name", ""))]

    def _of_namespace(self, document: Document) -> Iterable[Key]:
        """Its labels say which of its ListenerSets are allowed, and whether it is seen."""
        own = [key for key in self._gateways.cache if key[0] == document["metadata"]["name"]]
        return [*own, *self._where(lambda spec: "allowedListeners" in spec)]

    def _of_parameters(self, document: Document) -> Iterable[Key]:
        namespace, name = key_of(document)
        if (namespace, name) == (self._root, CONFIG_MAP):
            return list(self._gateways.cache)  # it says which namespaces are seen
        found = self._where(
            lambda spec: ((spec.get("infrastructure") or {}).get("parametersRef") or {}).get("name") == name
        )
        own = [key for key in found if key[0] == namespace]
        if namespace != self._root or not (of := overlays.default_for(document)):
            return own
        return [*own, *self._where(lambda spec: bool(spec.get("gatewayClassName") == of))]

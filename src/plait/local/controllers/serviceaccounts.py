"""What every namespace has: ServiceAccount `default`, and ConfigMap `kube-root-ca.crt` with the API server's CA."""

from __future__ import annotations

from plait.local.controllers.cluster import Cluster
from plait.local.controllers.controller import Concerned, Controller
from plait.local.controllers.writes import Create, Outcome, Patch, Write
from plait.resources.kinds import CONFIG_MAP, NAMESPACE, SERVICE_ACCOUNT
from plait.store.api import Document
from plait.store.informer import Key

ROOT_CA = "kube-root-ca.crt"
_ABOUT = {"kubernetes.io/description": "Contains a CA bundle that verifies the API server of this cluster."}


def reconcile(namespace: Document, account: Document | None, root: Document | None, root_ca: str) -> list[Write]:
    if "deletionTimestamp" in namespace["metadata"]:
        return []
    name = namespace["metadata"]["name"]
    writes: list[Write] = []
    if account is None:
        metadata = {"name": "default", "namespace": name}
        writes.append(Create(SERVICE_ACCOUNT, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}))
    data = {"ca.crt": root_ca}
    if root is None:
        about = {"name": ROOT_CA, "namespace": name, "annotations": _ABOUT}
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data}
        writes.append(Create(CONFIG_MAP, made))
    elif root.get("data") != data:
        cleared = {key: None for key in root.get("data") or {} if key not in data}
        writes.append(Patch(CONFIG_MAP, name, ROOT_CA, {"data": {**cleared, **data}}))
    return writes


def controller(root_ca: bytes) -> Controller:
    text = root_ca.decode()

    def turn(cluster: Cluster, key: Key, now: float) -> Outcome:
        namespace = cluster[NAMESPACE].cache.get(key)
        if namespace is None:
            return Outcome()
        account = cluster[SERVICE_ACCOUNT].get("default", key[1])
        root = cluster[CONFIG_MAP].get(ROOT_CA, key[1])
        return Outcome(tuple(reconcile(namespace, account, root, text)))

    def named(name: str) -> Concerned:
        return lambda document: (
            [("", document["metadata"]["namespace"])] if document["metadata"]["name"] == name else []
        )

    wakes = {
        NAMESPACE: lambda namespace: [("", namespace["metadata"]["name"])],
        SERVICE_ACCOUNT: named("default"),
        CONFIG_MAP: named(ROOT_CA),
    }
    return Controller("serviceaccounts", wakes, turn)

"""Short builders of API documents, so that a test shows only what it is about."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def document(api_version: str, kind: str, name: str, namespace: str = "shop", /, **rest: Any) -> Document:
    metadata: Document = {"name": name, "namespace": namespace}
    for field in ("labels", "annotations", "creationTimestamp", "ownerReferences", "deletionTimestamp"):
        if field in rest:
            metadata[field] = rest.pop(field)
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def pod(
    name: str,
    address: str,
    namespace: str = "shop",
    /,
    *,
    account: str = "default",
    node: str = "n1",
    ready: bool = True,
    captured: bool = True,
    phase: str = "Running",
    spec: Document | None = None,
    **rest: Any,
) -> Document:
    annotations = {**({"ambient.istio.io/redirection": "enabled"} if captured else {}), **rest.pop("annotations", {})}
    return document(
        "v1",
        "Pod",
        name,
        namespace,
        annotations=annotations,
        spec={"nodeName": node, "serviceAccountName": account, "containers": [], **(spec or {})},
        status={
            "phase": phase,
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
        **rest,
    )


def service(
    name: str, address: str, namespace: str = "shop", /, *, port: int = 80, target: Any = 8080, **rest: Any
) -> Document:
    spec = {
        "clusterIP": address,
        "selector": {"app": name},
        "ports": [{"name": "http", "port": port, "targetPort": target, "protocol": "TCP"}],
        **rest.pop("spec", {}),
    }
    return document("v1", "Service", name, namespace, spec=spec, **rest)


def allow(
    name: str, rules: list[Document], namespace: str = "shop", /, *, action: str = "ALLOW", **rest: Any
) -> Document:
    spec = {"action": action, "rules": rules, **rest.pop("spec", {})}
    return document("security.istio.io/v1", "AuthorizationPolicy", name, namespace, spec=spec, **rest)


def peers(name: str, mode: str, namespace: str = "shop", /, **rest: Any) -> Document:
    spec = {"mtls": {"mode": mode}, **rest.pop("spec", {})}
    return document("security.istio.io/v1", "PeerAuthentication", name, namespace, spec=spec, **rest)

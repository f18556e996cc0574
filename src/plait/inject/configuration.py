"""The MutatingWebhookConfiguration: which pods the API server shows to the injector.

As with Istio's, four selectors that exclude each other, so a pod is shown once: by the namespace's revision, by the
pod's, by `istio-injection=enabled`, by the pod's own label. Whoever is shown has asked for a proxy, so none of them may
start without (failurePolicy Fail); all others do not depend on the injector.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from plait.base.wellknown import INJECT, INJECTION, REVISION, SUPPRESS
from plait.inject.policy import SYSTEM

Document = dict[str, Any]
NAME: Final = "istio-sidecar-injector"
PATH: Final = "/inject"
_ENABLED: Final = {"key": INJECTION, "operator": "In", "values": ["enabled"]}
_NO_WORD: Final = {"key": INJECTION, "operator": "DoesNotExist"}
_NO_REVISION: Final = {"key": REVISION, "operator": "DoesNotExist"}
_NOT_REFUSING: Final = {"key": INJECT, "operator": "NotIn", "values": ["false"]}
_ASKING: Final = {"key": INJECT, "operator": "Exists"}


def configuration(url: str, bundle: str, revision: str = "default") -> Document:
    """`bundle`: the PEM roots by which the injector's certificate is known."""
    ours = {"key": REVISION, "operator": "In", "values": [revision]}
    client = {"url": url, "caBundle": base64.b64encode(bundle.encode()).decode()}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {
            "name": NAME,
            "labels": {"app": "sidecar-injector", REVISION: revision},
            "annotations": {SUPPRESS: "IST0164"},  # it stands at an address of the fabric, which never changes
        },
        "webhooks": [
            _webhook("rev.namespace", client, [ours, _NO_WORD], [_NOT_REFUSING]),
            _webhook("rev.object", client, [_NO_REVISION, _NO_WORD], [_NOT_REFUSING, ours]),
            _webhook("namespace", client, [_ENABLED], [_NOT_REFUSING]),
            _webhook("object", client, [_NO_REVISION, _NO_WORD], [_ASKING, _NOT_REFUSING, _NO_REVISION]),
        ],
    }


def _webhook(name: str, client: Document, namespace: list[Document], pod: list[Document]) -> Document:
    system = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(SYSTEM)}
    return {
        "name": f"{name}.sidecar-injector.istio.io",
        "clientConfig": client,
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
        "namespaceSelector": {"matchExpressions": [*namespace, system]},
        "objectSelector": {"matchExpressions": pod},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 10,
    }

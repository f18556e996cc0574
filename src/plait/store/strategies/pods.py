"""Pod rules: derived defaults, the ServiceAccount token volume, quality of service, and what of a spec may change."""

from __future__ import annotations

from typing import Any

from plait.resources import kinds
from plait.store import errors
from plait.store.api import Document
from plait.store.errors import Cause
from plait.store.state import State

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_VOLUME = "kube-api-access"
_TOKEN_SECONDS = 3607  # kube-apiserver's number: the default hour, recognisable as injected


def default(state: State, pod: Document) -> None:
    """Defaults and the ServiceAccount admission. Changes the pod in place; 403 when its account is missing."""
    spec = pod["spec"]
    account_name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = account_name
    complete(spec)
    for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
        _container(container, bool(spec.get("hostNetwork")))
    namespace = pod["metadata"].get("namespace", "")
    found = state.get(("", "serviceaccounts"), (namespace, account_name))
    if found is None:
        why = f"error looking up service account {namespace}/{account_name}: serviceaccount not found; create it first"
        raise errors.forbidden(kinds.POD, pod["metadata"].get("name", ""), why)
    account = found.document
    if spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True)):
        _mount_token(spec)


def complete(spec: Document) -> None:
    """Defaults of a pod spec wherever it stands, in a pod or in a template. Changes it in place."""
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        if not container.get("imagePullPolicy"):
            container["imagePullPolicy"] = "Always" if _moving(container.get("image") or "") else "IfNotPresent"
    for volume in spec.get("volumes") or ():
        if set(volume) == {"name"}:
            volume["emptyDir"] = {}
    if account := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = account


def _moving(image: str) -> bool:
    """Whether the image's name may mean another image tomorrow: tagged latest, or neither tag nor digest."""
    name, at, _ = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return tag == "latest" or (not tag and not at)


def _container(container: Document, host: bool) -> None:
    resources = container.setdefault("resources", {})
    if limits := resources.get("limits"):
        resources["requests"] = {**limits, **(resources.get("requests") or {})}
    for port in container.get("ports") or ():
        if host:
            port.setdefault("hostPort", port.get("containerPort"))


def _mount_token(spec: Document) -> None:
    wanting = [
        container
        for container in (*spec.get("containers", ()), *spec.get("initContainers", ()))
        if all(mount.get("mountPath") != TOKEN_PATH for mount in container.get("volumeMounts") or ())
    ]
    volumes = spec.get("volumes") or []
    name = next((volume["name"] for volume in volumes if volume["name"].startswith(_TOKEN_VOLUME)), "")
    if wanting and not name:
        name = _TOKEN_VOLUME
        token = {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}}
        root = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
        field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
        namespace = {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}}
        volume = {"name": name, "projected": {"defaultMode": 420, "sources": [token, root, namespace]}}
        spec["volumes"] = [*volumes, volume]
    for container in wanting:
        mount = {"name": name, "mountPath": TOKEN_PATH, "readOnly": True}
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]


def quality(spec: Document) -> str:
    """The QoS class."""
    guaranteed, some = True, False
    for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        some = some or bool(requests or limits)
        guaranteed = guaranteed and {"cpu", "memory"} <= set(limits) and requests == limits
    return "Guaranteed" if guaranteed and some else "Burstable" if some else "BestEffort"


def problems(spec: Document, path: str) -> list[Cause]:
    """What the schema cannot say about a pod spec: unique names, mounts of volumes that exist."""
    found: list[Cause] = []
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    names: set[str] = set()
    if not spec.get("containers"):
        found.append((f"{path}.containers", "Required value", "FieldValueRequired"))
    for section in ("initContainers", "containers"):
        for i, container in enumerate(spec.get(section) or ()):
            at, name = f"{path}.{section}[{i}]", container.get("name", "")
            if name in names:
                found.append((f"{at}.name", f'Duplicate value: "{name}"', "FieldValueDuplicate"))
            names.add(name)
            if not container.get("image"):
                found.append((f"{at}.image", "Required value", "FieldValueRequired"))
            for j, mount in enumerate(container.get("volumeMounts") or ()):
                # The token volume is added at pod creation, templates that mount it by name do not exist.
                if mount.get("name") not in volumes:
                    text = f'Not found: "{mount.get("name")}": add a volume of that name to {path}.volumes'
                    found.append((f"{at}.volumeMounts[{j}].name", text, "FieldValueNotFound"))
    return found


def changes(new: Document, old: Document | None) -> list[Cause]:
    """A pod's own rules; after creation only images, deadlines, tolerations and scheduling gates may change."""
    if old is None:
        return problems(new["spec"], "spec")
    if _fixed_part(new["spec"]) != _fixed_part(old["spec"]):
        text = "Forbidden: pod updates may not change fields other than container images, activeDeadlineSeconds, "
        text += "terminationGracePeriodSeconds and tolerations; delete the pod and create it anew"
        return [("spec", text, "FieldValueForbidden")]
    return []


def _fixed_part(spec: Document) -> dict[str, Any]:
    free = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates", "nodeName")
    kept = {k: v for k, v in spec.items() if k not in free}
    if spec.get("nodeName"):
        kept["nodeName"] = ""
    for section in ("containers", "initContainers"):
        if section in spec:
            kept[section] = [{k: v for k, v in each.items() if k != "image"} for each in spec[section]]
    kept.pop("nodeName", None)
    return kept

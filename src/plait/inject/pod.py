"""inject(pod): the same pod with a proxy. Pure; what is there stays as it was.

A sidecar is a native one (an init container that keeps running): it is up before the application starts and ends
after it, and a Job that is done is done. It runs one Envoy; its agent is the node's, which also captures the pod.
A pod may bring a container `istio-proxy` of image `auto`: what that says wins over what would be added.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from plait.base.wellknown import (
    CANONICAL_NAME,
    CANONICAL_REVISION,
    PROXY_CONTAINER,
    PROXY_VOLUME,
    READY_PORT,
    REVISION,
    SIDECAR_STATUS,
    TLS_MODE,
    TUNNEL_LABEL,
)
from plait.inject import additions
from plait.inject.proxying import Proxying
from plait.model.compile.workloads import canonical, controller
from plait.resources.injection import is_gateway
from plait.resources.kubernetes import Pod
from plait.resources.proxy_container import SCRAPED, container, volume
from plait.resources.redirection import MODE

Document = dict[str, Any]
AUTO: Final = "auto"  # image of a container that becomes the proxy
MERGE_METRICS: Final = "prometheus.istio.io/merge-metrics"
BEFORE: Final = "sidecar.istio.io/init-containers-before-proxy"
_DEFAULTS: Final = ("kubectl.kubernetes.io/default-container", "kubectl.kubernetes.io/default-logs-container")
_LONGEST: Final = 63  # characters that a label's value may have
_DEFAULT: Final = Proxying()
_READY: Final = {"path": "/healthz/ready", "port": READY_PORT}
_STARTUP: Final = {"httpGet": _READY, "periodSeconds": 1, "failureThreshold": 600}
# The listener answers once Envoy has all its configuration; until then the connection waits or is refused.
_ASK: Final = f"GET {_READY['path']} HTTP/1.1\\r\\nhost: -\\r\\n\\r\\n"  # Envoy answers HTTP/1.0 with 426
_WAIT: Final = (
    f"until (exec 3<>/dev/tcp/127.0.0.1/{READY_PORT} && printf '{_ASK}' >&3"
    ' && read -r -t 5 _ code _ <&3 && [ "$code" = 200 ]) 2>/dev/null; do sleep 0.1; done'
)
_HOLD: Final = {"exec": {"command": ["/bin/bash", "-c", _WAIT]}}
_LISTS: Final = {"env": "name", "ports": "containerPort", "volumeMounts": "mountPath"}
"""Lists of a container that are merged, with what tells their items apart."""
_HANDLERS: Final = ("exec", "grpc", "httpGet", "sleep", "tcpSocket")
"""Of a probe or hook, which has one of them only."""


def inject(
    document: Mapping[str, Any], pod: Pod, folder: str, revision: str = "default", wanted: Proxying = _DEFAULT
) -> Document:
    """`pod` is the same document, read; `folder` is where a node keeps the folders of its proxies."""
    found: Document = copy.deepcopy(dict(document))
    meta, spec = found.setdefault("metadata", {}), found.setdefault("spec", {})
    notes = meta.get("annotations") or {}
    gateway = is_gateway(notes)
    init, main = _gateway(spec, wanted) if gateway else _sidecar(spec, notes, wanted)
    own = _without(spec.get("volumes"), PROXY_VOLUME)
    taken = {each.get("name") for each in own}
    asked = [] if gateway else [each for each in additions.volumes(notes) if each["name"] not in taken]
    spec["volumes"] = [*own, *asked, volume(folder)]
    status = {
        "initContainers": init,
        "containers": main,
        "volumes": [*(each["name"] for each in asked), PROXY_VOLUME],
        "imagePullSecrets": None,
        "revision": revision,
    }
    # An application that is scraped itself stays so; the two pages are not merged.
    unwanted = notes.get(MERGE_METRICS, "").lower() == "false"
    scraped = {} if unwanted or any(note in notes for note in SCRAPED) else SCRAPED
    # Whoever captures the pod reads the pod alone, not the mesh's defaults.
    captured = {} if gateway or wanted.interception == notes.get(MODE, "REDIRECT") else {MODE: wanted.interception}
    text = json.dumps(status, separators=(",", ":"))
    said = {REVISION: revision, **_shown(document, gateway)}
    meta["annotations"] = {**said, **notes, **scraped, **captured, SIDECAR_STATUS: text}
    labels = meta.get("labels") or {}
    name, version = canonical(labels, controller(pod)[0] or pod.meta.generate_name)
    name = name[:_LONGEST].rstrip("-")
    meta["labels"] = {**({CANONICAL_NAME: name} if name else {}), CANONICAL_REVISION: version, **labels}
    if not gateway:
        meta["labels"] |= {TUNNEL_LABEL: "http", TLS_MODE: labels.get(TLS_MODE) or "istio"}
    return found


def _shown(document: Mapping[str, Any], gateway: bool) -> dict[str, str]:
    """Which container kubectl means when nobody says: the application's first; beside a gateway, the only one."""
    names = _applications(document.get("spec") or {})
    return dict.fromkeys(_DEFAULTS, names[0]) if len(names) == 1 or (names and not gateway) else {}


def _applications(spec: Mapping[str, Any]) -> list[str]:
    """Names of the containers that are not the proxy's."""
    return [each.get("name", "") for each in _without(spec.get("containers"), PROXY_CONTAINER)]


def _sidecar(spec: Document, notes: Mapping[str, str], wanted: Proxying) -> tuple[list[str], list[str]]:
    """Names of the proxy among init containers and among containers."""
    # A pod needs a container: of one without an application the proxy is it.
    native = wanted.native and bool(_applications(spec))
    made = container(
        transparent=wanted.interception == "TPROXY",
        threads=wanted.threads,
        environment=wanted.environment,
        drain_seconds=wanted.drain_seconds,
        log_levels=additions.log_levels(notes),
    )
    if native:
        # The kubelet ends it when the application has ended: nobody is left to drain for.
        del made["lifecycle"]
        made |= {"restartPolicy": "Always", "startupProbe": _STARTUP}
    proxy = _merged(_merged(made, additions.container(notes)), _brought(spec))
    for part in ("initContainers", "containers"):
        if part in spec:
            spec[part] = _without(spec[part], PROXY_CONTAINER)
    if not native:
        # First of all: the kubelet starts the next one only when the hook has ended.
        spec["containers"] = [_held(proxy) if wanted.hold else proxy, *spec["containers"]]
        return [], [PROXY_CONTAINER]
    earlier = [word.strip() for word in notes.get(BEFORE, "").split(",")]
    others = spec.get("initContainers") or ()
    before = sorted((e for e in others if e.get("name") in earlier), key=lambda e: earlier.index(e["name"]))
    spec["initContainers"] = [*before, proxy, *(each for each in others if each not in before)]
    return [PROXY_CONTAINER], []


def _held(proxy: Document) -> Document:
    return {**proxy, "lifecycle": {"postStart": copy.deepcopy(_HOLD), **(proxy.get("lifecycle") or {})}}


def _gateway(spec: Document, wanted: Proxying) -> tuple[list[str], list[str]]:
    """The container becomes the proxy where it stands."""
    made = container(
        low_ports=True,
        threads=wanted.threads,
        environment=wanted.environment,
        drain_seconds=wanted.drain_seconds,
    )
    proxy = _merged(made, _brought(spec))
    spec["containers"] = [proxy if each.get("name") == PROXY_CONTAINER else each for each in spec["containers"]]
    return [], [PROXY_CONTAINER]


def _brought(spec: Mapping[str, Any]) -> Document:
    """The pod's own words about its proxy."""
    listed = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    return next((each for each in listed if each.get("name") == PROXY_CONTAINER), {})


def _merged(made: Document, brought: Mapping[str, Any]) -> Document:
    """`brought` wins; of lists what is not in it is kept, as are fields of mappings."""
    found = {**_overlaid(made, brought), "image": made["image"]}
    for name, key in _LISTS.items():
        own = brought.get(name) or []
        taken = {each.get(key) for each in own}
        if kept := [*(each for each in made.get(name, ()) if each[key] not in taken), *own]:
            found[name] = kept
    return found


def _overlaid(old: Mapping[str, Any], new: Mapping[str, Any]) -> Document:
    if any(name in new for name in _HANDLERS):
        old = {name: value for name, value in old.items() if name not in _HANDLERS}
    both = {
        name: _overlaid(old[name], value)
        for name, value in new.items()
        if isinstance(value, Mapping) and isinstance(old.get(name), Mapping)
    }
    return {**copy.deepcopy(dict(old)), **new, **both}


def _without(listed: Iterable[Document] | None, name: str) -> list[Document]:
    return [each for each in listed or () if each.get("name") != name]

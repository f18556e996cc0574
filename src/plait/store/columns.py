"""The printer columns of each kind, as kubectl users know them: one cell function a column.

A cell is computed from the document alone; tables.py puts cells into Tables.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
Cell = Callable[[Document, float], Any]
_NONE = "<none>"


@dataclass(frozen=True, slots=True)
class Column:
    """`priority` above 0: shown only by -o wide."""

    name: str
    type: str
    cell: Cell
    priority: int = 0
    form: str = ""


def duration(seconds: float) -> str:
    """3m5s, 5d3h, 2y10d: the way kubectl shortens it."""
    s = int(seconds)
    if s < 0:
        return "0s" if s >= -1 else "<invalid>"
    if s < 120:
        return f"{s}s"
    minutes, hours, days, years = s // 60, s // 3600, s // 86400, s // (86400 * 365)
    if minutes < 10:
        return f"{minutes}m" + (f"{s % 60}s" if s % 60 else "")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h" + (f"{minutes % 60}m" if minutes % 60 else "")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d" + (f"{hours % 24}h" if hours % 24 else "")
    if years < 2:
        return f"{days}d"
    return f"{years}y" + (f"{days % 365}d" if years < 8 and days % 365 else "")


def age(stamp: Any, now: float) -> str:
    if not stamp:
        return "<unknown>"
    return duration(now - datetime.datetime.fromisoformat(str(stamp)).timestamp())


def value_at(document: Any, path: str) -> list[Any]:
    """Values at a JSONPath of the kind printer columns use: fields, [n], [*], [?(@.a=="b")]."""
    values = [document]
    for step in _STEPS.finditer(path.strip().strip("{}").lstrip("$")):
        name, index, field, wanted = step["name"] or step["quoted"], step["index"], step["field"], step["wanted"]
        if name is not None:
            name = name.replace("\\.", ".")
            values = [each[name] for each in values if isinstance(each, dict) and name in each]
            continue
        lists = [each for each in values if isinstance(each, list)]
        if field is not None:
            values = [one for each in lists for one in each if isinstance(one, dict) and str(one.get(field)) == wanted]
        elif index == "*":
            values = [one for each in lists for one in each]
        else:
            values = [each[int(index)] for each in lists if -len(each) <= int(index) < len(each)]
    return values


_STEPS = re.compile(
    r"\.(?P<name>(?:\\\.|[^.\[\]\\])+)|\['(?P<quoted>[^']+)'\]|\[(?P<index>\*|-?\d+)\]"
    r"|\[\?\(@\.(?P<field>[\w-]+)\s*==\s*[\"'](?P<wanted>[^\"']*)[\"']\)\]"
)


def path_cell(path: str, type: str = "string") -> Cell:
    """The cell of a JSONPath column; several values are shown like Go shows a list."""

    def cell(document: Document, now: float) -> Any:
        values = value_at(document, path)
        if not values:
            return None
        if type == "date":
            return age(values[0], now)
        if type in ("integer", "number", "boolean"):
            return values[0]
        return str(values[0]) if len(values) == 1 and "[*]" not in path else "[" + " ".join(map(str, values)) + "]"

    return cell


def _get(document: Document, *path: str, default: Any = None) -> Any:
    value: Any = document
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return default if value is None else value


def _text(*path: str, default: str = _NONE) -> Cell:
    return lambda d, now: _get(d, *path) or default


def _count(*path: str) -> Cell:
    return lambda d, now: len(_get(d, *path, default=()))


def _number(*path: str) -> Cell:
    return lambda d, now: _get(d, *path, default=0)


def _age_cell(d: Document, now: float) -> str:
    return age(_get(d, "metadata", "creationTimestamp"), now)


def _selector(*path: str) -> Cell:
    def cell(d: Document, now: float) -> str:
        found = _get(d, *path, default={})
        labels = found.get("matchLabels", {}) if path[-1] == "selector" and "matchLabels" in found else found
        return ",".join(f"{k}={v}" for k, v in sorted(labels.items()) if isinstance(v, str)) or _NONE

    return cell


def _containers(what: str) -> Cell:
    return lambda d, now: ",".join(
        str(each.get(what, "")) for each in _get(d, "spec", "template", "spec", "containers", default=())
    )


def _pod_ready(d: Document, now: float) -> str:
    states = _get(d, "status", "containerStatuses", default=())
    return f"{sum(1 for s in states if s.get('ready'))}/{len(_get(d, 'spec', 'containers', default=()))}"


def _pod_status(d: Document, now: float) -> str:
    reason = _get(d, "status", "reason") or _get(d, "status", "phase", default="Unknown")
    waiting_init = False
    for i, each in enumerate(_get(d, "status", "initContainerStatuses", default=())):
        state = each.get("state", {})
        if state.get("terminated", {}).get("exitCode") == 0 or (each.get("started") and each.get("ready")):
            continue
        ended, held = state.get("terminated"), state.get("waiting", {}).get("reason")
        total = len(_get(d, "spec", "initContainers", default=()))
        if ended:
            reason = "Init:" + (ended.get("reason") or f"ExitCode:{ended.get('exitCode')}")
        else:
            reason = f"Init:{held}" if held and held != "PodInitializing" else f"Init:{i}/{total}"
        waiting_init = True
        break
    if not waiting_init:
        running = False
        for each in reversed(_get(d, "status", "containerStatuses", default=())):
            state = each.get("state", {})
            if state.get("waiting", {}).get("reason"):
                reason = state["waiting"]["reason"]
            elif "terminated" in state:
                ended = state["terminated"]
                reason = ended.get("reason") or f"ExitCode:{ended.get('exitCode')}"
            elif each.get("ready") and "running" in state:
                running = True
        if reason == "Completed" and running:
            reason = "Running" if _condition(d, "Ready") == "True" else "NotReady"
    return "Terminating" if _get(d, "metadata", "deletionTimestamp") else reason


def _condition(d: Document, kind: str) -> str:
    return next((c.get("status", "") for c in _get(d, "status", "conditions", default=()) if c.get("type") == kind), "")


def _pod_restarts(d: Document, now: float) -> str:
    states = _get(d, "status", "containerStatuses", default=())
    total = sum(each.get("restartCount", 0) for each in states)
    last = [s for each in states if (s := _get(each, "lastState", "terminated", "finishedAt"))]
    return f"{total} ({age(max(last), now)} ago)" if total and last else str(total)


def _gates(d: Document, now: float) -> str:
    gates = [each["conditionType"] for each in _get(d, "spec", "readinessGates", default=())]
    return f"{sum(1 for g in gates if _condition(d, g) == 'True')}/{len(gates)}" if gates else _NONE


def _service_ports(d: Document, now: float) -> str:
    ports = _get(d, "spec", "ports", default=())
    shown = [
        f"{p['port']}" + (f":{p['nodePort']}" if p.get("nodePort") else "") + f"/{p.get('protocol', 'TCP')}"
        for p in ports
    ]
    return ",".join(shown) or _NONE


def _external(d: Document, now: float) -> str:
    kind = _get(d, "spec", "type", default="ClusterIP")
    given = list(_get(d, "spec", "externalIPs", default=()))
    if kind == "ExternalName":
        return str(_get(d, "spec", "externalName", default=_NONE))
    ingress = _get(d, "status", "loadBalancer", "ingress", default=())
    addresses = [each.get("ip") or each.get("hostname", "") for each in ingress] if kind == "LoadBalancer" else []
    return ",".join(addresses + given) or ("<pending>" if kind == "LoadBalancer" else _NONE)


def _node_status(d: Document, now: float) -> str:
    ready = {"True": "Ready", "False": "NotReady"}.get(_condition(d, "Ready"), "Unknown")
    return ready + (",SchedulingDisabled" if _get(d, "spec", "unschedulable") else "")


def _node_roles(d: Document, now: float) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = _get(d, "metadata", "labels", default={})
    return ",".join(sorted(k[len(prefix) :] for k in labels if k.startswith(prefix))) or _NONE


def _node_address(kind: str) -> Cell:
    return lambda d, now: next(
        (a["address"] for a in _get(d, "status", "addresses", default=()) if a.get("type") == kind), _NONE
    )


def _job_status(d: Document, now: float) -> str:
    for kind, shown in (("Complete", "Complete"), ("Failed", "Failed"), ("Suspended", "Suspended")):
        if _condition(d, kind) == "True":
            return shown
    return "Terminating" if _get(d, "metadata", "deletionTimestamp") else "Running"


def _job_completions(d: Document, now: float) -> str:
    return f"{_get(d, 'status', 'succeeded', default=0)}/{_get(d, 'spec', 'completions', default=1)}"


def _job_duration(d: Document, now: float) -> str:
    start, end = _get(d, "status", "startTime"), _get(d, "status", "completionTime")
    if not start:
        return ""
    return age(start, now if not end else datetime.datetime.fromisoformat(end).timestamp())


def _slice_ports(d: Document, now: float) -> str:
    return ",".join(str(p.get("port", "*")) for p in _get(d, "ports", default=())) or "<unset>"


def _some(values: list[str], most: int = 3) -> str:
    return ",".join(values[:most]) + (f" + {len(values) - most} more..." if len(values) > most else "")


def _slice_endpoints(d: Document, now: float) -> str:
    return _some([a for each in _get(d, "endpoints", default=()) for a in each.get("addresses", ())]) or "<unset>"


def _endpoints(d: Document, now: float) -> str:
    found = [
        f"{a['ip']}:{p['port']}"
        for subset in _get(d, "subsets", default=())
        for p in subset.get("ports", ())
        for a in subset.get("addresses", ())
    ]
    return _some(found) or _NONE


def _event_seen(d: Document, now: float) -> str:
    return age(_get(d, "lastTimestamp") or _get(d, "eventTime") or _get(d, "metadata", "creationTimestamp"), now)


def _event_object(d: Document, now: float) -> str:
    return f"{_get(d, 'involvedObject', 'kind', default='').lower()}/{_get(d, 'involvedObject', 'name', default='')}"


def _ready_of(d: Document, now: float) -> str:
    return f"{_get(d, 'status', 'readyReplicas', default=0)}/{_get(d, 'spec', 'replicas', default=0)}"


def _joined(*path: str) -> Cell:
    return lambda d, now: "[" + " ".join(f'"{v}"' for v in _get(d, *path)) + "]" if _get(d, *path) else None


def _column(name: str, cell: Cell, priority: int = 0, type: str = "string") -> Column:
    return Column(name, type, cell, priority)


_AGE = _column("Age", _age_cell)
_WIDE = [_column("Containers", _containers("name"), 1), _column("Images", _containers("image"), 1)]
_TEMPLATE = [*_WIDE, _column("Selector", _selector("spec", "selector"), 1)]
_HOSTS = _column("Hosts", _joined("spec", "hosts"))
_NET, _SEC, _GW = "networking.istio.io", "security.istio.io", "gateway.networking.k8s.io"


def _path(name: str, path: str, priority: int = 0) -> Column:
    return _column(name, path_cell(path), priority)


_ROUTE = [_column("Hostnames", _joined("spec", "hostnames")), _AGE]
_PROGRAMMED = _path("Programmed", '.status.conditions[?(@.type=="Programmed")].status')
_HOOKS = [_column("Webhooks", _count("webhooks"), type="integer"), _AGE]

# fmt: off
BY_KIND: dict[tuple[str, str], list[Column]] = {
    ("", "Pod"): [
        _column("Ready", _pod_ready), _column("Status", _pod_status), _column("Restarts", _pod_restarts), _AGE,
        _column("IP", _text("status", "podIP"), 1), _column("Node", _text("spec", "nodeName"), 1),
        _column("Nominated Node", _text("status", "nominatedNodeName"), 1), _column("Readiness Gates", _gates, 1)],
    ("", "Service"): [
        _column("Type", _text("spec", "type", default="ClusterIP")), _column("Cluster-IP", _text("spec", "clusterIP")),
        _column("External-IP", _external), _column("Port(s)", _service_ports), _AGE,
        _column("Selector", _selector("spec", "selector"), 1)],
    ("", "Namespace"): [_column("Status", _text("status", "phase", default="Active")), _AGE],
    ("", "Node"): [
        _column("Status", _node_status), _column("Roles", _node_roles), _AGE,
        _column("Version", _text("status", "nodeInfo", "kubeletVersion")),
        _column("Internal-IP", _node_address("InternalIP"), 1), _column("External-IP", _node_address("ExternalIP"), 1),
        _column("OS-Image", _text("status", "nodeInfo", "osImage", default="<unknown>"), 1),
        _column("Kernel-Version", _text("status", "nodeInfo", "kernelVersion", default="<unknown>"), 1),
        _column("Container-Runtime", _text("status", "nodeInfo", "containerRuntimeVersion", default="<unknown>"), 1)],
    ("", "Endpoints"): [_column("Endpoints", _endpoints), _AGE],
    ("", "ConfigMap"): [
        _column("Data", lambda d, now: len(d.get("data") or ()) + len(d.get("binaryData") or ()), type="integer"),
        _AGE],
    ("", "Secret"): [_column("Type", _text("type")), _column("Data", _count("data"), type="integer"), _AGE],
    ("", "ServiceAccount"): [_column("Secrets", _count("secrets"), type="integer"), _AGE],
    ("", "Event"): [
        _column("Last Seen", _event_seen), _column("Type", _text("type", default="")),
        _column("Reason", _text("reason", default="")), _column("Object", _event_object),
        _column("Message", lambda d, now: str(d.get("message", "")).strip())],
    ("apps", "Deployment"): [
        _column("Ready", _ready_of), _column("Up-to-date", _number("status", "updatedReplicas"), type="integer"),
        _column("Available", _number("status", "availableReplicas"), type="integer"), _AGE, *_TEMPLATE],
    ("apps", "ReplicaSet"): [
        _column("Desired", _number("spec", "replicas"), type="integer"),
        _column("Current", _number("status", "replicas"), type="integer"),
        _column("Ready", _number("status", "readyReplicas"), type="integer"), _AGE, *_TEMPLATE],
    ("apps", "DaemonSet"): [
        _column("Desired", _number("status", "desiredNumberScheduled"), type="integer"),
        _column("Current", _number("status", "currentNumberScheduled"), type="integer"),
        _column("Ready", _number("status", "numberReady"), type="integer"),
        _column("Up-to-date", _number("status", "updatedNumberScheduled"), type="integer"),
        _column("Available", _number("status", "numberAvailable"), type="integer"),
        _column("Node Selector", _selector("spec", "template", "spec", "nodeSelector")), _AGE, *_TEMPLATE],
    ("batch", "Job"): [
        _column("Status", _job_status), _column("Completions", _job_completions), _column("Duration", _job_duration),
        _AGE, *_TEMPLATE],
    ("discovery.k8s.io", "EndpointSlice"): [
        _column("AddressType", _text("addressType")), _column("Ports", _slice_ports),
        _column("Endpoints", _slice_endpoints), _AGE],
    ("coordination.k8s.io", "Lease"): [_column("Holder", _text("spec", "holderIdentity", default="")), _AGE],
    ("apiextensions.k8s.io", "CustomResourceDefinition"): [
        _column("Created At", _text("metadata", "creationTimestamp", default=""))],
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): _HOOKS,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): _HOOKS,
    ("rbac.authorization.k8s.io", "Role"): [_column("Created At", _text("metadata", "creationTimestamp", default=""))],
    ("rbac.authorization.k8s.io", "ClusterRole"): [
        _column("Created At", _text("metadata", "creationTimestamp", default=""))],
    ("rbac.authorization.k8s.io", "RoleBinding"): [
        _column("Role", lambda d, now: f"{d['roleRef']['kind']}/{d['roleRef']['name']}"), _AGE],
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): [
        _column("Role", lambda d, now: f"{d['roleRef']['kind']}/{d['roleRef']['name']}"), _AGE],
    (_NET, "VirtualService"): [_column("Gateways", _joined("spec", "gateways")), _HOSTS, _AGE],
    (_NET, "DestinationRule"): [_path("Host", ".spec.host"), _AGE],
    (_NET, "ServiceEntry"): [_HOSTS, _path("Location", ".spec.location"), _path("Resolution", ".spec.resolution"),
        _AGE],
    (_NET, "WorkloadEntry"): [_AGE, _path("Address", ".spec.address")],
    (_SEC, "PeerAuthentication"): [_path("Mode", ".spec.mtls.mode"), _AGE],
    (_SEC, "AuthorizationPolicy"): [_path("Action", ".spec.action"), _AGE],
    (_GW, "GatewayClass"): [
        _path("Controller", ".spec.controllerName"),
        _path("Accepted", '.status.conditions[?(@.type=="Accepted")].status'), _AGE,
        _path("Description", ".spec.description", 1)],
    (_GW, "Gateway"): [
        _path("Class", ".spec.gatewayClassName"), _path("Address", ".status.addresses[0].value"), _PROGRAMMED, _AGE],
    (_GW, "HTTPRoute"): _ROUTE,
    (_GW, "GRPCRoute"): _ROUTE,
}
# fmt: on

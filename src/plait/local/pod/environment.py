"""Which environment does a container start with? env, envFrom, the downward API, $(VAR), service variables.

Pure: the ConfigMaps and Secrets it refers to are handed in. A missing one is a ConfigError whose text becomes the
message of the waiting container (CreateContainerConfigError).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from plait.store.api import Document

Reference = tuple[str, str]  # ("ConfigMap" | "Secret", name)
_VARIABLE = re.compile(r"\$(\$|\(([^)]+)\))")
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]\Z")
_SUFFIXES = {"m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_SUFFIXES |= {f"{s}i": 1024.0**n for n, s in enumerate("KMGTPE", start=1)}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class ConfigError(ValueError):
    """The container cannot be configured; the message names the object and key that is missing."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the node knows and the pod document may not say yet."""

    pod_ips: tuple[str, ...]
    host_ips: tuple[str, ...]
    node: str
    cpus: int = 1
    memory: int = 0
    objects: Mapping[Reference, Document | None] = field(default_factory=dict)


def references(pod: Document) -> set[Reference]:
    """Every ConfigMap and Secret the pod's containers and volumes name."""
    found: set[Reference] = set()
    spec = pod["spec"]
    for container in (*spec.get("initContainers", ()), *spec["containers"]):
        for source in container.get("envFrom", ()):
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                if key in source:
                    found.add((kind, source[key].get("name", "")))
        for variable in container.get("env", ()):
            for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
                if key in (variable.get("valueFrom") or {}):
                    found.add((kind, variable["valueFrom"][key].get("name", "")))
    for volume in spec.get("volumes", ()):
        for source in (volume, *(volume.get("projected") or {}).get("sources", ())):
            if "configMap" in source:
                found.add(("ConfigMap", source["configMap"].get("name", "")))
            if "secret" in source:
                found.add(("Secret", source["secret"].get("secretName") or source["secret"].get("name", "")))
    return found


def compose(
    container: Document, pod: Document, facts: Facts, image_env: Mapping[str, str], services: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment, later sources winning: image, service variables, envFrom, env."""
    result = {"PATH": PATH, "HOSTNAME": hostname(pod), "HOME": "/root", **image_env, **services}
    for source in container.get("envFrom", ()):
        for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if key in source:
                prefix = source.get("prefix", "")
                for name, data in _content(facts, kind, source[key]).items():
                    result[prefix + name] = data.decode(errors="replace")
    for variable in container.get("env", ()):
        value = _value(variable, container, pod, facts, result)
        if value is not None:
            result[variable["name"]] = value
    return result


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` of a known variable is replaced, `$$(NAME)` gives the literal, an unknown one stays."""

    def replace(match: re.Match[str]) -> str:
        if match.group(1) == "$":
            return "$"
        return variables.get(match.group(2), match.group(0))

    return _VARIABLE.sub(replace, text)


def hostname(pod: Document) -> str:
    return str(pod["spec"].get("hostname") or pod["metadata"]["name"])[:63].rstrip("-.")


def downward(path: str, pod: Document, facts: Facts) -> str:
    """One field of the downward API as text."""
    metadata, spec = pod["metadata"], pod["spec"]
    if match := _KEYED.match(path):
        return str((metadata.get(match.group(1)) or {}).get(match.group(2), ""))
    simple: dict[str, Callable[[], Any]] = {
        "metadata.name": lambda: metadata["name"],
        "metadata.namespace": lambda: metadata.get("namespace", ""),
        "metadata.uid": lambda: metadata.get("uid", ""),
        "metadata.labels": lambda: _lines(metadata.get("labels") or {}),
        "metadata.annotations": lambda: _lines(metadata.get("annotations") or {}),
        "spec.nodeName": lambda: facts.node,
        "spec.serviceAccountName": lambda: spec.get("serviceAccountName", "default"),
        "status.podIP": lambda: ",".join(facts.pod_ips[:1]),
        "status.podIPs": lambda: ",".join(facts.pod_ips),
        "status.hostIP": lambda: ",".join(facts.host_ips[:1]),
        "status.hostIPs": lambda: ",".join(facts.host_ips),
    }
    if path not in simple:
        raise ConfigError(f'fieldPath "{path}" is not in the downward API: use one of {", ".join(sorted(simple))}')
    return str(simple[path]())


def resource(reference: Document, container: Document, pod: Document, facts: Facts) -> str:
    """A resourceFieldRef; a limit that is not set is what the node has."""
    name = reference.get("containerName")
    if name and name != container.get("name"):
        everyone = (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
        container = next((c for c in everyone if c["name"] == name), {})
        if not container:
            raise ConfigError(f'resourceFieldRef: the pod has no container "{name}"')
    part, _, what = str(reference.get("resource", "")).partition(".")
    value = ((container.get("resources") or {}).get(part) or {}).get(what)
    if value is not None:
        amount = quantity(str(value))
    elif what == "cpu":
        amount = float(facts.cpus)
    elif what == "memory":
        amount = float(facts.memory)
    else:
        amount = 0.0
    divisor = quantity(str(reference.get("divisor") or "1")) or 1.0
    return str(-int(-amount / divisor // 1)) if amount % divisor else str(int(amount / divisor))


def quantity(text: str) -> float:
    """A Kubernetes quantity (`100m`, `64Mi`) as a number; ConfigError names what cannot be read."""
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if text.endswith(suffix) and (number := _number(text[: -len(suffix)])) is not None:
            return number * _SUFFIXES[suffix]
    if (number := _number(text)) is None:
        raise ConfigError(f'"{text}" is not a quantity: want a number with m, k, M, G, Ki, Mi, Gi …')
    return number


def service_variables(services: Iterable[Document]) -> dict[str, str]:
    """`<NAME>_SERVICE_HOST` and `_PORT` of services that have an address (the pod's namespace, and kubernetes)."""
    result: dict[str, str] = {}
    for service in services:
        address, ports = service["spec"].get("clusterIP", ""), service["spec"].get("ports") or []
        if address in ("", "None") or not ports:
            continue
        name = service["metadata"]["name"].upper().replace("-", "_").replace(".", "_")
        result[f"{name}_SERVICE_HOST"] = address
        result[f"{name}_SERVICE_PORT"] = str(ports[0]["port"])
        result[f"{name}_PORT"] = f"{ports[0].get('protocol', 'TCP').lower()}://{address}:{ports[0]['port']}"
        for port in ports:
            if port.get("name"):
                suffix = port["name"].upper().replace("-", "_")
                result[f"{name}_SERVICE_PORT_{suffix}"] = str(port["port"])
    return result


def content(document: Document) -> dict[str, bytes]:
    """Keys and bytes of a ConfigMap or Secret."""
    if document.get("kind") == "Secret":
        return {key: base64.b64decode(value) for key, value in (document.get("data") or {}).items()}
    binary = {key: base64.b64decode(value) for key, value in (document.get("binaryData") or {}).items()}
    return {**{key: str(value).encode() for key, value in (document.get("data") or {}).items()}, **binary}


def _content(facts: Facts, kind: str, reference: Document) -> dict[str, bytes]:
    name = reference.get("name", "")
    document = facts.objects.get((kind, name))
    if document is None:
        if reference.get("optional"):
            return {}
        raise ConfigError(f'{kind.lower()} "{name}" not found')
    return content({**document, "kind": kind})


def _value(
    variable: Document, container: Document, pod: Document, facts: Facts, known: Mapping[str, str]
) -> str | None:
    source = variable.get("valueFrom")
    if not source:
        return expand(str(variable.get("value") or ""), known)
    if "fieldRef" in source:
        return downward(source["fieldRef"].get("fieldPath", ""), pod, facts)
    if "resourceFieldRef" in source:
        return resource(source["resourceFieldRef"], container, pod, facts)
    for key, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if key in source:
            reference = source[key]
            value = _content(facts, kind, reference).get(reference.get("key", ""))
            if value is None and not reference.get("optional"):
                raise ConfigError(f'{kind.lower()} "{reference.get("name")}" has no key "{reference.get("key")}"')
            return None if value is None else value.decode(errors="replace")
    return None


def _lines(values: Mapping[str, Any]) -> str:
    def quoted() -> Iterator[str]:
        for key in sorted(values):
            text = str(values[key]).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            yield f'{key}="{text}"'

    return "\n".join(quoted())


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

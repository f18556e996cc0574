"""Templates that a mesh adds to its own: pods in YAML, laid over those that name them (inject.istio.io/templates).

They are read from ConfigMap istio-sidecar-injector, key `config`, as Istio's are, but plain: what has to be computed by
Go's template language is refused. A template may change the proxy and add what is not there; what a pod says of its
application stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from plait.base.wellknown import PROXY_CONTAINER

Document = dict[str, Any]
CONFIG_MAP: Final = "istio-sidecar-injector"
KEY: Final = "config"
_BY: Final = {
    **dict.fromkeys(("containers", "initContainers", "volumes", "env", "imagePullSecrets"), "name"),
    "volumeMounts": "mountPath",
    "ports": "containerPort",
}
"""Lists whose items are merged, and what tells them apart; other lists are taken as a whole."""
_PARTS: Final = ("initContainers", "containers")


class BadTemplate(ValueError):
    """Which template cannot be used, why, and the way out."""


def read(text: str) -> dict[str, Document]:
    """The templates of a configuration; BadTemplate for the first that is none."""
    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise BadTemplate(f"{KEY}: not YAML ({error}); mend it") from error
    templates = found.get("templates") if isinstance(found, dict) else None
    if templates is None:
        return {}
    if not isinstance(templates, dict):
        raise BadTemplate(f"{KEY}.templates: want a mapping of names to pods; write `templates: {{NAME: |…}}`")
    return dict(_read(templates))


def _read(templates: Mapping[Any, Any]) -> Iterator[tuple[str, Document]]:
    for name, body in templates.items():
        path = f"{KEY}.templates.{name}"
        if isinstance(body, str) and "{{" in body:
            raise BadTemplate(f"{path}: Go's template language is not supported; write the pod in plain YAML")
        try:
            pod = yaml.safe_load(body) if isinstance(body, str) else body
        except yaml.YAMLError as error:
            raise BadTemplate(f"{path}: not YAML ({error}); mend it") from error
        if not isinstance(pod, dict) or not pod.keys() <= {"metadata", "spec"}:
            raise BadTemplate(f"{path}: want a pod; write metadata and spec, nothing else")
        yield str(name), pod


def laid(template: Mapping[str, Any], pod: Document) -> Document:
    """The pod with the template over it. What the template says of the proxy goes to where the pod has it."""
    return _merged(pod, _placed(template, pod.get("spec") or {}), wins=False)


def _placed(template: Mapping[str, Any], spec: Mapping[str, Any]) -> Mapping[str, Any]:
    said = template.get("spec") or {}
    about = [each for part in _PARTS for each in said.get(part) or () if each.get("name") == PROXY_CONTAINER]
    where = next((p for p in _PARTS for each in spec.get(p) or () if each.get("name") == PROXY_CONTAINER), "")
    if not about or not where:
        return template
    parts = {p: [e for e in said.get(p) or () if e.get("name") != PROXY_CONTAINER] for p in _PARTS}
    parts[where] += about
    others = {name: value for name, value in said.items() if name not in _PARTS}
    return {**template, "spec": {**others, **{part: found for part, found in parts.items() if found}}}


def _merged(old: Mapping[str, Any], new: Mapping[str, Any], wins: bool) -> Document:
    """`wins`: what both say is taken from `new`."""
    found = dict(old)
    for name, value in new.items():
        there = found.get(name)
        if isinstance(there, dict) and isinstance(value, dict):
            found[name] = _merged(there, value, wins)
        elif isinstance(there, list) and isinstance(value, list) and name in _BY:
            found[name] = list(_items(there, value, _BY[name], wins))
        elif there is None or wins:
            found[name] = value
    return found


def _items(old: list[Document], new: list[Document], key: str, wins: bool) -> Iterator[Document]:
    over = {each.get(key): each for each in new}
    for each in old:
        mine = over.pop(each.get(key), None)
        proxy = each.get("name") == PROXY_CONTAINER
        yield each if mine is None else _merged(each, mine, wins or proxy)
    yield from over.values()

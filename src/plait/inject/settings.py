"""The injector's configuration, as Istio's stands in ConfigMap istio-sidecar-injector: who is left out, what is added.

What cannot be done as it is written there is refused with the way out, but for keys that only Istio's own installation
reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import yaml
from msgspec import Struct

from plait.inject import templates
from plait.inject.templates import KEY, BadTemplate, Document
from plait.resources.meta import LabelSelector

_SELECTORS: Final = tuple[LabelSelector, ...]


class Settings(Struct, frozen=True):
    """`templates` are the mesh's own. `never` and `always` choose among pods that say nothing themselves; an empty
    selector chooses none. Without `enabled` only those of `always` get a sidecar of these."""

    templates: Mapping[str, Document] = {}
    never: tuple[LabelSelector, ...] = ()
    always: tuple[LabelSelector, ...] = ()
    annotations: Mapping[str, str] = {}
    """For every injected pod."""
    enabled: bool = True

    def refusal(self, labels: Mapping[str, str]) -> str:
        """Why a pod with these labels, which says nothing itself, gets no sidecar; "" when it may."""
        if _chosen(self.never, labels):
            return "its labels are chosen by neverInjectSelector of the injector's configuration"
        if not self.enabled and not _chosen(self.always, labels):
            return "policy of the injector's configuration is disabled, and the pod does not ask for one itself"
        return ""


def _chosen(selectors: tuple[LabelSelector, ...], labels: Mapping[str, str]) -> bool:
    return any((each.match_labels or each.match_expressions) and each.matches(labels) for each in selectors)


def read(text: str) -> Settings:
    """BadTemplate for the first thing that is none."""
    own = templates.read(text)
    found = yaml.safe_load(text) or {}
    if not isinstance(found, dict):
        raise BadTemplate(f"{KEY}: want a mapping; write `templates:`, `neverInjectSelector:` and so on into it")
    if (policy := found.get("policy", "enabled")) not in ("enabled", "disabled"):
        raise BadTemplate(f"{KEY}.policy: {policy!r} is unknown; use enabled or disabled")
    if found.get("aliases") or found.get("defaultTemplates") not in (None, [], ["sidecar"]):
        name = "aliases" if found.get("aliases") else "defaultTemplates"
        raise BadTemplate(f"{KEY}.{name}: not supported; pods name templates by inject.istio.io/templates")
    return Settings(
        own,
        _typed(found, "neverInjectSelector", _SELECTORS, "a list of label selectors"),
        _typed(found, "alwaysInjectSelector", _SELECTORS, "a list of label selectors"),
        _typed(found, "injectedAnnotations", dict[str, str], "a mapping of strings"),
        policy == "enabled",
    )


def _typed(found: Mapping[str, Any], name: str, kind: Any, form: str) -> Any:
    try:
        return msgspec.convert(found.get(name) or kind(), kind)
    except msgspec.ValidationError as error:
        raise BadTemplate(f"{KEY}.{name}: want {form} ({error})") from error

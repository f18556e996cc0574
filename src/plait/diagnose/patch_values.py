"""Values of EnvoyFilters that are not what Envoy's API has at their place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plait.diagnose.messages import say
from plait.envoy.l7.patch_values import misfit
from plait.resources import kinds
from plait.resources.decode import decode
from plait.resources.networking.envoy_filter import EnvoyFilter
from plait.resources.problems import Problem


def of_document(document: dict[str, Any]) -> Iterator[Problem]:
    """Nothing of what cannot be read, or is no EnvoyFilter."""
    if kinds.by_document(document) == kinds.ENVOY_FILTER:
        typed, _ = decode(document)
        if isinstance(typed, EnvoyFilter):
            yield from of_filter(typed)


def of_filter(each: EnvoyFilter) -> Iterator[Problem]:
    for number, found in enumerate(each.spec.config_patches):
        if found.patch is None or found.patch.value is None or found.patch.operation == "REMOVE":
            continue
        if (wrong := misfit(found.apply_to, found.patch.value)) is not None:
            path = f"spec.configPatches[{number}].patch.value{wrong.path}"
            yield say(
                "IST0106", each, path, f"no value of {found.apply_to}: {wrong.message}; {_way_out(wrong.message)}"
            )


def _way_out(message: str) -> str:
    if ".v2." in message or ".v2alpha." in message:
        return "Envoy's v2 API is gone, write the type that v3 has for it"
    return "write it as Envoy's v3 API has it"

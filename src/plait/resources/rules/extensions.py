"""Rules of WasmPlugin and TrafficExtension: where a module comes from, and what its machine is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from plait.resources.rules import targets, words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_SCHEMES = ("", "file", "http", "https", "oci")


def wasm_plugin(each: Any) -> Iterator[Finding]:
    yield from targets.targets(each)
    yield from _module("spec", each.spec)


def traffic_extension(each: Any) -> Iterator[Finding]:
    yield from targets.targets(each)
    given = {"wasm": each.spec.wasm is not None, "lua": each.spec.lua is not None}
    yield from words.exactly_one("spec", given, none_is_fine=True)
    if each.spec.wasm is not None:
        yield from _module("spec.wasm", each.spec.wasm)


def _module(path: str, found: Any) -> Iterator[Finding]:
    yield from _url(f"{path}.url", found.url)
    for index, each in enumerate(found.vm_config.env if found.vm_config is not None else ()):
        if each.value_from == "HOST" and each.value is not None:
            text = "valueFrom HOST takes the value of the proxy; remove value, or use INLINE"
            yield bad(f"{path}.vmConfig.env[{index}].value", text)


def _url(path: str, value: str) -> Iterator[Finding]:
    try:
        scheme = urlsplit(value).scheme
    except ValueError:
        scheme = "?"
    escapes = [part[:2] for part in value.split("%")[1:]]
    if scheme not in _SCHEMES or not all(len(each) == 2 and _is_hexadecimal(each) for each in escapes):
        yield bad(path, f"{value!r} is no place of a module; write one with oci://, https://, http:// or file://")


def _is_hexadecimal(text: str) -> bool:
    return all(each in "0123456789abcdefABCDEF" for each in text)

"""EnvoyFilter -> PatchSet; WasmPlugin and TrafficExtension -> Plugin. Opaque: nothing inside is interpreted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Literal

import msgspec

from plait.model.attachment import labels_of
from plait.model.compile.memory import Memory
from plait.model.compile.traffic.attachments import attachment
from plait.model.compile.traffic.report import BAD_VALUE, NO_EFFECT, Report
from plait.model.mesh import Settings
from plait.model.patches import Patch, PatchSet, Phase, Plugin, Script
from plait.resources.extensions import (
    TrafficExtension,
    TrafficSelector,
    VmConfig,
    WasmConfig,
    WasmPlugin,
    WasmPluginSpec,
)
from plait.resources.networking.envoy_filter import EnvoyConfigObjectPatch, EnvoyFilter
from plait.resources.networking.traffic import LabelMatch
from plait.resources.problems import Problem

_PHASES: dict[str, Phase] = {"AUTHN": "authn", "AUTHZ": "authz", "STATS": "stats"}
_Side = Literal["client", "server", "both"]


def patches(
    found: Iterable[EnvoyFilter], settings: Settings, memory: Memory, problems: list[Problem]
) -> Iterator[PatchSet]:
    for each in found:
        made, said = memory.made(("envoyfilter", each.ident), each, partial(patch_set, each, settings))
        problems.extend(said)
        if made is not None:
            yield made


def plugins(
    wasm: Iterable[WasmPlugin],
    other: Iterable[TrafficExtension],
    settings: Settings,
    memory: Memory,
    problems: list[Problem],
) -> Iterator[Plugin]:
    for each in wasm:
        made, said = memory.made(("wasm", each.ident), each, partial(_wasm, each, settings))
        problems.extend(said)
        if made is not None:
            yield made
    for extension in other:
        made, said = memory.made(("extension", extension.ident), extension, partial(_extension, extension, settings))
        problems.extend(said)
        if made is not None:
            yield made


def patch_set(each: EnvoyFilter, settings: Settings) -> tuple[PatchSet | None, tuple[Problem, ...]]:
    """One filter as the model has it, and what is wrong with it."""
    report = Report("EnvoyFilter", each.namespace, each.name)
    spec = each.spec
    selector = LabelMatch(match_labels=spec.workload_selector.labels) if spec.workload_selector is not None else None
    bound = attachment(each.namespace, selector, None, spec.target_refs, settings, report)
    if bound is None:
        return None, report.problems
    made = [_patch(patch, f"spec.configPatches[{n}]", report) for n, patch in enumerate(spec.config_patches)]
    created = each.meta.creation_timestamp or ""
    kept = tuple(patch for patch in made if patch is not None)
    return PatchSet(each.name, each.namespace, bound, kept, spec.priority, created), report.problems


def _patch(found: EnvoyConfigObjectPatch, path: str, report: Report) -> Patch | None:
    if found.apply_to == "INVALID" or found.patch is None or found.patch.operation == "INVALID":
        report.error(BAD_VALUE, path, "applyTo and patch.operation must say what is done; add them")
        return None
    if found.apply_to == "BOOTSTRAP":
        report.unsupported(f"{path}.applyTo", "BOOTSTRAP patches need a restart of the proxy; patch a listener")
        return None
    match = found.match
    proxy = match.proxy if match is not None else None
    written = msgspec.to_builtins(match) if match is not None else {}
    if found.patch.filter_class != "UNSPECIFIED":
        report.unsupported(f"{path}.patch.filterClass", "name the neighbour: INSERT_BEFORE or INSERT_AFTER a subFilter")
    if match is not None and match.listener is not None and match.listener.port_name:
        report.unsupported(f"{path}.match.listener.portName", "write portNumber")
    return Patch(
        apply_to=found.apply_to,
        context=match.context.lower() if match is not None else "any",  # type: ignore[arg-type]
        operation=found.patch.operation,
        value=found.patch.value or {},
        match={key: value for key, value in written.items() if key not in ("context", "proxy")},
        proxy_version=proxy.proxy_version if proxy is not None else "",
        proxy_metadata=labels_of(proxy.metadata) if proxy is not None else (),
        path=path,
    )


def _wasm(each: WasmPlugin, settings: Settings) -> tuple[Plugin | None, tuple[Problem, ...]]:
    report = Report("WasmPlugin", each.namespace, each.name)
    spec = each.spec
    bound = attachment(each.namespace, spec.selector, spec.target_ref, spec.target_refs, settings, report)
    if bound is None:
        return None, report.problems
    plugin = Plugin(
        "WasmPlugin",
        each.name,
        each.namespace,
        bound,
        _script(spec, "spec", report),
        _PHASES.get(spec.phase, ""),
        spec.priority,
        tuple(_matches(spec.match)),
        each.meta.creation_timestamp or "",
    )
    return plugin, report.problems


def _extension(each: TrafficExtension, settings: Settings) -> tuple[Plugin | None, tuple[Problem, ...]]:
    report = Report("TrafficExtension", each.namespace, each.name)
    spec = each.spec
    bound = attachment(each.namespace, spec.selector, None, spec.target_refs, settings, report)
    if bound is None:
        return None, report.problems
    if (spec.wasm is None) == (spec.lua is None):
        report.error(BAD_VALUE, "spec", "an extension is either wasm or lua; give exactly one")
        return None, report.problems
    script = (
        Script("lua", code=spec.lua.inline_code)
        if spec.lua is not None
        else _script(spec.wasm or WasmConfig(url=""), "spec.wasm", report)
    )
    plugin = Plugin(
        "TrafficExtension",
        each.name,
        each.namespace,
        bound,
        script,
        _PHASES.get(spec.phase, ""),
        spec.priority,
        tuple(_matches(spec.match)),
        each.meta.creation_timestamp or "",
    )
    return plugin, report.problems


def _script(spec: WasmPluginSpec | WasmConfig, path: str, report: Report) -> Script:
    if spec.verification_key:
        report.unsupported(f"{path}.verificationKey", "pin the module by sha256")
    environment = (spec.vm_config or VmConfig()).env
    url = spec.url if "://" in spec.url else f"oci://{spec.url}"
    if url.startswith("oci://"):
        report.unsupported(f"{path}.url", "images are not fetched; use a file:// or http(s):// address")
    for field, given, why in (
        ("sha256", spec.sha256, "a module is read from a file of the proxy, which is taken as it is"),
        ("imagePullPolicy", spec.image_pull_policy not in ("", "UNSPECIFIED_POLICY"), "images are not fetched"),
        ("imagePullSecret", spec.image_pull_secret, "images are not fetched"),
    ):
        if given:
            report.say(NO_EFFECT, f"{path}.{field}", f"it has no effect: {why}; remove it")
    return Script(
        language="wasm",
        url=url,
        config=spec.plugin_config,
        root_id=spec.plugin_name,
        environment=tuple((e.name, e.value or "") for e in environment if e.value_from == "INLINE"),
        host_environment=tuple(e.name for e in environment if e.value_from == "HOST"),
        failure={"FAIL_OPEN": "open", "FAIL_RELOAD": "reload"}.get(spec.fail_strategy, "close"),  # type: ignore[arg-type]
        network=spec.type == "NETWORK",
    )


def _matches(found: Iterable[TrafficSelector]) -> Iterator[tuple[_Side, tuple[int, ...]]]:
    for each in found:
        side: _Side = "client" if each.mode == "CLIENT" else "server" if each.mode == "SERVER" else "both"
        yield side, tuple(port.number for port in each.ports)

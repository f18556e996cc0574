"""The order of the L7 steps: objects -> L7 and problems. Called by `compile.steps` once the L4 part is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from plait.base.revision import revision
from plait.model.compile.memory import Memory, itself
from plait.model.compile.traffic import (
    authorization_l7,
    behind,
    destinationrule,
    extensions,
    gateway_credentials,
    istio_gateway,
    kubernetes_services,
    limits,
    mesh_settings,
    references,
    request_authentication,
    serviceentry,
    sidecar_scope,
    telemetry,
    uncaptured,
    virtualservice,
)
from plait.model.compile.traffic.credentials import Credentials
from plait.model.compile.traffic.gateway_api import compiling
from plait.model.compile.traffic.report import Report
from plait.model.gateways import Gateway
from plait.model.issuers import Providers
from plait.model.l7 import L7
from plait.model.mesh import Settings, Workload
from plait.resources import kinds
from plait.resources.problems import Problem

T = TypeVar("T")


def l7(
    objects: compiling.Objects,
    workloads: Mapping[str, Workload],
    settings: Settings,
    providers: Providers,
    memory: Memory,
    old: L7,
    problems: list[Problem],
) -> L7:
    """The L7 part; what equals a part of `old` comes back as it was."""
    said: list[Problem] = []
    config = _configured(objects, settings, memory)
    said.extend(config.problems)
    namespaces = objects.of(kinds.NAMESPACE)
    written = memory.step(
        "http-services",
        said,
        lambda inner, told: {
            each.key: each
            for each in (
                *serviceentry.services(
                    objects.of(kinds.SERVICE_ENTRY).values(), inner, told, namespaces, config.service_exports
                ),
                *kubernetes_services.services(
                    objects.of(kinds.SERVICE).values(), settings, inner, namespaces, config.service_exports
                ),
            )
        },
        *(objects.of(kinds.SERVICE_ENTRY), objects.of(kinds.SERVICE), namespaces, config),
    )
    credentials = Credentials(objects.of(kinds.SECRET), objects.of(kinds.CONFIG_MAP), memory)
    api = compiling.compiled(objects, written, credentials, settings, memory, said)
    found_gateways: dict[str, Gateway] = {each.key: each for each in api.gateways}
    written_gateways = tuple(istio_gateway.gateways(objects.of(kinds.ISTIO_GATEWAY).values(), memory, said))
    beside = memory.step(
        "beside-gateways",
        said,
        lambda _, __: gateway_credentials.beside(written_gateways, objects.of(kinds.POD).values()),
        *(objects.of(kinds.ISTIO_GATEWAY), objects.of(kinds.POD)),
    )
    for gateway in written_gateways:
        own = beside.get(gateway.key, ())
        found_gateways[gateway.key] = gateway_credentials.checked(gateway, own, credentials, said)
    gateways = _kept(old.gateways, found_gateways)
    services, pods, modes = memory.step(
        "behind",
        said,
        lambda inner, told: behind.standing(objects, workloads, written, gateways, settings, inner, told),
        *(workloads, written, gateways),
        *(objects.of(kind) for kind in (kinds.NAMESPACE, kinds.GATEWAY)),
        *(objects.of(kind) for kind in (kinds.POD, kinds.WORKLOAD_ENTRY, kinds.SERVICE_ENTRY)),
        *(objects.of(kind) for kind in (kinds.PEER_AUTHENTICATION, kinds.ENDPOINT_SLICE)),
    )

    rules = objects.of(kinds.DESTINATION_RULE)
    traffic = destinationrule.traffic(rules, settings, memory, said, config.rule_exports)
    named = references.tables(services, traffic, gateways, memory)
    hosts = objects.of(kinds.VIRTUAL_SERVICE)
    virtual = virtualservice.routings(hosts, named, settings, memory, said, config.route_exports)
    routings = memory.gathered("routings", (virtual, itself), (api.routings, itself))
    rules_of = objects.of(kinds.AUTHORIZATION_POLICY).values()
    domains = trust_domains(objects, settings, memory)
    authorization = {each.key: each for each in authorization_l7.policies(rules_of, settings, domains, memory, said)}
    said.extend(references.wrong_providers(authorization.values(), config.authorizers))
    memory.step(
        "idle-gateways",
        said,
        lambda _, told: told.extend(
            references.idle_gateways(gateways.values(), (dict(p.labels) for p in pods.values()))
        ),
        *(gateways, pods),
    )
    said.extend(_unread(objects))
    problems.extend(said)
    tokens = objects.of(kinds.REQUEST_AUTHENTICATION).values()
    reports = objects.of(kinds.TELEMETRY).values()
    plugins = extensions.plugins(
        objects.of(kinds.WASM_PLUGIN).values(), objects.of(kinds.TRAFFIC_EXTENSION).values(), settings, memory, problems
    )
    limited = limits.policies(objects.of(kinds.LIMIT_POLICY).values(), settings, memory, problems)
    made = L7(
        settings=config.settings if config.settings != old.settings else old.settings,
        services=services,
        instances=pods,
        peer_modes=modes,
        routings=routings,
        traffic=traffic,
        gateways=gateways,
        sidecars=_by_key(
            old.sidecars, sidecar_scope.scopes(objects.of(kinds.SIDECAR).values(), settings, memory, problems)
        ),
        authorization=_kept(old.authorization, authorization),
        authentication=_by_key(
            old.authentication, request_authentication.authentication(tokens, settings, providers, memory, problems)
        ),
        authorizers=_kept(old.authorizers, config.authorizers),
        telemetry=_by_key(old.telemetry, telemetry.telemetry(reports, config.sinks, settings, memory, problems)),
        sinks=_kept(old.sinks, config.sinks),
        patches=_by_key(
            old.patches, extensions.patches(objects.of(kinds.ENVOY_FILTER).values(), settings, memory, problems)
        ),
        plugins=_by_key(old.plugins, plugins),
        limits=_by_key(old.limits, limits.checked(limited, services, problems)),
        backend_tls=_kept(old.backend_tls, {f"{b.service}:{b.port}": b.rule for b in api.backend_tls}),
        statuses=api.statuses,
        secrets=memory.step(
            "secrets", said, lambda _, __: _names(old.secrets, objects.of(kinds.SECRET)), objects.of(kinds.SECRET)
        ),
    )
    memory.step(
        "uncaptured",
        problems,
        lambda _, found: found.extend(uncaptured.told(made.instances, workloads, made.sidecars)),
        *(made.instances, made.sidecars),
    )
    same = all(getattr(made, field) is getattr(old, field) for field in made.__struct_fields__)
    return old if same else made


def _unread(objects: compiling.Objects) -> Iterable[Problem]:
    """Kinds that are accepted and do nothing yet must say so."""
    for each in objects.of(kinds.PROXY_CONFIG).values():
        if each.spec.image is not None and each.spec.image.image_type:
            report = Report("ProxyConfig", each.namespace, each.name)
            report.unsupported("spec.image.imageType", "all proxies run the one image")
            yield from report.problems
    for each in objects.of(kinds.WORKLOAD_GROUP).values():
        report = Report("WorkloadGroup", each.namespace, each.name)
        report.unsupported("spec", "machines do not register themselves here; write a WorkloadEntry for each")
        yield from report.problems


def trust_domains(objects: compiling.Objects, settings: Settings, memory: Memory) -> tuple[str, ...]:
    """The mesh's own, then its aliases; the same tuple while the mesh configuration is."""
    config = _configured(objects, settings, memory)
    return memory.made(
        ("trust-domains",), config, lambda: (settings.trust_domain, *config.settings.trust_domain_aliases)
    )


def _configured(objects: compiling.Objects, settings: Settings, memory: Memory) -> mesh_settings.Configured:
    found = objects.of(kinds.CONFIG_MAP).get((settings.root_namespace, mesh_settings.CONFIG_MAP))
    text = (found.data or {}).get("mesh", "") if found is not None else ""
    return memory.made(("mesh-config",), found, lambda: mesh_settings.configured(text, settings))


def _names(old: frozenset[str], found: Iterable[tuple[str, str]]) -> frozenset[str]:
    made = frozenset(f"{namespace}/{name}" for namespace, name in found)
    return old if made == old else made


def _by_key(old: Mapping[str, T], new: Iterable[Any]) -> Mapping[str, T]:
    return _kept(old, {each.key: each for each in new})


def _kept(old: Mapping[str, T], new: Mapping[str, T]) -> Mapping[str, T]:
    """In key order, with the old object wherever it is equal; the old mapping itself when nothing changed."""
    before = revision(old)
    return before.became(new).in_order(before)

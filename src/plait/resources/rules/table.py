"""Which rules belong to which kind. Rules relate fields; what one field may hold is in its schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from plait.resources import codes, kinds
from plait.resources.kinds import Kind
from plait.resources.meta import Resource
from plait.resources.rules import (
    authorization,
    destination_rule,
    envoy_filter,
    extensions,
    gateway_api,
    istio_gateway,
    limits,
    names,
    service_entry,
    sidecar,
    telemetry,
    virtual_service,
)
from plait.resources.structure import Finding

Rule = Callable[[Any], Iterable[Finding]]

RULES: dict[Kind, Rule] = {
    kinds.VIRTUAL_SERVICE: virtual_service.virtual_service,
    kinds.DESTINATION_RULE: destination_rule.destination_rule,
    kinds.ISTIO_GATEWAY: istio_gateway.gateway,
    kinds.SERVICE_ENTRY: service_entry.service_entry,
    kinds.SIDECAR: sidecar.sidecar,
    kinds.WORKLOAD_ENTRY: service_entry.workload_entry,
    kinds.ENVOY_FILTER: envoy_filter.envoy_filter,
    kinds.PEER_AUTHENTICATION: authorization.peer,
    kinds.REQUEST_AUTHENTICATION: authorization.request,
    kinds.AUTHORIZATION_POLICY: authorization.policy,
    kinds.TELEMETRY: telemetry.telemetry,
    kinds.WASM_PLUGIN: extensions.wasm_plugin,
    kinds.TRAFFIC_EXTENSION: extensions.traffic_extension,
    kinds.WORKLOAD_GROUP: service_entry.workload_group,
    kinds.PROXY_CONFIG: lambda each: names.match_labels("spec.selector", each.spec.selector),
    kinds.GATEWAY: gateway_api.gateway,
    kinds.LISTENER_SET: gateway_api.gateway,
    kinds.HTTP_ROUTE: gateway_api.http_route,
    kinds.GRPC_ROUTE: gateway_api.route,
    kinds.TCP_ROUTE: gateway_api.route,
    kinds.UDP_ROUTE: gateway_api.route,
    kinds.TLS_ROUTE: gateway_api.tls_route,
    kinds.BACKEND_TLS_POLICY: gateway_api.backend_tls,
    kinds.LIMIT_POLICY: limits.policy,
}
WARNINGS = frozenset({codes.DEPRECATED, codes.UNREACHABLE, codes.INEFFECTIVE, codes.NO_MATCHING_SELECTOR})


def findings(kind: Kind, typed: Resource) -> Iterator[Finding]:
    """What breaks the rules of the kind."""
    rule = RULES.get(kind)
    if rule is not None:
        yield from rule(typed)

"""Which rules belong to which kind. Rules relate fields; what one field may hold is in its schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from plait.resources import codes, kinds
from plait.resources.kinds import Kind
from plait.resources.meta import Resource
from plait.resources.rules import authorization, gateway_api, limits, networking
from plait.resources.structure import Finding

Rule = Callable[[Any], Iterable[Finding]]

RULES: dict[Kind, Rule] = {
    kinds.VIRTUAL_SERVICE: networking.virtual_service,
    kinds.DESTINATION_RULE: networking.destination_rule,
    kinds.ISTIO_GATEWAY: networking.gateway,
    kinds.SERVICE_ENTRY: networking.service_entry,
    kinds.SIDECAR: networking.sidecar,
    kinds.WORKLOAD_ENTRY: networking.workload_entry,
    kinds.ENVOY_FILTER: networking.envoy_filter,
    kinds.PEER_AUTHENTICATION: authorization.peer,
    kinds.REQUEST_AUTHENTICATION: authorization.request,
    kinds.AUTHORIZATION_POLICY: authorization.policy,
    kinds.TELEMETRY: authorization.targets,
    kinds.WASM_PLUGIN: authorization.targets,
    kinds.GATEWAY: gateway_api.gateway,
    kinds.LISTENER_SET: gateway_api.gateway,
    kinds.HTTP_ROUTE: gateway_api.http_route,
    kinds.GRPC_ROUTE: gateway_api.route,
    kinds.TCP_ROUTE: gateway_api.route,
    kinds.TLS_ROUTE: gateway_api.route,
    kinds.BACKEND_TLS_POLICY: gateway_api.backend_tls,
    kinds.LIMIT_POLICY: limits.policy,
}
WARNINGS = frozenset({codes.DEPRECATED, codes.UNREACHABLE, codes.INEFFECTIVE, codes.NO_MATCHING_SELECTOR})


def findings(kind: Kind, typed: Resource) -> Iterator[Finding]:
    """What breaks the rules of the kind."""
    rule = RULES.get(kind)
    if rule is not None:
        yield from rule(typed)

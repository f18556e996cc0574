"""Which Python type reads which kind. Kinds that are not here (Deployment, Role, …) the mesh does not read."""

from __future__ import annotations

from plait.resources import extensions, kinds, kubernetes, limits, security, telemetry
from plait.resources.gateway_api import gateway, policies, routes
from plait.resources.kinds import Kind
from plait.resources.meta import Resource
from plait.resources.networking import (
    destination_rule,
    envoy_filter,
    proxy_config,
    service_entry,
    sidecar,
    virtual_service,
    workload,
)
from plait.resources.networking import gateway as istio_gateway

MESH: dict[Kind, type[Resource]] = {
    kinds.VIRTUAL_SERVICE: virtual_service.VirtualService,
    kinds.DESTINATION_RULE: destination_rule.DestinationRule,
    kinds.ISTIO_GATEWAY: istio_gateway.Gateway,
    kinds.SERVICE_ENTRY: service_entry.ServiceEntry,
    kinds.SIDECAR: sidecar.Sidecar,
    kinds.WORKLOAD_ENTRY: workload.WorkloadEntry,
    kinds.WORKLOAD_GROUP: workload.WorkloadGroup,
    kinds.ENVOY_FILTER: envoy_filter.EnvoyFilter,
    kinds.PROXY_CONFIG: proxy_config.ProxyConfig,
    kinds.PEER_AUTHENTICATION: security.PeerAuthentication,
    kinds.REQUEST_AUTHENTICATION: security.RequestAuthentication,
    kinds.AUTHORIZATION_POLICY: security.AuthorizationPolicy,
    kinds.TELEMETRY: telemetry.Telemetry,
    kinds.WASM_PLUGIN: extensions.WasmPlugin,
    kinds.TRAFFIC_EXTENSION: extensions.TrafficExtension,
    kinds.GATEWAY_CLASS: gateway.GatewayClass,
    kinds.GATEWAY: gateway.Gateway,
    kinds.LISTENER_SET: gateway.ListenerSet,
    kinds.HTTP_ROUTE: routes.HTTPRoute,
    kinds.GRPC_ROUTE: routes.GRPCRoute,
    kinds.TCP_ROUTE: routes.TCPRoute,
    kinds.TLS_ROUTE: routes.TLSRoute,
    kinds.UDP_ROUTE: routes.UDPRoute,
    kinds.REFERENCE_GRANT: policies.ReferenceGrant,
    kinds.BACKEND_TLS_POLICY: policies.BackendTLSPolicy,
    kinds.LIMIT_POLICY: limits.LimitPolicy,
}

KUBERNETES: dict[Kind, type[Resource]] = {
    kinds.POD: kubernetes.Pod,
    kinds.SERVICE: kubernetes.Service,
    kinds.ENDPOINT_SLICE: kubernetes.EndpointSlice,
    kinds.NAMESPACE: kubernetes.Namespace,
    kinds.NODE: kubernetes.Node,
    kinds.SERVICE_ACCOUNT: kubernetes.ServiceAccount,
    kinds.SECRET: kubernetes.Secret,
    kinds.CONFIG_MAP: kubernetes.ConfigMap,
}

TYPES: dict[Kind, type[Resource]] = {**MESH, **KUBERNETES}

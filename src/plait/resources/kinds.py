"""The table of kinds: group, versions, plural, scope. The API server, clients and compile all read this one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One API kind. `versions` lists every served version, the storage version first."""

    group: str
    versions: tuple[str, ...]
    kind: str
    plural: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()  # "status", "scale"; pods and service accounts have more

    @property
    def version(self) -> str:
        """The storage version."""
        return self.versions[0]

    @property
    def singular(self) -> str:
        return self.kind.lower()

    def api_version(self, version: str | None = None) -> str:
        """`v1`, `apps/v1`, …: what stands in a document's apiVersion."""
        return f"{self.group}/{version or self.version}" if self.group else version or self.version

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _core(kind: str, plural: str, *short: str, namespaced: bool = True, sub: tuple[str, ...] = ()) -> Kind:
    return Kind("", ("v1",), kind, plural, namespaced, short, ("all",) if plural in _IN_ALL else (), sub)


def _kind(
    group: str,
    versions: str,
    kind: str,
    plural: str,
    *short: str,
    namespaced: bool = True,
    sub: tuple[str, ...] = (),
    cat: tuple[str, ...] = (),
) -> Kind:
    return Kind(group, tuple(versions.split()), kind, plural, namespaced, short, cat, sub)


# fmt: off
_IN_ALL = frozenset({"pods", "services"})
_STATUS = ("status",)
_SCALED = ("status", "scale")
_ISTIO = ("istio-io",)
_GW = ("gateway-api",)
_NET, _SEC, _TEL, _EXT = "networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io"
_GWAPI = "gateway.networking.k8s.io"
_PLAIT = "plait.dev"
_ALL = ("all",)

NAMESPACE = _core("Namespace", "namespaces", "ns", namespaced=False, sub=("status", "finalize"))
NODE = _core("Node", "nodes", "no", namespaced=False, sub=_STATUS)
POD = _core("Pod", "pods", "po", sub=("status", "binding", "eviction", "ephemeralcontainers", "exec", "attach",
                                      "log", "portforward"))
SERVICE = _core("Service", "services", "svc", sub=_STATUS)
ENDPOINTS = _core("Endpoints", "endpoints", "ep")
SERVICE_ACCOUNT = _core("ServiceAccount", "serviceaccounts", "sa", sub=("token",))
SECRET = _core("Secret", "secrets")
CONFIG_MAP = _core("ConfigMap", "configmaps", "cm")
EVENT = _core("Event", "events", "ev")
ENDPOINT_SLICE = _kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
DEPLOYMENT = _kind("apps", "v1", "Deployment", "deployments", "deploy", sub=_SCALED, cat=_ALL)
REPLICA_SET = _kind("apps", "v1", "ReplicaSet", "replicasets", "rs", sub=_SCALED, cat=_ALL)
DAEMON_SET = _kind("apps", "v1", "DaemonSet", "daemonsets", "ds", sub=_STATUS, cat=_ALL)
JOB = _kind("batch", "v1", "Job", "jobs", sub=_STATUS, cat=_ALL)
LEASE = _kind("coordination.k8s.io", "v1", "Lease", "leases")
CRD = _kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", "crd", "crds",
            namespaced=False, sub=_STATUS, cat=("api-extensions",))
MUTATING_WEBHOOK = _kind("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration",
                         "mutatingwebhookconfigurations", namespaced=False, cat=("api-extensions",))
VALIDATING_WEBHOOK = _kind("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration",
                           "validatingwebhookconfigurations", namespaced=False, cat=("api-extensions",))
ROLE = _kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDING = _kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLE = _kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDING = _kind("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings",
                             namespaced=False)

VIRTUAL_SERVICE = _kind(_NET, "v1 v1beta1 v1alpha3", "VirtualService", "virtualservices", "vs", sub=_STATUS,
                        cat=_ISTIO)
DESTINATION_RULE = _kind(_NET, "v1 v1beta1 v1alpha3", "DestinationRule", "destinationrules", "dr", sub=_STATUS,
                         cat=_ISTIO)
ISTIO_GATEWAY = _kind(_NET, "v1 v1beta1 v1alpha3", "Gateway", "gateways", "gw", sub=_STATUS, cat=_ISTIO)
SERVICE_ENTRY = _kind(_NET, "v1 v1beta1 v1alpha3", "ServiceEntry", "serviceentries", "se", sub=_STATUS, cat=_ISTIO)
SIDECAR = _kind(_NET, "v1 v1beta1 v1alpha3", "Sidecar", "sidecars", sub=_STATUS, cat=_ISTIO)
WORKLOAD_ENTRY = _kind(_NET, "v1 v1beta1 v1alpha3", "WorkloadEntry", "workloadentries", "we", sub=_STATUS,
                       cat=_ISTIO)
WORKLOAD_GROUP = _kind(_NET, "v1 v1beta1 v1alpha3", "WorkloadGroup", "workloadgroups", "wg", sub=_STATUS, cat=_ISTIO)
ENVOY_FILTER = _kind(_NET, "v1alpha3", "EnvoyFilter", "envoyfilters", sub=_STATUS, cat=_ISTIO)
PROXY_CONFIG = _kind(_NET, "v1beta1", "ProxyConfig", "proxyconfigs", sub=_STATUS, cat=_ISTIO)
PEER_AUTHENTICATION = _kind(_SEC, "v1 v1beta1", "PeerAuthentication", "peerauthentications", "pa", sub=_STATUS,
                            cat=_ISTIO)
REQUEST_AUTHENTICATION = _kind(_SEC, "v1 v1beta1", "RequestAuthentication", "requestauthentications", "ra",
                               sub=_STATUS, cat=_ISTIO)
AUTHORIZATION_POLICY = _kind(_SEC, "v1 v1beta1", "AuthorizationPolicy", "authorizationpolicies", "ap", sub=_STATUS,
                             cat=_ISTIO)
TELEMETRY = _kind(_TEL, "v1 v1alpha1", "Telemetry", "telemetries", "telemetry", sub=_STATUS, cat=_ISTIO)
WASM_PLUGIN = _kind(_EXT, "v1alpha1", "WasmPlugin", "wasmplugins", sub=_STATUS, cat=_ISTIO)
TRAFFIC_EXTENSION = _kind(_EXT, "v1alpha1", "TrafficExtension", "trafficextensions", sub=_STATUS, cat=_ISTIO)

GATEWAY_CLASS = _kind(_GWAPI, "v1 v1beta1", "GatewayClass", "gatewayclasses", "gc", namespaced=False, sub=_STATUS,
                      cat=_GW)
GATEWAY = _kind(_GWAPI, "v1 v1beta1", "Gateway", "gateways", "gtw", sub=_STATUS, cat=_GW)
HTTP_ROUTE = _kind(_GWAPI, "v1 v1beta1", "HTTPRoute", "httproutes", sub=_STATUS, cat=_GW)
GRPC_ROUTE = _kind(_GWAPI, "v1", "GRPCRoute", "grpcroutes", sub=_STATUS, cat=_GW)
TCP_ROUTE = _kind(_GWAPI, "v1 v1alpha2", "TCPRoute", "tcproutes", sub=_STATUS, cat=_GW)
TLS_ROUTE = _kind(_GWAPI, "v1 v1alpha3 v1alpha2", "TLSRoute", "tlsroutes", sub=_STATUS, cat=_GW)
UDP_ROUTE = _kind(_GWAPI, "v1 v1alpha2", "UDPRoute", "udproutes", sub=_STATUS, cat=_GW)
REFERENCE_GRANT = _kind(_GWAPI, "v1 v1beta1", "ReferenceGrant", "referencegrants", "refgrant", cat=_GW)
BACKEND_TLS_POLICY = _kind(_GWAPI, "v1 v1alpha3", "BackendTLSPolicy", "backendtlspolicies", "btlspolicy", sub=_STATUS,
                           cat=_GW)
LISTENER_SET = _kind(_GWAPI, "v1", "ListenerSet", "listenersets", "lset", sub=_STATUS, cat=_GW)

LIMIT_POLICY = _kind(_PLAIT, "v1alpha1", "LimitPolicy", "limitpolicies", "lp", sub=_STATUS, cat=("plait-dev",))

# fmt: on

ALL: tuple[Kind, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Kind))

_BY_GROUP_KIND = {(k.group, k.kind): k for k in ALL}
_BY_GROUP_PLURAL = {(k.group, k.plural): k for k in ALL}
MESH_GROUPS = frozenset({_NET, _SEC, _TEL, _EXT, _GWAPI, _PLAIT})


def by_document(document: dict[str, object]) -> Kind | None:
    """The kind a document names by apiVersion and kind, at any served version; None when unknown."""
    group, _, version = str(document.get("apiVersion", "")).rpartition("/")
    found = _BY_GROUP_KIND.get((group, str(document.get("kind", ""))))
    return found if found is not None and version in found.versions else None


def by_plural(group: str, plural: str) -> Kind | None:
    """The kind served at /apis/<group>/…/<plural>."""
    return _BY_GROUP_PLURAL.get((group, plural))


def named(word: str) -> Iterator[Kind]:
    """The kinds a user may mean on a command line: plural, singular, kind, short name, or plural.group."""
    word = word.lower()
    for kind in ALL:
        if word in (kind.plural, kind.singular, str(kind), *kind.short_names):
            yield kind

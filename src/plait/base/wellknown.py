"""Ports, labels, annotations and names that are contracts with users and with other meshes: one table.

Sources: Istio's API (label/labels.yaml, annotation/annotations.yaml) and ztunnel's ARCHITECTURE.md; values are facts.
"""

from __future__ import annotations

from typing import Final

# Ports inside a captured pod, and of a node proxy.
OUTBOUND_PORT: Final = 15001
INBOUND_PLAINTEXT_PORT: Final = 15006
HBONE_PORT: Final = 15008
DNS_CAPTURE_PORT: Final = 15053
ADMIN_PORT: Final = 15000
METRICS_PORT: Final = 15020
READY_PORT: Final = 15021
HELD_PORT: Final = 15009  # of a waypoint: tunnels that the activator held, each after a PROXY header
XDS_TLS_PORT: Final = 15012
STATUS_PORT: Final = 15014  # of the control plane: metrics, readiness and what it knows of problems
PROXY_PORTS: Final = frozenset({OUTBOUND_PORT, INBOUND_PLAINTEXT_PORT, HBONE_PORT, READY_PORT, METRICS_PORT, 15090})
"""On which a sidecar (or its agent) listens inside the pod."""
NODE_PROXY_PORTS: Final = frozenset({OUTBOUND_PORT, INBOUND_PLAINTEXT_PORT, HBONE_PORT, DNS_CAPTURE_PORT})
"""On which the node proxy listens inside a captured pod."""
WEBHOOK_PORT: Final = 15017
RESERVED_PORTS: Final = frozenset({OUTBOUND_PORT, INBOUND_PLAINTEXT_PORT, HBONE_PORT, 15080, ADMIN_PORT})

# Packet marks in a pod whose sidecar captures by TPROXY (Istio's; the first is the socket mark of its proxy).
TPROXY_MARK: Final = 1337
TPROXY_SELF_MARK: Final = 1338  # of what the pod's proxy sends to its own pod
TPROXY_TABLE: Final = 133

# Socket mark of the node proxy's own packets; connection mark of what it answers (Istio in-pod rules).
PROXY_MARK: Final = 0x539
TUNNEL_MARK: Final = 0x10539  # towards an application, out of a tunnel: the same to every rule (they mask)
CLASSIC_MARK: Final = 0x4D2  # node-level capture: sockets towards an application
CLASSIC_TUNNEL_MARK: Final = 0x204D2  # the same, out of a tunnel
CLASSIC_LOCAL_MARK: Final = 0x104D2  # and those in a pod's name towards a peer, which may be on the same node
CONNECTION_MARK: Final = 0x111
MARK_MASK: Final = 0xFFF
PROBE_SNAT_IP: Final = "169.254.7.127"
CAPTURE_PROBE_IP: Final = "169.254.7.126"  # where the capture probe connects to: link-local, never routed
CAPTURE_PROBE_IP6: Final = "fd16:9254:7127:1337:ffff:ffff:ffff:fffe"  # beside the probes' source address of this family
CAPTURE_PROBE_NAME: Final = "capture-probe.plait.internal"  # only the mesh's resolver knows it

# Labels and annotations.
DATAPLANE_MODE: Final = "istio.io/dataplane-mode"  # "ambient" | "none", on a Namespace or Pod
INGRESS_WAYPOINT: Final = "istio.io/ingress-use-waypoint"
USE_WAYPOINT: Final = "istio.io/use-waypoint"
USE_WAYPOINT_NAMESPACE: Final = "istio.io/use-waypoint-namespace"
WAYPOINT_FOR: Final = "istio.io/waypoint-for"
OPTIONAL_WAYPOINT: Final = "plait.dev/optional-waypoint"  # "ns/name", annotation of a Service: see model.guard
SERVE_CALLS: Final = "plait.dev/serve-calls"  # "true" on a Service or ServiceEntry: Redis, Thrift, Dubbo call by call
REDIRECTION: Final = "ambient.istio.io/redirection"  # "enabled": capture of this pod was verified by its node
DNS_CAPTURE: Final = "ambient.istio.io/dns-capture"  # "true" | "false", on a Pod, read when its network is made
SIDECAR_STATUS: Final = "sidecar.istio.io/status"
TUNNEL_LABEL: Final = "networking.istio.io/tunnel"
GATEWAY_NAME: Final = "gateway.networking.k8s.io/gateway-name"  # of pods and Services made for a Gateway
GATEWAY_NAME_OVERRIDE: Final = "gateway.istio.io/name-override"  # of everything made for the Gateway
GATEWAY_ACCOUNT: Final = "gateway.istio.io/service-account"
OPERATION: Final = "operation"  # key of a Gateway's ConfigMap of parameters: how its proxies are operated
PLACEMENT: Final = "plait.dev/placement"  # of a Gateway's infrastructure: where its proxies run
POOL_NAMESPACE: Final = "plait-managed"  # where those of managed waypoints do
WARM: Final = "plait.dev/warm"  # label of a proxy of the pool that runs for nobody yet
WARM_ACCOUNT: Final = "warm"  # its account
CLAIMED: Final = "plait.dev/claimed"  # label of one that was taken by a waypoint; on that waypoint's account: its UID
SERVING: Final = "plait.dev/serving"  # its readiness gate: it has its waypoint's configuration
GATEWAY_NAMESPACE: Final = "plait.dev/gateway-namespace"  # of things made there: the namespace of their Gateway
MANAGED: Final = "gateway.istio.io/managed"  # by which controller
INJECT: Final = "sidecar.istio.io/inject"
INJECTION: Final = "istio-injection"  # "enabled" | "disabled", on a Namespace
REVISION: Final = "istio.io/rev"  # which control plane injects, on a Namespace or Pod
SUPPRESS: Final = "galley.istio.io/analyze-suppress"  # codes that an object keeps to itself
TEMPLATES: Final = "inject.istio.io/templates"  # "gateway": the container of image `auto` is a gateway's proxy
TLS_MODE: Final = "security.istio.io/tlsMode"
CANONICAL_NAME: Final = "service.istio.io/canonical-name"
CANONICAL_REVISION: Final = "service.istio.io/canonical-revision"
WORKLOAD_NAME: Final = "service.istio.io/workload-name"
DRY_RUN: Final = "istio.io/dry-run"
ADDRESS: Final = "plait.dev/address"  # on a Pod of the local runtime: the address it is to have
ACTIVATOR: Final = "plait-activator"  # value of MANAGED_SLICE: the activator's slice of a Service
POOL: Final = "plait-pool"  # value of MANAGED_SLICE: the slice of the proxies that a waypoint has in the pool
ASLEEP: Final = "plait.dev/asleep"  # on a Deployment: it has no replicas because nobody uses it
MANAGED_SLICE: Final = "endpointslice.kubernetes.io/managed-by"
AUTO_ALLOCATE: Final = "networking.istio.io/enable-autoallocate-ip"  # "false" on a ServiceEntry: give it no address

EAGER: Final = 500  # services up to which a node proxy or sidecar has all their clusters before anybody asks

AUTO_ALLOCATED: Final = "240.240.0.0/16"  # addresses of ServiceEntry hosts that state none; nobody routes them
AUTO_ALLOCATED6: Final = "2001:2::/48"  # the same, of the other family (Istio's ranges, both)

DEFAULT_TRUST_DOMAIN: Final = "cluster.local"
DEFAULT_ROOT_NAMESPACE: Final = "istio-system"
CLUSTER_DOMAIN: Final = "cluster.local"
CLUSTER_ID: Final = "Kubernetes"
CA_AUDIENCE: Final = "istio-ca"
NODE_AGENT_ACCOUNT: Final = "ztunnel"  # service account of the node agent, in the root namespace

# The container of an L7 proxy (sidecar, waypoint, gateway) and what its node agent puts beside it.
PROXY_CONTAINER: Final = "istio-proxy"
PROXY_IMAGE: Final = "plait/proxyv2"
PROXY_UID: Final = 1337  # user and group: capture rules leave its packets alone
DRAIN_SECONDS: Final = 5
"""For which an L7 proxy lets connections live whose filter chain has gone, and all of them when it is to end."""
PROXY_DIRECTORY: Final = "/var/run/plait/proxy"  # in the container
PROXY_VOLUME: Final = "plait-proxy"

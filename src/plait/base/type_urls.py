"""Type URLs of xDS: what the translators name their resources by, and the server orders them by."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "type.googleapis.com/"
CLUSTER: Final = PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINTS: Final = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER: Final = PREFIX + "envoy.config.listener.v3.Listener"
ROUTES: Final = PREFIX + "envoy.config.route.v3.RouteConfiguration"
EXTENSION: Final = PREFIX + "envoy.config.core.v3.TypedExtensionConfig"
SECRET: Final = PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
# Istio's workload discovery.
ADDRESS: Final = PREFIX + "istio.workload.Address"
WORKLOAD: Final = PREFIX + "istio.workload.Workload"
AUTHORIZATION: Final = PREFIX + "istio.security.Authorization"

"""GatewayClass: which gateways are ours, and what kind of proxy runs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from plait.model.status import ClassStatus, Condition
from plait.resources.gateway_api.gateway import GatewayClass

Runs = Literal["gateway", "waypoint"]
CONTROLLERS: dict[str, Runs] = {
    "istio.io/gateway-controller": "gateway",
    "istio.io/mesh-controller": "waypoint",
    "plait.dev/gateway-controller": "gateway",
    "plait.dev/waypoint-controller": "waypoint",
}
BUILT_IN: dict[str, Runs] = {
    "istio": "gateway",
    "plait": "gateway",
    "istio-waypoint": "waypoint",
    "plait-waypoint": "waypoint",
}
FEATURES = (
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayBackendClientCertificate",
    "GatewayFrontendClientCertificateValidation",
    "GatewayFrontendClientCertificateValidationInsecureFallback",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayInfrastructure",
    "GatewayPort8080",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteRetry",
    "HTTPRouteRetryBackendTimeout",
    "HTTPRouteRetryConnectionError",
    "HTTPRouteSchemeRedirect",
    "ListenerSet",
    "Mesh",
    "MeshClusterIPMatching",
    "MeshConsumerRoute",
    "MeshHTTPRouteBackendRequestHeaderModification",
    "MeshHTTPRouteNamedRouteRule",
    "MeshHTTPRouteQueryParamMatching",
    "MeshHTTPRouteRedirectPath",
    "MeshHTTPRouteRedirectPort",
    "MeshHTTPRouteRewritePath",
    "MeshHTTPRouteSchemeRedirect",
    "ReferenceGrant",
    "TCPRoute",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
)
"""What is translated; the conformance run is what shows that each of them works."""


def runs(class_name: str, classes: Mapping[tuple[str, str], GatewayClass]) -> Runs | None:
    """What runs gateways of this class; None: somebody else does. A class of that name in the API has the word."""
    found = classes.get(("", class_name))
    return CONTROLLERS.get(found.spec.controller_name) if found is not None else BUILT_IN.get(class_name)


def status(each: GatewayClass) -> ClassStatus | None:
    if each.spec.controller_name not in CONTROLLERS:
        return None
    return ClassStatus((Condition("Accepted", "True", "Accepted", "Handled by Plait"),), FEATURES)

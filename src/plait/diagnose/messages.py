"""The messages of analysis: Istio's codes, their names and how severe each is. One table; analyzers say only codes.

What compile and validation find (of IST0101, IST0106 and others) brings its own severity.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from plait.resources import codes
from plait.resources.problems import Problem, Severity


class Message(NamedTuple):
    name: str
    severity: Severity


MESSAGES: dict[str, Message] = {
    "IST0002": Message("Deprecated", "warning"),
    "IST0101": Message("ReferencedResourceNotFound", "error"),
    "IST0102": Message("NamespaceNotInjected", "info"),
    "IST0103": Message("PodMissingProxy", "warning"),
    "IST0106": Message("SchemaValidationError", "error"),
    "IST0107": Message("MisplacedAnnotation", "warning"),
    "IST0108": Message("UnknownAnnotation", "warning"),
    "IST0109": Message("ConflictingMeshGatewayVirtualServiceHosts", "error"),
    "IST0110": Message("ConflictingSidecarWorkloadSelectors", "error"),
    "IST0111": Message("MultipleSidecarsWithoutWorkloadSelectors", "error"),
    "IST0112": Message("VirtualServiceDestinationPortSelectorRequired", "error"),
    "IST0116": Message("DeploymentAssociatedToMultipleServices", "warning"),
    "IST0118": Message("PortNameIsNotUnderNamingConvention", "info"),
    "IST0123": Message("NamespaceMultipleInjectionLabels", "warning"),
    "IST0125": Message("InvalidAnnotation", "warning"),
    "IST0127": Message("NoMatchingWorkloadsFound", "warning"),
    "IST0128": Message("NoServerCertificateVerificationDestinationLevel", "warning"),
    "IST0129": Message("NoServerCertificateVerificationPortLevel", "warning"),
    "IST0130": Message("VirtualServiceUnreachableRule", "warning"),
    "IST0131": Message("VirtualServiceIneffectiveMatch", "info"),
    "IST0132": Message("VirtualServiceHostNotFoundInGateway", "warning"),
    "IST0134": Message("ServiceEntryAddressesRequired", "warning"),
    "IST0135": Message("DeprecatedAnnotation", "info"),
    "IST0136": Message("AlphaAnnotation", "info"),
    "IST0137": Message("DeploymentConflictingPorts", "warning"),
    "IST0138": Message("GatewayDuplicateCertificate", "warning"),
    "IST0139": Message("InvalidWebhook", "error"),
    "IST0140": Message("IngressRouteRulesNotAffected", "warning"),
    "IST0144": Message("InvalidApplicationUID", "warning"),
    "IST0145": Message("ConflictingGateways", "error"),
    "IST0146": Message("ImageAutoWithoutInjectionWarning", "warning"),
    "IST0147": Message("ImageAutoWithoutInjectionError", "error"),
    "IST0148": Message("NamespaceInjectionEnabledByDefault", "info"),
    "IST0149": Message("JwtClaimBasedRoutingWithoutRequestAuthN", "error"),
    "IST0150": Message("ExternalNameServiceTypeInvalidPortName", "warning"),
    "IST0151": Message("EnvoyFilterUsesRelativeOperation", "warning"),
    "IST0152": Message("EnvoyFilterUsesReplaceOperationIncorrectly", "error"),
    "IST0153": Message("EnvoyFilterUsesAddOperationIncorrectly", "error"),
    "IST0154": Message("EnvoyFilterUsesRemoveOperationIncorrectly", "error"),
    "IST0155": Message("EnvoyFilterUsesRelativeOperationWithProxyVersion", "warning"),
    "IST0157": Message("InvalidTelemetryProvider", "warning"),
    "IST0158": Message("PodsIstioProxyImageMismatchInNamespace", "warning"),
    "IST0159": Message("ConflictingTelemetryWorkloadSelectors", "error"),
    "IST0160": Message("MultipleTelemetriesWithoutWorkloadSelectors", "error"),
    "IST0161": Message("InvalidGatewayCredential", "error"),
    "IST0162": Message("GatewayPortNotDefinedOnService", "warning"),
    "IST0163": Message("InvalidExternalControlPlaneConfig", "warning"),
    "IST0164": Message("ExternalControlPlaneAddressIsNotAHostname", "info"),
    "IST0165": Message("ReferencedInternalGateway", "warning"),
    "IST0166": Message("IneffectiveSelector", "warning"),
    "IST0167": Message("IneffectivePolicy", "warning"),
    "IST0171": Message("NegativeConditionStatus", "warning"),
    "IST0173": Message("DestinationRuleSubsetNotSelectPods", "error"),
    "IST0174": Message("UnknownDestinationRuleHost", "warning"),
    "IST0177": Message("ConflictingServiceEntryProtocol", "warning"),
    codes.RESERVED_PORT: Message("ReservedPort", "warning"),
    codes.BOTH_MODES: Message("BothModes", "warning"),
}


class About(Protocol):
    """An object that a message is about."""

    @property
    def kind(self) -> str: ...

    @property
    def namespace(self) -> str: ...

    @property
    def name(self) -> str: ...


def say(code: str, about: About, path: str, text: str) -> Problem:
    return Problem(code, MESSAGES[code].severity, about.kind, about.namespace, about.name, path, text)

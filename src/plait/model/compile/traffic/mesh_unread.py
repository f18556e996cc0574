"""Fields of the mesh configuration that no proxy is told of: each is told as a problem where it is set.

A value that says what is so anyway (Istio's default, this mesh's own trust domain) is no problem.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plait.model.compile.traffic.report import Report
from plait.model.mesh import Settings
from plait.resources.mesh_config.mesh import MeshConfig

_PORTS = "proxies listen on Istio's usual ports; remove it"
_INGRESS = "Ingress is not read; write a Gateway"
_TRACER = "name a provider of extensionProviders in defaultProviders.tracing, or in a Telemetry"
_OWN = "the proxy is the node agent's, which says this itself; remove it"
_ONE = "there is one cluster; remove it"
_AUTHORITY = "the authority is chosen with plait ca: see docs/authority.md"
_POOL = "write it into connectionPool of a DestinationRule or a Sidecar, or configure it by an EnvoyFilter"
_METRICS = "metrics are those of Telemetry, at the proxy's port 15020; remove it"
_FILTER = "remove it or configure it by an EnvoyFilter"
_DEFAULT = "defaultConfig"
_FIELDS: tuple[tuple[str, str], ...] = (
    ("proxyListenPort", _PORTS),
    ("proxyInboundListenPort", _PORTS),
    ("proxyHttpPort", _PORTS),
    ("hboneIdleTimeout", "tunnels end when their connections do; remove it"),
    ("ingressClass", _INGRESS),
    ("ingressService", _INGRESS),
    ("ingressControllerMode", _INGRESS),
    ("ingressSelector", _INGRESS),
    ("enableEnvoyAccessLogService", "name a provider of kind envoyHttpAls in defaultProviders.accessLogging"),
    ("disableEnvoyListenerLog", "connections without a chain are logged with the others; remove it"),
    ("outboundTrafficPolicy.tls", "write a ServiceEntry, and a DestinationRule with tls"),
    ("configSources", "the one source is the Kubernetes API; remove it"),
    ("trustDomain", "the trust domain of a mesh is fixed when it is made; see trustDomainAliases"),
    ("rootNamespace", "the root namespace is istio-system; remove it"),
    ("caCertificates", _AUTHORITY),
    ("certificates", "take a certificate manager"),
    ("ca", _AUTHORITY),
    ("inboundClusterStatName", _METRICS),
    ("outboundClusterStatName", _METRICS),
    ("serviceSettings", _ONE),
    ("serviceScopeConfigs", _ONE),
    ("enablePrometheusMerge", "the application's metrics stay at its own port; remove it"),
    (
        "verifyCertificateAtClient",
        "servers are verified; set insecureSkipVerify in the DestinationRule of one that cannot be",
    ),
    ("serviceEntryVisibility", "write exportTo into the ServiceEntry, or defaultServiceExportTo"),
    ("tlsDefaults.minProtocolVersion", "as in Istio; write minProtocolVersion of a Gateway's server"),
    ("extensionProviders[].opentelemetry.serviceAttributeEnrichment", "spans have Istio's tags; remove it"),
    ("extensionProviders[].opentelemetry.dynatraceSampler", "sample by randomSamplingPercentage of a Telemetry"),
    *(
        (f"{_DEFAULT}.{name}", _OWN)
        for name in (
            *("configPath", "binaryPath", "serviceCluster", "drainDuration", "discoveryRefreshDelay", "proxyAdminPort"),
            *("availabilityZone", "controlPlaneAuthPolicy", "customConfigFile", "statNameLength"),
            *(
                "proxyBootstrapTemplatePath",
                "sds",
                "runtimeValues",
                "statusPort",
                "meshId",
                "image",
                "fileFlushInterval",
            ),
            *("fileFlushMinSizeKb", "privateKeyProvider", "tracingServiceName"),
        )
    ),
    (f"{_DEFAULT}.caCertificatesPem", _AUTHORITY),
    (f"{_DEFAULT}.readinessProbe", "it is of machines, which do not join by themselves; remove it"),
    (f"{_DEFAULT}.zipkinAddress", _TRACER),
    *(
        (f"{_DEFAULT}.tracing.{name}", _TRACER)
        for name in ("zipkin", "lightstep", "datadog", "stackdriver", "openCensusAgent")
    ),
    (f"{_DEFAULT}.tracing.tlsSettings", "write tls into a DestinationRule of the collector"),
    (f"{_DEFAULT}.envoyAccessLogService", "name a provider of kind envoyHttpAls in defaultProviders.accessLogging"),
    *(
        (f"{_DEFAULT}.{name}", _METRICS)
        for name in (
            *("statsdUdpAddress", "envoyMetricsServiceAddress", "envoyMetricsService", "extraStatTags"),
            *("proxyStatsMatcher", "statsCompression"),
        )
    ),
    (f"{_DEFAULT}.connectionSettings", _POOL),
    *(
        (f"{_DEFAULT}.proxyHeaders.{name}", _FILTER)
        for name in (
            *(
                "forwardedClientCert",
                "setCurrentClientCertDetails",
                "metadataExchangeHeaders",
                "preserveHttp1HeaderCase",
            ),
            "xForwardedHost",
        )
    ),
)


def told(config: MeshConfig, settings: Settings, report: Report) -> None:
    own = {"trustDomain": settings.trust_domain, "rootNamespace": settings.root_namespace}
    for path, instead in _FIELDS:
        for where, value in _found(config, path.split("."), ""):
            if value != own.get(path):
                report.unsupported(where, instead)


def _found(within: Any, names: list[str], above: str) -> Iterator[tuple[str, Any]]:
    """Where a field stands, and its value; not where that is the default."""
    name, *rest = names
    kind = type(within)
    # Not `structs.fields`, which resolves all annotations of the class at every call.
    at = kind.__struct_encode_fields__.index(name.removesuffix("[]"))
    from_end = at - len(kind.__struct_fields__)
    value = getattr(within, kind.__struct_fields__[at])
    default = kind.__struct_defaults__[from_end] if -from_end <= len(kind.__struct_defaults__) else None
    path = f"{above}.{name.removesuffix('[]')}".lstrip(".")
    if value in (None, default, {}):
        return
    if not rest:
        yield path, value
    elif name.endswith("[]"):
        for number, each in enumerate(value):
            yield from _found(each, rest, f"{path}[{number}]")
    else:
        yield from _found(value, rest, path)

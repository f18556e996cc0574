"""Istio's annotations: on which kinds each means something, what its value must be, and at what stage it is. Data."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Literal

Check = Callable[[str], str]
"""Why a value is wrong; "" when it is right."""


@dataclass(frozen=True, slots=True)
class Known:
    """`kinds` empty: any kind. `instead` is what replaces a deprecated one."""

    kinds: frozenset[str] = frozenset()
    check: Check = lambda value: ""
    stage: Literal["", "alpha", "deprecated"] = ""
    instead: str = ""


def _one_of(*words: str) -> Check:
    return lambda value: "" if value in words else f"{value!r} is none of {', '.join(words)}"


def _listed(each: Check, *whole: str) -> Check:
    def check(value: str) -> str:
        if value in ("", *whole):
            return ""
        return next((wrong for item in value.split(",") if (wrong := each(item.strip()))), "")

    return check


def _port(value: str) -> str:
    return "" if value.isdecimal() and 0 < int(value) < 65536 else f"{value!r} is not a port"


def _range(value: str) -> str:
    try:
        ip_network(value, strict=False)
    except ValueError:
        return f"{value!r} is not a CIDR"
    return ""


def _number(value: str) -> str:
    return "" if value.isdecimal() else f"{value!r} is not a whole number"


def _quantity(value: str) -> str:
    return "" if re.fullmatch(r"\d+(\.\d+)?(m|k|[KMGTP]i|[MGTP])?", value) else f"{value!r} is not a quantity"


INGRESS_CLASS = "kubernetes.io/ingress.class"  # the one of another domain that Istio reads
_BOOLEAN = _one_of("true", "false")
_POD, _SERVICE, _GATEWAY = frozenset({"Pod"}), frozenset({"Service"}), frozenset({"Gateway"})
_PORTS, _RANGES = _listed(_port, "*"), _listed(_range, "*")
_TRAFFIC = "traffic.sidecar.istio.io/"
_PROBES = "readiness.status.sidecar.istio.io/"

ANNOTATIONS: dict[str, Known] = {
    "sidecar.istio.io/inject": Known(_POD, _BOOLEAN, "deprecated", "the label of the same name"),
    "sidecar.istio.io/status": Known(_POD),
    "sidecar.istio.io/rewriteAppHTTPProbers": Known(_POD, _BOOLEAN),
    "sidecar.istio.io/proxyImage": Known(_POD),
    "sidecar.istio.io/proxyImageType": Known(_POD),
    "sidecar.istio.io/proxyCPU": Known(_POD, _quantity),
    "sidecar.istio.io/proxyCPULimit": Known(_POD, _quantity),
    "sidecar.istio.io/proxyMemory": Known(_POD, _quantity),
    "sidecar.istio.io/proxyMemoryLimit": Known(_POD, _quantity),
    "sidecar.istio.io/interceptionMode": Known(_POD, _one_of("REDIRECT", "TPROXY", "NONE")),
    "sidecar.istio.io/bootstrapOverride": Known(_POD, stage="alpha"),
    "sidecar.istio.io/statsInclusionPrefixes": Known(
        _POD, stage="deprecated", instead="proxyStatsMatcher in proxy.istio.io/config"
    ),
    "sidecar.istio.io/statsInclusionSuffixes": Known(
        _POD, stage="deprecated", instead="proxyStatsMatcher in proxy.istio.io/config"
    ),
    "sidecar.istio.io/statsInclusionRegexps": Known(
        _POD, stage="deprecated", instead="proxyStatsMatcher in proxy.istio.io/config"
    ),
    "sidecar.istio.io/statsHistogramBuckets": Known(_POD),
    "sidecar.istio.io/statsHistogramBins": Known(_POD),
    "sidecar.istio.io/statsFlushInterval": Known(_POD),
    "sidecar.istio.io/statsEvictionInterval": Known(_POD),
    "sidecar.istio.io/extraStatTags": Known(_POD),
    "sidecar.istio.io/userVolume": Known(_POD),
    "sidecar.istio.io/userVolumeMount": Known(_POD),
    "sidecar.istio.io/logLevel": Known(
        _POD, _one_of("trace", "debug", "info", "warning", "warn", "error", "critical", "off")
    ),
    "sidecar.istio.io/componentLogLevel": Known(_POD),
    "sidecar.istio.io/agentLogLevel": Known(_POD),
    "sidecar.istio.io/nativeSidecar": Known(_POD, _BOOLEAN),
    "sidecar.istio.io/init-containers-before-proxy": Known(_POD),
    "sidecar.istio.io/discoveryAddress": Known(
        _POD, stage="deprecated", instead="discoveryAddress in proxy.istio.io/config"
    ),
    f"{_PROBES}initialDelaySeconds": Known(_POD, _number),
    f"{_PROBES}periodSeconds": Known(_POD, _number),
    f"{_PROBES}failureThreshold": Known(_POD, _number),
    f"{_PROBES}applicationPorts": Known(_POD, _PORTS),
    "status.sidecar.istio.io/port": Known(_POD, _port),
    f"{_TRAFFIC}includeOutboundIPRanges": Known(_POD, _RANGES),
    f"{_TRAFFIC}excludeOutboundIPRanges": Known(_POD, _RANGES),
    f"{_TRAFFIC}includeInboundPorts": Known(_POD, _PORTS),
    f"{_TRAFFIC}excludeInboundPorts": Known(_POD, _PORTS),
    f"{_TRAFFIC}includeOutboundPorts": Known(_POD, _PORTS),
    f"{_TRAFFIC}excludeOutboundPorts": Known(_POD, _PORTS),
    f"{_TRAFFIC}excludeInterfaces": Known(_POD),
    f"{_TRAFFIC}kubevirtInterfaces": Known(_POD, stage="deprecated", instead="istio.io/reroute-virtual-interfaces"),
    "istio.io/reroute-virtual-interfaces": Known(_POD),
    "istio.io/rev": Known(_POD),
    "prometheus.istio.io/merge-metrics": Known(_POD, _BOOLEAN),
    "proxy.istio.io/config": Known(_POD),
    "proxy.istio.io/overrides": Known(_POD, stage="alpha"),
    "inject.istio.io/templates": Known(_POD, stage="alpha"),
    "ambient.istio.io/redirection": Known(_POD),
    "ambient.istio.io/bypass-inbound-capture": Known(_POD, _BOOLEAN),
    "ambient.istio.io/dns-capture": Known(_POD, _BOOLEAN),
    "ambient.istio.io/waypoint-inbound-binding": Known(frozenset({"Gateway", "GatewayClass"})),
    "networking.istio.io/exportTo": Known(_SERVICE),
    "networking.istio.io/service-type": Known(_GATEWAY, _one_of("ClusterIP", "NodePort", "LoadBalancer")),
    "networking.istio.io/traffic-distribution": Known(
        frozenset({"Service", "ServiceEntry", "Namespace"}),
        _one_of("PreferClose", "PreferSameZone", "PreferSameNode", "Any"),
    ),
    "networking.istio.io/address-type": Known(_GATEWAY, _one_of("IPAddress", "Hostname")),
    "gateway.istio.io/name-override": Known(_GATEWAY),
    "gateway.istio.io/service-account": Known(_GATEWAY),
    "gateway.istio.io/controller-version": Known(_GATEWAY, _number),
    "istio.io/dry-run": Known(frozenset({"AuthorizationPolicy"}), _BOOLEAN, "alpha"),
    "istio.io/use-waypoint-canary-weight": Known(frozenset({"Service", "ServiceEntry", "Namespace"}), _number),
    INGRESS_CLASS: Known(frozenset({"Ingress"})),
    "galley.istio.io/analyze-suppress": Known(),
    "topology.istio.io/controlPlaneClusters": Known(frozenset({"Namespace"})),
}

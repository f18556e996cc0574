"""Values to try, by kind and path; what is not said here follows from the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from kit.fields import mesh
from kit.fields.filters import dependencies

KEYS = json.dumps(
    {"keys": [{"kty": "oct", "kid": "k", "alg": "HS256", "k": "c29tZS1rZXktdGhhdC1pcy1sb25nLWVub3VnaC1mb3ItdGhpcw"}]}
)
_OTHER = {"destination": {"host": "counting.shop.svc.cluster.local", "port": {"number": 8081}}, "weight": 1}
_ENTRY = {"key": "a", "value": "b"}
_COUNTING = {"service": {"name": "counting", "port": 8081}, "domain": "a"}
_SHARED = {**_COUNTING, "limits": [{"descriptor": [_ENTRY]}]}
_SHARE, _REST = {"name": "reviews", "port": 80, "weight": 1}, {"name": "cart", "port": 80, "weight": 3}
_CART = {"host": "cart.shop.svc.cluster.local", "port": {"number": 80}}
_MANAGER = "envoy.filters.network.http_connection_manager"
_PORT = [{"port": {"number": 80}}]
_TERMINATE = {"mode": "Terminate", "certificateRefs": [{"name": "cert"}]}
_PLACES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"trafficPolicy\.", ("trafficPolicy",)),
    (r"trafficPolicy\.portLevelSettings\[\]\.", ("trafficPolicy", "portLevelSettings", "[]")),
    (r"subsets\[\]\.trafficPolicy\.", ("subsets", "[]", "trafficPolicy")),
    (
        r"subsets\[\]\.trafficPolicy\.portLevelSettings\[\]\.",
        ("subsets", "[]", "trafficPolicy", "portLevelSettings", "[]"),
    ),
)
_AT_PORT = "portLevelSettings", "[]"
_RANDOM = {"loadBalancer": {"simple": "RANDOM"}}
_HASHED = {"loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}}
_SIMPLE = {"tls": {"mode": "SIMPLE"}}
_FILES = {"tls": {"mode": "MUTUAL", "clientCertificate": "/a", "privateKey": "/b"}}
_IN_POLICY: tuple[tuple[str, dict[str, Any]], ...] = (
    (r"loadBalancer\.consistentHash\.(ringHash|maglev|minimumRingSize)", _HASHED),
    (
        r"loadBalancer\.localityLbSetting\.distribute",
        {"loadBalancer": {"localityLbSetting": {"distribute": [{"from": "*", "to": {"*": 100}}]}}},
    ),
    (r"tls\.(caCertificates|subjectAltNames|sni|insecureSkipVerify|credentialName)", _SIMPLE),
    (r"tls\.caCrl", {"tls": {"mode": "SIMPLE", "caCertificates": "/c"}}),
    (r"tls\.(clientCertificate|privateKey)", _FILES),
    (r"loadBalancer\.(localityLb|zoneAware)", {"outlierDetection": {"consecutive5xxErrors": 3}}),
    (
        r"loadBalancer\.localityLbSetting\.failover\[",
        {"loadBalancer": {"localityLbSetting": {"failover": [{"from": "r1", "to": "r2"}]}}},
    ),
    (
        r"connectionPool\.http\.(http2KeepAlive|maxConcurrent)",
        {"connectionPool": {"http": {"h2UpgradePolicy": "UPGRADE", "http2KeepAlive": {"interval": "3s"}}}},
    ),
    (r"loadBalancer\.zoneAwareLbSetting\.(failover|min)", {"loadBalancer": {"zoneAwareLbSetting": {"enabled": True}}}),
    (
        r"loadBalancer\.zoneAwareLbSetting\.failover\[",
        {"loadBalancer": {"zoneAwareLbSetting": {"failover": [{"from": "r1", "to": "r2"}]}}},
    ),
    (r"outlierDetection\.consecutiveLocal", {"outlierDetection": {"splitExternalLocalOriginErrors": True}}),
    (r"tunnel", {"tunnel": {"targetHost": "a.example", "targetPort": 80}}),
)


_HCM = {
    "configPatches": [
        {"match": {"listener": {"filterChain": {"filter": {"name": "envoy.filters.network.http_connection_manager"}}}}}
    ]
}
_SECURE = {
    "name": "http",
    "port": 443,
    "protocol": "HTTPS",
    "tls": {"mode": "Terminate", "certificateRefs": [{"name": "cert"}]},
}


_ROOTS = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "roots"}]}


def _entry(**more: Any) -> dict[str, Any]:
    return {"sharedRateLimit": {**_COUNTING, "limits": [{"descriptor": [{"key": "a", **more}]}]}}


def _san(kind: str, **more: str) -> dict[str, Any]:
    return {"validation": {"subjectAltNames": [{"type": kind, **more}]}}


def _chosen(operator: str, **more: Any) -> dict[str, Any]:
    selector = {"matchExpressions": [{"key": "team", "operator": operator, **more}]}
    return {"listeners": [{"allowedRoutes": {"namespaces": {"from": "Selector", "selector": selector}}}]}


def _attach(operator: str, **more: Any) -> dict[str, Any]:
    selector = {"matchExpressions": [{"key": "team", "operator": operator, **more}]}
    return {"allowedListeners": {"namespaces": {"from": "Selector", "selector": selector}}}


def _within(place: tuple[str, ...], more: dict[str, Any]) -> dict[str, Any]:
    found: Any = more
    for token in reversed(place):
        found = [found] if token == "[]" else {token: found}
    return dict(found)


WITH: tuple[tuple[str, dict[str, Any]], ...] = (
    *mesh.WITH,
    (
        r"LimitPolicy:sharedRateLimit\.(?!limits\[\]\.descriptor\[\]\.(header|clientAddress))",
        {"sharedRateLimit": _SHARED},
    ),
    (r"LimitPolicy:rateLimits\[\]\.(by|refusal|match)", {"rateLimits": [{"name": "a", "requests": 5}]}),
    (r"http\[\]\.retries\.(?!attempts)", {"http": [{"retries": {"attempts": 2}}]}),
    (r"http\[\]\.fault\.delay\.perc", {"http": [{"fault": {"delay": {"fixedDelay": "1s"}}}]}),
    (r"http\[\]\.fault\.abort\.perc", {"http": [{"fault": {"abort": {"httpStatus": 500}}}]}),
    (r"http\[\]\.fault\.delay\.(?!perc)", {"http": [{"fault": {"delay": {"percentage": {"value": 100}}}}]}),
    (r"http\[\]\.fault\.abort\.(?!perc)", {"http": [{"fault": {"abort": {"percentage": {"value": 100}}}}]}),
    (r"egressProxy", {"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}}),
    (r"http\[\]\.mirror(Percent|_percent)", {"http": [{"mirror": {"host": "cart.shop.svc.cluster.local"}}]}),
    (r"ignoreUriCase", {"http": [{"match": [{"uri": {"prefix": "/a"}}]}]}),
    (r"uriRegexRewrite\.", {"http": [{"rewrite": {"uriRegexRewrite": {"match": "/a", "rewrite": "/b"}}}]}),
    (r"VirtualService:http\[\]\.route\[\]\.weight", {"http": [{"route": [{"weight": 1}, _OTHER]}]}),
    (r"VirtualService:tcp\[\]\.route\[\]\.weight", {"tcp": [{"route": [{"weight": 1}, _OTHER]}]}),
    (r"VirtualService:tls\[\]\.route\[\]\.weight", {"tls": [{"route": [{"weight": 1}, _OTHER]}]}),
    (r"DestinationRule:trafficPolicy\.portLevelSettings", {"trafficPolicy": {"portLevelSettings": _PORT}}),
    (
        r"DestinationRule:subsets\[\]\.trafficPolicy\.portLevelSettings",
        {"subsets": [{"trafficPolicy": {"portLevelSettings": _PORT}}]},
    ),
    (r"DestinationRule:trafficPolicy\.portLevelSettings\[\]\.port", _within(("trafficPolicy", *_AT_PORT), _RANDOM)),
    (
        r"DestinationRule:subsets\[\]\.trafficPolicy\.portLevelSettings\[\]\.port",
        _within(("subsets", "[]", "trafficPolicy", *_AT_PORT), _RANDOM),
    ),
    *(
        (rf"DestinationRule:{pattern}{inner}", _within(place, more))
        for pattern, place in _PLACES
        for inner, more in _IN_POLICY
    ),
    (r"Gateway:listeners\[\]\.tls\.(?!mode)", {"listeners": [{"protocol": "HTTPS", "tls": _TERMINATE}]}),
    (r"ListenerSet:listeners\[\]\.tls\.(?!mode)", {"listeners": [{"protocol": "HTTPS", "tls": _TERMINATE}]}),
    (
        r"allowedRoutes\.namespaces\.selector",
        {"listeners": [{"allowedRoutes": {"namespaces": {"from": "Selector", "selector": {}}}}]},
    ),
    (r"ServiceEntry:endpoints\[\]", {"endpoints": [{"address": "10.1.1.1"}]}),
    *dependencies(),
    (r"jwtRules\[\]\.timeout", {"jwtRules": [{"jwksUri": "https://keys.example/a"}]}),
    (r"AuthorizationPolicy:rules\[\]\.when\[\]\.key", {"rules": [{"when": [{"key": "a", "values": ["a"]}]}]}),
    (r"ProxyConfig:selector", {"concurrency": 3}),
    (r"Telemetry:metrics\[\]\.overrides\[\]\.match", {"metrics": [{"overrides": [{"disabled": True}]}]}),
    (
        r"Telemetry:metrics\[\]\.overrides\[\]\.match\.mode",
        {"metrics": [{"overrides": [{"match": {"metric": "REQUEST_COUNT"}}]}]},
    ),
    (r"Telemetry:(targetRefs?|selector)", {"accessLogging": [{"disabled": True}]}),
    (
        r"Sidecar:ingress\[\]\.tls\.",
        {"ingress": [{"tls": {"mode": "SIMPLE", "serverCertificate": "/a", "privateKey": "/b"}}]},
    ),
    (
        r"Sidecar:ingress\[\]\.tls\.caC.*Name",
        {"ingress": [{"tls": {"mode": "MUTUAL", "caCertCredentialName": "roots"}}]},
    ),
    (
        r"Sidecar:ingress\[\]\.tls\.tlsC.*caC",
        {"ingress": [{"tls": {"mode": "MUTUAL", "tlsCertificates": [{"caCertificates": "/c"}]}}]},
    ),
    (r"egressProxy\.(?!host)", {"outboundTrafficPolicy": {"egressProxy": _CART}}),
    (r"egressProxy\.host", {"outboundTrafficPolicy": {"egressProxy": {"port": {"number": 80}}}}),
    (r"WorkloadGroup:probe\.\w+(Seconds|Threshold)$", {"probe": {"tcpSocket": {"port": 80}}}),
    (
        r"waypoint\.filter\.subFilter",
        {"configPatches": [{"match": {"waypoint": {"filter": {"name": _MANAGER}}}}]},
    ),
    (
        r"Sidecar:ingress\[\]\.tls\.(caC[er]*($|tificates)|caCrl|subject|verify|insecure)",
        {"ingress": [{"tls": {"mode": "MUTUAL", "caCertificates": "/c"}}]},
    ),
    (r"Route:rules\[\]\.backendRefs\[\]\.weight", {"rules": [{"backendRefs": [_SHARE, _REST]}]}),
    (r"EnvoyFilter:configPatches\[\]\.match\.listener\.filterChain\.filter\.subFilter", _HCM),
    (r"GRPCRoute:.*method\.type", {"rules": [{"matches": [{"method": {"service": "a.B"}}]}]}),
    (r"LimitPolicy:.*descriptor\[\]\.header", _entry(header="x-user")),
    (r"LimitPolicy:.*descriptor\[\]\.clientAddress", _entry(clientAddress=True)),
    (r"WasmPlugin:priority", {"phase": "AUTHN"}),
    (r"TrafficExtension:priority", {"phase": "AUTHN"}),
    (r"cookieConfig\.lifetimeType", {"rules": [{"sessionPersistence": {"absoluteTimeout": "1h"}}]}),
    (
        r"sessionPersistence\.absoluteTimeout",
        {"rules": [{"sessionPersistence": {"absoluteTimeout": "1h", "cookieConfig": {"lifetimeType": "Permanent"}}}]},
    ),
    (
        r"EnvoyFilter:targetRefs",
        {"targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}]},
    ),
    (r"Gateway:tls\.frontend", {"listeners": [_SECURE]}),
    (r"Gateway:tls\.frontend\.perPort", {"tls": {"frontend": {"default": {"validation": _ROOTS}}}}),
    (
        r"Gateway:tls\.frontend\.perPort\[\]\.port",
        {
            "tls": {
                "frontend": {
                    "perPort": [{"port": 443, "tls": {"validation": {**_ROOTS, "mode": "AllowInsecureFallback"}}}]
                }
            }
        },
    ),
    (r"subjectAltNames\[\]\.type", _san("URI", uri="spiffe://a")),
    (r"subjectAltNames\[\]\.hostname", _san("Hostname", hostname="a.example")),
    (r"subjectAltNames\[\]\.uri", _san("URI", uri="spiffe://a")),
    (
        r"discoverySelectors\[\]\.matchExpressions\[\]\.values",
        {"discoverySelectors": [{"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In"}]}]},
    ),
    (r"listeners.*matchExpressions\[\]\.values", _chosen("In", values=["a"])),
    (r"allowedListeners\.namespaces\.selector", {"allowedListeners": {"namespaces": {"from": "Selector"}}}),
    (r"allowedListeners.*selector\.matchExpressions", _attach("Exists")),
    (r"allowedListeners.*matchExpressions\[\]\.values", _attach("In", values=["a"])),
    (r"Gateway:listeners.*matchExpressions\[\]\.key", _chosen("Exists")),
    (r"ListenerSet:listeners.*matchExpressions\[\]\.key", _chosen("Exists")),
)
"""What a field only makes sense with, by kind and path; laid over the carrier."""
Values = Callable[[str, dict[str, Any]], list[Any]]
_GATEWAY = "gateway.networking.k8s.io"
BY_PATH: tuple[tuple[str, list[Any]], ...] = (
    *mesh.BY_PATH,
    (r"verifyCertificateSpki$", [["NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A="]]),
    (r"verifyCertificateHash$", [["ab" * 32]]),
    (r"cipherSuites$", [["ECDHE-RSA-AES256-GCM-SHA384"], ["ECDHE-RSA-AES128-GCM-SHA256"]]),
    (r"lua\.inlineCode$", ["a = 2", "a = 3"]),
    (r"redirect\.scheme$", ["https", "http"]),
    (r"retries\.retryOn$", ["5xx", "gateway-error"]),
    (r"corsPolicy\.allowMethods$", [["GET"], ["POST"]]),
    (r"probe\.httpGet\.scheme$", ["HTTP", "HTTPS"]),
    (r"abort\.grpcStatus$", ["UNAVAILABLE", "NOT_FOUND"]),
    (r"ingress\[\]\.defaultEndpoint$", ["127.0.0.1:9000", "0.0.0.0:9001"]),
    (r"EnvoyFilter:targetRefs\[\]\.kind$", ["Gateway", "GatewayClass"]),
    (r"EnvoyFilter:targetRefs\[\]\.group$", ["gateway.networking.k8s.io", ""]),
    (r"EnvoyFilter:targetRefs\[\]\.name$", ["edge", "other"]),
    (r"jwks$", [KEYS, '{"keys": []}']),
    (r"wasm\.url$|WasmPlugin:url$", ["file:///x.wasm", "https://a.example/x.wasm"]),
    (r"sharedRateLimit\.service\.port$", [8081, 8080]),
    (r"Telemetry:tracing\[\]\.providers\[\]\.name$", ["spans", "nobody"]),
    (r"Telemetry:metrics\[\]\.providers\[\]\.name$", ["prometheus", "nobody"]),
    (r"Telemetry:accessLogging\[\]\.providers\[\]\.name$", ["log", "nobody"]),
    (r"Telemetry:accessLogging\[\]\.filter\.expression$", ["response.code >= 400", "response.code < 400"]),
    (r"Telemetry:.*tagOverrides\.\*\.value$", ["request.host", "request.method"]),
    (r"subFilter\.name$", ["envoy.filters.http.fault"]),
    (r"filterChain\.filter\.name$", ["envoy.filters.network.tcp_proxy"]),
    (r"EnvoyFilter:.*(vhost|waypoint)\.route\.name$", ["nobody"]),
    (r"match\.waypoint\.filter\.name$", ["nobody"]),
    (r"EnvoyFilter:.*\.(name|sni|transportProtocol|applicationProtocols|listenerFilter)$", ["nobody"]),
    (r"EnvoyFilter:.*(destinationPort|portNumber)$", [4321]),
    (r"match\.listener\.portName$|routeConfiguration\.portName$", ["nobody"]),
    (r"wellKnownCACertificates$", ["System", "example.com/other"]),
    (r"subjectAltNames\[\]\.uri$", ["spiffe://b"]),
    (r"subjectAltNames\[\]\.type$", ["URI"]),
    (r"tls\..*caCertificateRefs\[\]\.(group)$", [""]),
    (r"tls\..*caCertificateRefs\[\]\.(kind)$", ["ConfigMap", "Secret"]),
    (r"tls\..*caCertificateRefs\[\]\.(name)$", ["roots", "others"]),
    (r"perPort\[\]\.port$", [443, 444]),
    (r"listeners\[\]\.tls\.mode$", ["Passthrough"]),
    (r"matchExpressions\[\]\.key$", ["kubernetes.io/metadata.name", "nothing"]),
    (r"discoverySelectors.*values$", [["a"], ["shop"]]),
    (r"matchExpressions\[\]\.values$", [["a"], ["b"]]),
    (r"allowedListeners.*(matchLabels)$", [{"team": "a"}, {"team": "b"}]),
    (r"ReferenceGrant:from\[\]\.group$", ["gateway.networking.k8s.io", ""]),
    (r"ReferenceGrant:from\[\]\.kind$", ["HTTPRoute", "TCPRoute"]),
    (r"ReferenceGrant:from\[\]\.namespace$", ["shop", "elsewhere"]),
    (r"ReferenceGrant:to\[\]\.group$", ["", "apps"]),
    (r"ReferenceGrant:to\[\]\.kind$", ["Service", "Secret"]),
    (r"ReferenceGrant:to\[\]\.name$", ["far", "other"]),
    (r"egress\[\]\.hosts$", [["./*"], ["~/*"]]),
    (r"egressProxy\.host$", ["cart.shop.svc.cluster.local", "db.shop.svc.cluster.local"]),
    (r"egressProxy\.subset$", ["v1"]),
    (r"WorkloadEntry:ports$", [{"http": 8085}]),
    (r"labels$", [{"version": "v1"}]),
    (r"customMetric$", ["requests_total"]),
    (r"overrides\[\]\.match\.metric$", ["REQUEST_COUNT"]),
    (
        r"[rR]outes?\[\]\.destination\.host$|mirror\.host$|mirrors\[\]\.destination\.host$",
        ["reviews.shop.svc.cluster.local", "cart.shop.svc.cluster.local"],
    ),
    (r"destination\.subset$|mirror\.subset$", ["v1"]),
    (r"(port|Port)\.?number$|(^|\.)port$|targetPort$|ports\[\]\.number$", [8080, 80]),
    (r"VirtualService:gateways$|match\[\]\.gateways$", [["mesh"], ["ingress"]]),
    (r"ServiceEntry:exportTo", [["."], ["~"]]),
    (r"VirtualService:exportTo|DestinationRule:exportTo", [["."], ["elsewhere"]]),
    (r"delegate\.name$", ["child", "nobody"]),
    (r"DestinationRule:subsets\[\]\.name$", ["v1", "other"]),
    (r"delegate\.namespace$", ["shop", "elsewhere"]),
    (r"sourceNamespace$", ["shop", "elsewhere"]),
    (r"sourceLabels$", [{"app": "web"}]),
    (r"(DestinationRule|MeshConfig):.*distribute\[\]\.to$", [{"*": 100}, {"region/*": 100}]),
    (r"(DestinationRule|MeshConfig):.*distribute\[\]\.from$", ["*", "region/*"]),
    (r"(DestinationRule|MeshConfig):.*failoverPriority$", [["version"]]),
    (r"DestinationRule:.*tls\.mode$", ["DISABLE", "SIMPLE", "ISTIO_MUTUAL"]),
    (r"DestinationRule:.*tunnel\.protocol$", ["CONNECT", "POST"]),
    (r"DestinationRule:.*tableSize$", [11, 13]),
    (r"DestinationRule:.*proxyProtocol\.version$", ["V1", "V2"]),
    (r"DestinationRule:.*(clientCertificate|privateKey|caCertificates|caCrl)$", ["/x", "/y"]),
    (r"outlierDetectionHttpErrorCodes$", [[500]]),
    (r"paths?\.value$|matches\[\]\.path\.value$", ["/a", "/b"]),
    (r"requestRedirect\.statusCode$", [301, 307]),
    (r"cors\.allowOrigins$", [["https://b.example"]]),
    (r"replace(FullPath|PrefixMatch)$", ["/x", "/y"]),
    (r"(urlRewrite|requestRedirect)\.hostname$", ["new.example"]),
    (r"Route:.*(urlRewrite|requestRedirect)\.path\.type$", ["ReplaceFullPath", "ReplacePrefixMatch"]),
    (r"Gateway:listeners\[\]\.tls\.mode$", ["Terminate", "Passthrough"]),
    (r"(request|response)HeaderModifier\.remove$", [["x-gone"]]),
    (r"captureMode$", ["NONE"]),
    (r"port\.protocol$|ports\[\]\.protocol$", ["HTTP", "GRPC", "TCP"]),
    (r"GatewayClass:controllerName$", ["istio.io/gateway-controller", "example.com/other"]),
    (r"Gateway:addresses\[\]\.type$", ["IPAddress", "Hostname"]),
    (r"Gateway:addresses\[\]\.value$", ["10.8.0.1", "10.8.0.2"]),
    (r"allowedRoutes\.kinds\[\]\.kind$", ["HTTPRoute", "GRPCRoute"]),
    (r"allowedRoutes\.kinds\[\]\.group$", ["gateway.networking.k8s.io", "other.example"]),
    (r"matchExpressions\[\]\.operator$", ["Exists", "DoesNotExist"]),
    (r"sourceSubnet$", ["10.7.0.0/16"]),
    (r"body\.bytes$", ["aGVsbG8="]),
    (r"destinationSubnets$", [["10.7.0.0/16"]]),
    (r"sniHosts$", [["db.shop.svc.cluster.local"], ["x.db.shop.svc.cluster.local"]]),
    (r"hosts$", [["shop.example"], ["other.example"]]),
    (r"DestinationRule:host$", ["reviews.shop.svc.cluster.local", "cart.shop.svc.cluster.local"]),
    (r"hostnames$", [["shop.example"], ["other.example"]]),
    (r"bind$", ["10.64.0.9", "unix:///run/tried.sock"]),
    (r"address$", ["10.1.1.9", "10.1.1.8"]),
    (r"ServiceEntry:addresses$", [["10.1.1.9"]]),
    (r"endpoints\[\]\.ports$", [{"http": 8081}]),
    (r"endpoints\[\]\.labels$", [{"app": "outside"}]),
    (r"parentRefs?(\[\])?\.kind$", ["Gateway", "Service"]),
    (r"parentRefs?(\[\])?\.group$", ["gateway.networking.k8s.io", ""]),
    (r"parentRefs?(\[\])?\.name$", ["edge", "nobody"]),
    (r"parentRefs?(\[\])?\.namespace$", ["shop", "elsewhere"]),
    (r"ListenerSet:listeners\[\]\.tls\.mode$", ["Terminate"]),
    (r"[cC]ertificateRefs\[\]\.(group|kind)$", ["", "Secret", "other"]),
    (r"listeners\[\]\.protocol$", ["HTTP", "TCP"]),
    (r"failover\[\]\.from$", ["r1", "r3"]),
    (r"failover\[\]\.to$", ["r2", "r3"]),
    (r"jwksUri$|jwks_uri$", ["https://keys.example/jwks"]),
    (r"ipBlocks$|IpBlocks$", [["10.0.0.0/8"]]),
    (r"serviceAccounts$|ServiceAccounts$", [["shop/web"]]),
    (r"when\[\]\.key$", ["source.principal", "source.namespace"]),
    (r"operation\.ports$|operation\.notPorts$", [["8080"]]),
    (r"selector\.matchLabels|workloadSelector\.labels|selector$", [{"app": "reviews"}, {"app": "web"}]),
    (r"targetRefs?(\[\])?\.kind$", ["Service", "ServiceEntry"]),
    (r"targetRefs?(\[\])?\.group$", ["", "networking.istio.io"]),
    (r"targetRefs?(\[\])?\.name$", ["reviews", "cart"]),
    (r"targetRefs?(\[\])?\.namespace$", ["shop", "elsewhere"]),
    (r"sha256$", ["a" * 64]),
    (r"[cC]ertificateRefs?(\[\])?\.name$|credentialName$", ["cert2"]),
    (r"backendRefs?(\[\])?\.name$", ["reviews", "cart"]),
    (r"backendRefs?(\[\])?\.kind$", ["Service", "Secret"]),
    (r"backendRefs?(\[\])?\.group$", ["", "other.example"]),
    (r"backendRefs?(\[\])?\.namespace$", ["shop", "other"]),
    (r"parentRefs\[\]\.sectionName$", ["http", "nobody"]),
    (r"parentRefs\[\]\.port$", [80, 81]),
    (r"gatewayClassName$", ["istio", "other"]),
    (r"statusCode$|status$|httpStatus$", [404, 503]),
    (r"redirectCode$", [302, 307]),
)


def samples(kind: str) -> Values:
    def of(path: str, schema: dict[str, Any]) -> list[Any]:
        for pattern, values in BY_PATH:
            if re.search(pattern, f"{kind}:{path}"):
                return values
        return _by_schema(path, schema)

    return of


def _by_schema(path: str, schema: dict[str, Any]) -> list[Any]:
    if "enum" in schema:
        return list(schema["enum"])
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        return [8080]
    if kind == "boolean":
        return [True, False]
    if kind in ("integer", "number"):
        least = schema.get("minimum", 1)
        return [max(least, 7), max(least, 9)]
    if kind == "array":
        return [[value] for value in _by_schema(path, schema["items"])]
    if kind == "object" and schema.get("properties") == {}:
        return [{}]  # it is there, or it is not
    if kind == "object":
        if isinstance(schema.get("additionalProperties"), dict):
            inner = _by_schema(path, schema["additionalProperties"])
            return [{"sample": value} for value in inner]
        return [{"sample": "value"}]
    if schema.get("format") == "go-duration" or "[0-9]{1,5}(h|m|s|ms)" in schema.get("pattern", ""):
        return ["7s", "9s"]
    return ["sample", "other"]

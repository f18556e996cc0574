"""Rules of Istio's networking kinds, as its own validation has them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from plait.resources import durations
from plait.resources.networking.virtual_service import HTTPRoute, VirtualService
from plait.resources.rules import words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_DIGESTS = {
    "Spki": re.compile(r"[A-Za-z0-9+/]{43}="),
    "Hash": re.compile(r"[0-9A-Fa-f]{64}|[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31}"),
}
"""SHA-256 as Envoy reads it, of a public key or of a whole certificate."""
_HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def virtual_service(each: VirtualService) -> Iterator[Finding]:
    spec = each.spec
    for index, host in enumerate(spec.hosts):
        yield from words.host(f"spec.hosts[{index}]", host)
        if host == "*" and (not spec.gateways or "mesh" in spec.gateways):
            yield bad(f"spec.hosts[{index}]", "the host * needs gateways other than mesh; name them or the host")
    yield from words.unique("spec.hosts", list(spec.hosts), "host")
    if not (spec.http or spec.tls or spec.tcp):
        yield bad("spec", "there is no http, tls or tcp rule; add one")
    if not spec.hosts and (spec.tls or spec.tcp or spec.gateways):
        yield bad("spec.hosts", "a VirtualService without hosts is a delegate and has only http rules; add hosts")
    for index, route in enumerate(spec.http):
        yield from _http(f"spec.http[{index}]", route, delegate=not spec.hosts)
    for index, tls in enumerate(spec.tls):
        path = f"spec.tls[{index}]"
        yield from _l4(path, tls)
        for number, match in enumerate(tls.match):
            if not match.sni_hosts:
                yield bad(f"{path}.match[{number}].sniHosts", "at least one host is needed; add one")
            for place, sni in enumerate(match.sni_hosts):
                yield from words.host(f"{path}.match[{number}].sniHosts[{place}]", sni)
    for index, tcp in enumerate(spec.tcp):
        yield from _l4(f"spec.tcp[{index}]", tcp)
    yield from words.export_to(spec.export_to)


def _l4(path: str, rule: Any) -> Iterator[Finding]:
    if not rule.route:
        yield bad(f"{path}.route", "there is no destination; add one")
    yield from _split(path, rule.route)
    for number, match in enumerate(rule.match):
        yield from words.port(f"{path}.match[{number}].port", match.port, zero=True)
        for place, subnet in enumerate(match.destination_subnets):
            yield from words.address(f"{path}.match[{number}].destinationSubnets[{place}]", subnet)


def _split(path: str, routes: tuple[Any, ...]) -> Iterator[Finding]:
    for index, route in enumerate(routes):
        yield from _destination(f"{path}.route[{index}].destination", route.destination)
        if route.weight < 0:
            yield bad(f"{path}.route[{index}].weight", f"{route.weight} is negative; write 0 or more")
    if len(routes) > 1 and sum(route.weight for route in routes) == 0:
        yield bad(f"{path}.route", "all weights are 0; give at least one destination a weight")


def _destination(path: str, destination: Any) -> Iterator[Finding]:
    if destination is None:
        return
    if not destination.host or destination.host == "*":
        yield bad(f"{path}.host", "a destination needs the name of one service; write it")
    else:
        yield from words.host(f"{path}.host", destination.host)
    if destination.port is not None:
        yield from words.port(f"{path}.port.number", destination.port.number)


def _http(path: str, route: HTTPRoute, *, delegate: bool) -> Iterator[Finding]:
    actions = {
        "route": route.route,
        "redirect": route.redirect,
        "directResponse": route.direct_response,
        "delegate": route.delegate,
    }
    yield from words.exactly_one(path, actions)
    if delegate and route.delegate is not None:
        yield bad(f"{path}.delegate", "a delegate cannot delegate again; put the routes here")
    if route.redirect is not None and (route.fault or route.rewrite):
        yield bad(path, "redirect excludes fault and rewrite; remove them")
    if route.direct_response is not None:
        status = route.direct_response.status
        if not 200 <= status <= 599:
            yield bad(f"{path}.directResponse.status", f"{status} is not an HTTP status; write one of 200 to 599")
        if (body := route.direct_response.body) is not None:
            given = {"string": body.string is not None, "bytes": body.bytes is not None}
            yield from words.exactly_one(f"{path}.directResponse.body", given, none_is_fine=True)
            if body.bytes is not None and not _is_base64(body.bytes):
                yield bad(f"{path}.directResponse.body.bytes", "the value is not base64; encode it")
    if route.redirect is not None:
        code = route.redirect.redirect_code
        if code and not 300 <= code <= 399:
            yield bad(
                f"{path}.redirect.redirectCode", f"{code} is not a redirect; write one of 301, 302, 303, 307, 308"
            )
        given = {"port": route.redirect.port is not None, "derivePort": route.redirect.derive_port is not None}
        yield from words.exactly_one(f"{path}.redirect", given, none_is_fine=True)
    yield from _split(path, route.route)
    for index, match in enumerate(route.match):
        yield from _match(f"{path}.match[{index}]", match)
    yield from words.positive(f"{path}.timeout", route.timeout if _nonzero(route.timeout) else None)
    if (retries := route.retries) is not None:
        if retries.attempts < 0:
            yield bad(f"{path}.retries.attempts", f"{retries.attempts} is negative; write 0 or more")
        if retries.attempts == 0 and (retries.per_try_timeout or retries.retry_on):
            yield bad(
                f"{path}.retries.attempts", "0 attempts turn retries off; give a number or remove the other fields"
            )
        yield from words.positive(f"{path}.retries.perTryTimeout", retries.per_try_timeout)
        yield from words.positive(f"{path}.retries.backoff", retries.backoff)
    yield from _fault(f"{path}.fault", route.fault)
    yield from _destination(f"{path}.mirror", route.mirror)
    if route.mirror is not None and route.mirrors:
        yield bad(path, "mirror and mirrors exclude each other; keep mirrors")
    yield from _percentage(f"{path}.mirrorPercentage", route.mirror_percentage)
    for index, mirror in enumerate(route.mirrors):
        yield from _destination(f"{path}.mirrors[{index}].destination", mirror.destination)
        yield from _percentage(f"{path}.mirrors[{index}].percentage", mirror.percentage)
    for place, headers in [(f"{path}.headers", route.headers)] + [
        (f"{path}.route[{i}].headers", d.headers) for i, d in enumerate(route.route)
    ]:
        yield from _headers(place, headers)
    if route.rewrite is not None and (regex := route.rewrite.uri_regex_rewrite) is not None:
        given = {"uri": bool(route.rewrite.uri), "uriRegexRewrite": True}
        yield from words.exactly_one(f"{path}.rewrite", given)
        yield from words.expression(f"{path}.rewrite.uriRegexRewrite.match", regex.match)
    if (cors := route.cors_policy) is not None:
        for index, origin in enumerate(cors.allow_origins):
            yield from words.string_match(f"{path}.corsPolicy.allowOrigins[{index}]", origin)
        yield from words.positive(f"{path}.corsPolicy.maxAge", cors.max_age)


def _nonzero(duration: str | None) -> bool:
    return duration is not None and durations.seconds(duration) != 0


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return False
    return True


def _match(path: str, match: Any) -> Iterator[Finding]:
    for field in ("uri", "scheme", "method", "authority"):
        yield from words.string_match(f"{path}.{field}", getattr(match, field))
    for field, found in (("headers", match.headers), ("withoutHeaders", match.without_headers)):
        for name, value in found.items():
            if (
                not name
                or not _HEADER.fullmatch(name.removeprefix(":").removeprefix("@request.auth.claims")[:99] or "x")
            ) and not name.startswith("@request.auth.claims"):
                yield bad(f"{path}.{field}[{name}]", f"{name!r} is not a header name; use letters, digits and '-'")
            yield from words.string_match(f"{path}.{field}[{name}]", value)
    for name, value in match.query_params.items():
        yield from words.string_match(f"{path}.queryParams[{name}]", value)
    yield from words.port(f"{path}.port", match.port, zero=True)


def _fault(path: str, fault: Any) -> Iterator[Finding]:
    if fault is None:
        return
    if fault.delay is None and fault.abort is None:
        yield bad(path, "there is neither delay nor abort; add one")
    if (delay := fault.delay) is not None:
        given = {"fixedDelay": delay.fixed_delay, "exponentialDelay": delay.exponential_delay}
        yield from words.exactly_one(f"{path}.delay", given)
        yield from words.positive(f"{path}.delay.fixedDelay", delay.fixed_delay)
        yield from _percentage(f"{path}.delay.percentage", delay.percentage)
        if delay.percent is not None and not 0 <= delay.percent <= 100:
            yield bad(f"{path}.delay.percent", f"{delay.percent} is not a percent; write 0 to 100")
    if (abort := fault.abort) is not None:
        given = {
            "httpStatus": abort.http_status is not None,
            "grpcStatus": abort.grpc_status is not None,
            "http2Error": abort.http2_error is not None,
        }
        yield from words.exactly_one(f"{path}.abort", given)
        if abort.http_status is not None and not 200 <= abort.http_status <= 599:
            yield bad(f"{path}.abort.httpStatus", f"{abort.http_status} is not an HTTP status; write one of 200 to 599")
        yield from _percentage(f"{path}.abort.percentage", abort.percentage)


def _percentage(path: str, share: Any) -> Iterator[Finding]:
    if share is not None and not 0 <= share.value <= 100:
        yield bad(f"{path}.value", f"{share.value} is not a percent; write 0 to 100")


def _headers(path: str, headers: Any) -> Iterator[Finding]:
    if headers is None:
        return
    for side in ("request", "response"):
        operations = getattr(headers, side)
        if operations is None:
            continue
        for verb in ("set", "add", "remove"):
            for name in getattr(operations, verb):
                if not _HEADER.fullmatch(name.removeprefix(":") if verb == "set" else name):
                    yield bad(f"{path}.{side}.{verb}", f"{name!r} is not a header name; use letters, digits and '-'")


def destination_rule(each: Any) -> Iterator[Finding]:
    spec = each.spec
    if not spec.host:
        yield bad("spec.host", "the host is empty; name the service")
    else:
        yield from words.host("spec.host", spec.host)
    yield from _traffic("spec.trafficPolicy", spec.traffic_policy)
    yield from words.unique("spec.subsets", [subset.name for subset in spec.subsets], "subset")
    for index, subset in enumerate(spec.subsets):
        path = f"spec.subsets[{index}]"
        if not re.fullmatch(r"[a-zA-Z0-9]([-a-zA-Z0-9._]{0,61}[a-zA-Z0-9])?", subset.name):
            yield bad(f"{path}.name", f"{subset.name!r} is not a subset name; use letters, digits and '-'")
        yield from _traffic(f"{path}.trafficPolicy", subset.traffic_policy)
    yield from words.export_to(spec.export_to)


def _traffic(path: str, policy: Any) -> Iterator[Finding]:
    if policy is None:
        return
    yield from _policy(path, policy)
    for index, each in enumerate(policy.port_level_settings):
        place = f"{path}.portLevelSettings[{index}]"
        if each.port is None:
            yield bad(f"{place}.port", "the port is missing; add port.number")
        else:
            yield from words.port(f"{place}.port.number", each.port.number)
        yield from _policy(place, each)
    if policy.tunnel is not None:
        if policy.tunnel.protocol not in ("", "CONNECT", "POST"):
            yield bad(f"{path}.tunnel.protocol", f"{policy.tunnel.protocol!r} is unknown; use CONNECT or POST")
        yield from words.port(f"{path}.tunnel.targetPort", policy.tunnel.target_port)


def _policy(path: str, policy: Any) -> Iterator[Finding]:
    if (balancer := policy.load_balancer) is not None:
        yield from _balancer(f"{path}.loadBalancer", balancer)
    if (outlier := policy.outlier_detection) is not None:
        for name, value in (
            ("maxEjectionPercent", outlier.max_ejection_percent),
            ("minHealthPercent", outlier.min_health_percent),
        ):
            if value is not None and not 0 <= value <= 100:
                yield bad(f"{path}.outlierDetection.{name}", f"{value} is not a percent; write 0 to 100")
        yield from words.positive(f"{path}.outlierDetection.interval", outlier.interval)
        yield from words.positive(f"{path}.outlierDetection.baseEjectionTime", outlier.base_ejection_time)
    if (pool := policy.connection_pool) is not None:
        yield from _pool(f"{path}.connectionPool", pool)
    if (tls := policy.tls) is not None and tls.mode == "MUTUAL" and not tls.credential_name:
        for name, value in (("clientCertificate", tls.client_certificate), ("privateKey", tls.private_key)):
            if not value:
                yield bad(f"{path}.tls.{name}", f"mode MUTUAL needs {name} or credentialName; add one")


def _balancer(path: str, balancer: Any) -> Iterator[Finding]:
    if balancer.simple is not None and balancer.consistent_hash is not None:
        yield bad(path, "simple and consistentHash exclude each other; keep one of them")
    if (found := balancer.consistent_hash) is not None:
        keys = {
            "httpHeaderName": found.http_header_name,
            "httpCookie": found.http_cookie,
            "useSourceIp": found.use_source_ip,
            "httpQueryParameterName": found.http_query_parameter_name,
        }
        yield from words.exactly_one(f"{path}.consistentHash", keys)
        rings = {"ringHash": found.ring_hash, "maglev": found.maglev}
        yield from words.exactly_one(f"{path}.consistentHash", rings, none_is_fine=True)
    if (local := balancer.locality_lb_setting) is not None:
        given = {
            "distribute": local.distribute,
            "failover": local.failover or local.failover_priority,
        }
        yield from words.exactly_one(f"{path}.localityLbSetting", given, none_is_fine=True)
        for index, share in enumerate(local.distribute):
            if (total := sum(share.to.values())) != 100:
                text = f"the shares add up to {total}; make them 100"
                yield bad(f"{path}.localityLbSetting.distribute[{index}].to", text)
        for index, failover in enumerate(local.failover):
            if failover.from_ == failover.to:
                text = "from and to are the same region; name another"
                yield bad(f"{path}.localityLbSetting.failover[{index}]", text)


def _pool(path: str, pool: Any) -> Iterator[Finding]:
    if pool.tcp is not None:
        if pool.tcp.max_connections < 0:
            yield bad(f"{path}.tcp.maxConnections", "the number is negative; write 0 or more")
        yield from words.positive(f"{path}.tcp.connectTimeout", pool.tcp.connect_timeout)
    if pool.http is not None:
        for name in ("http1_max_pending_requests", "http2_max_requests", "max_requests_per_connection", "max_retries"):
            if getattr(pool.http, name) < 0:
                yield bad(f"{path}.http", f"{name.replace('_', ' ')} is negative; write 0 or more")


_PROTOCOLS = frozenset(
    (
        "HTTP",
        "HTTPS",
        "GRPC",
        "GRPC-WEB",
        "HTTP2",
        "MONGO",
        "TCP",
        "TLS",
        "REDIS",
        "MYSQL",
        "UDP",
        "HTTP_PROXY",
    )
)


def _protocol(path: str, value: str, *, empty: bool = False) -> Iterator[Finding]:
    if value.upper() not in _PROTOCOLS and not (empty and not value):
        yield bad(path, f"{value!r} is not a protocol; use one of HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP, TLS")


def gateway(each: Any) -> Iterator[Finding]:
    if not each.spec.servers:
        yield bad("spec.servers", "there is no server; add one")
    for index, server in enumerate(each.spec.servers):
        path = f"spec.servers[{index}]"
        yield from words.port(f"{path}.port.number", server.port.number, zero=server.bind.startswith("unix://"))
        yield from words.bind(f"{path}.bind", server.bind, server.port.number, socket=True)
        yield from _protocol(f"{path}.port.protocol", server.port.protocol)
        if not server.port.name:
            yield bad(f"{path}.port.name", "the name is empty; give the port a name")
        if not server.hosts:
            yield bad(f"{path}.hosts", "there is no host; add one or '*'")
        for number, host in enumerate(server.hosts):
            yield from words.host(f"{path}.hosts[{number}]", host.rpartition("/")[2])
            if host.count("/") > 1 or host.startswith("/"):
                yield bad(f"{path}.hosts[{number}]", f"{host!r} has no form namespace/host; write one")
        yield from _server_tls(path, server)
    names = [server.port.name for server in each.spec.servers]
    yield from words.unique("spec.servers", names, "port name")


def _server_tls(path: str, server: Any) -> Iterator[Finding]:
    tls, protocol = server.tls, server.port.protocol.upper()
    if tls is None:
        if protocol in ("HTTPS", "TLS"):
            yield bad(f"{path}.tls", f"a server of protocol {protocol} needs tls; add it")
        return
    if protocol in ("HTTP", "HTTP2", "GRPC", "TCP", "MONGO") and not tls.https_redirect and protocol != "TCP":
        yield bad(f"{path}.tls", f"protocol {protocol} is plain text; use HTTPS or TLS, or remove tls")
    if tls.https_redirect and protocol not in ("HTTP", "HTTP2", "GRPC"):
        yield bad(f"{path}.tls.httpsRedirect", "only a plain HTTP server can redirect to HTTPS; remove the field")
    named = tls.credential_name or tls.credential_names or tls.tls_certificates
    if tls.mode in ("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL") and not named and not tls.https_redirect:
        for name, value in (("serverCertificate", tls.server_certificate), ("privateKey", tls.private_key)):
            if not value:
                yield bad(f"{path}.tls.{name}", f"mode {tls.mode} needs credentialName or {name}; add one")
        if tls.mode != "SIMPLE" and not tls.ca_certificates:
            yield bad(f"{path}.tls.caCertificates", f"mode {tls.mode} needs credentialName or caCertificates; add one")
    if tls.mode in ("MUTUAL", "OPTIONAL_MUTUAL") and tls.tls_certificates and not tls.insecure_skip_verify:
        roots = tls.ca_certificates or tls.ca_cert_credential_name
        if not roots and not any(each.ca_certificates for each in tls.tls_certificates):
            where = f"{path}.tls.tlsCertificates[0].caCertificates"
            yield bad(where, f"mode {tls.mode} needs roots for client certificates; add them")
    if tls.mode == "ISTIO_MUTUAL" and (named or tls.server_certificate or tls.private_key):
        yield bad(f"{path}.tls", "ISTIO_MUTUAL uses the mesh's certificates; remove credentialName and files")
    given = {
        "credentialName": tls.credential_name,
        "credentialNames": tls.credential_names,
        "tlsCertificates": tls.tls_certificates,
    }
    yield from words.exactly_one(f"{path}.tls", given, none_is_fine=True)
    yield from _digests(f"{path}.tls", tls)
    low, high = tls.min_protocol_version, tls.max_protocol_version
    if "TLS_AUTO" not in (low, high) and low > high:
        yield bad(f"{path}.tls.minProtocolVersion", f"{low} is newer than {high}; exchange them")


def _digests(path: str, tls: Any) -> Iterator[Finding]:
    if tls is None:
        return
    for field, values in (("Spki", tls.verify_certificate_spki), ("Hash", tls.verify_certificate_hash)):
        for index, value in enumerate(values):
            if not _DIGESTS[field].fullmatch(value):
                form = "44 characters of base64" if field == "Spki" else "64 hexadecimal digits, with or without colons"
                where = f"{path}.verifyCertificate{field}[{index}]"
                yield bad(where, f"{value!r} is no SHA-256 digest; write its {form}")


def service_entry(each: Any) -> Iterator[Finding]:
    spec = each.spec
    for index, host in enumerate(spec.hosts):
        path = f"spec.hosts[{index}]"
        yield from words.host(path, host, star=False)
        if host.startswith("*") and spec.resolution in ("DNS", "DNS_ROUND_ROBIN") and not spec.endpoints:
            yield bad(path, "a wildcard host cannot be looked up in DNS; use NONE or DYNAMIC_DNS, or add endpoints")
    for index, value in enumerate(spec.addresses):
        yield from words.address(f"spec.addresses[{index}]", value)
        if "/" in value and spec.resolution not in ("NONE", "STATIC"):
            yield bad(f"spec.addresses[{index}]", "a CIDR block needs resolution NONE or STATIC; change one")
    if spec.workload_selector is not None and spec.endpoints:
        yield bad("spec", "workloadSelector and endpoints exclude each other; keep one of them")
    if spec.resolution == "NONE" and spec.endpoints:
        yield bad("spec.endpoints", "resolution NONE takes no endpoints; use STATIC or remove them")
    if spec.resolution == "STATIC" and not spec.endpoints and spec.workload_selector is None:
        yield bad("spec.endpoints", "resolution STATIC needs endpoints or workloadSelector; add one")
    if spec.resolution == "DNS_ROUND_ROBIN" and len(spec.endpoints) > 1:
        yield bad("spec.endpoints", "resolution DNS_ROUND_ROBIN takes one endpoint; keep one")
    numbers = [str(port.number) for port in spec.ports]
    yield from words.unique("spec.ports", numbers, "port number")
    names = {port.name for port in spec.ports}
    for index, port in enumerate(spec.ports):
        yield from _protocol(f"spec.ports[{index}].protocol", port.protocol, empty=True)
    for index, endpoint in enumerate(spec.endpoints):
        path = f"spec.endpoints[{index}]"
        yield from _endpoint(path, endpoint, names=spec.resolution in ("DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"))
        for name in endpoint.ports:
            if name not in names:
                yield bad(f"{path}.ports[{name}]", f"the service has no port {name!r}; name one of spec.ports")
    yield from words.export_to(spec.export_to)


def _endpoint(path: str, endpoint: Any, *, names: bool) -> Iterator[Finding]:
    if not endpoint.address and not endpoint.network:
        yield bad(f"{path}.address", "the address is missing; add address or network")
    elif endpoint.address.startswith("unix://"):
        if endpoint.ports:
            yield bad(f"{path}.ports", "a unix socket has no ports; remove them")
        if endpoint.address[7:8] not in ("/", "@"):
            yield bad(f"{path}.address", "a unix socket needs an absolute path; write unix:///path")
    elif endpoint.address and names:
        yield from words.host(f"{path}.address", endpoint.address.replace(":", "-").strip("-"))
    elif endpoint.address:
        yield from words.address(f"{path}.address", endpoint.address.partition("/")[0])


def workload_entry(each: Any) -> Iterator[Finding]:
    yield from _endpoint("spec", each.spec, names=True)


def sidecar(each: Any) -> Iterator[Finding]:
    for index, listener in enumerate(each.spec.egress):
        if not listener.hosts:
            yield bad(f"spec.egress[{index}].hosts", "there is no host; add one such as ./*")
        for number, host in enumerate(listener.hosts):
            namespace, slash, name = host.partition("/")
            if not slash or not namespace or not name:
                yield bad(
                    f"spec.egress[{index}].hosts[{number}]", f"{host!r} has no form namespace/host; write ./* or */*"
                )
            else:
                yield from words.host(f"spec.egress[{index}].hosts[{number}]", name)
        if listener.port is not None:
            yield from words.port(f"spec.egress[{index}].port.number", listener.port.number, zero=True)
        number = listener.port.number if listener.port is not None else 0
        yield from words.bind(f"spec.egress[{index}].bind", listener.bind, number, socket=True)
    for index, ingress in enumerate(each.spec.ingress):
        yield from words.port(f"spec.ingress[{index}].port.number", ingress.port.number)
        yield from words.bind(f"spec.ingress[{index}].bind", ingress.bind, ingress.port.number, socket=False)
        yield from _protocol(f"spec.ingress[{index}].port.protocol", ingress.port.protocol, empty=True)
        yield from _digests(f"spec.ingress[{index}].tls", ingress.tls)


def envoy_filter(each: Any) -> Iterator[Finding]:
    if each.spec.workload_selector is not None and each.spec.target_refs:
        yield bad("spec", "workloadSelector and targetRefs exclude each other; keep one of them")
    for index, found in enumerate(each.spec.config_patches):
        path = f"spec.configPatches[{index}]"
        if found.apply_to == "INVALID":
            yield bad(f"{path}.applyTo", "applyTo is missing; add it, for instance HTTP_FILTER")
        if found.patch is None:
            yield bad(f"{path}.patch", "the patch is missing; add it")
        elif found.patch.operation == "INVALID":
            yield bad(f"{path}.patch.operation", "the operation is missing; add it, for instance MERGE")
        elif found.patch.operation != "REMOVE" and found.patch.value is None:
            yield bad(f"{path}.patch.value", f"{found.patch.operation} needs a value; add it")
        if (match := found.match) is not None:
            given = {
                "listener": match.listener is not None,
                "routeConfiguration": match.route_configuration is not None,
                "cluster": match.cluster is not None,
                "waypoint": match.waypoint is not None,
            }
            yield from words.exactly_one(f"{path}.match", given, none_is_fine=True)

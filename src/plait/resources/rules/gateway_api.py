"""Rules of the Gateway API kinds, as their CRDs state them in CEL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from plait.resources import durations
from plait.resources.rules import names, words
from plait.resources.rules.words import bad
from plait.resources.structure import Finding

_MOST_MATCHES = 128
_PATH = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+")
_DOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_HOSTNAME = re.compile(rf"(\*\.)?{_DOMAIN}")
_KEY = re.compile(rf"({_DOMAIN}/)?([A-Za-z0-9][-A-Za-z0-9_.]{{0,61}})?[A-Za-z0-9]")
_SERVICE = re.compile(r"\.?[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_][A-Za-z_0-9]*)*")
_METHOD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


def gateway(each: Any) -> Iterator[Finding]:
    seen: set[tuple[int, str, str]] = set()
    for index, listener in enumerate(each.spec.listeners):
        path = f"spec.listeners[{index}]"
        protocol, tls = listener.protocol, listener.tls
        if protocol in ("HTTP", "TCP", "UDP") and tls is not None:
            yield bad(f"{path}.tls", f"protocol {protocol} has no tls; use HTTPS or TLS, or remove it")
        if protocol == "HTTPS" and tls is not None and tls.mode != "Terminate":
            yield bad(f"{path}.tls.mode", "protocol HTTPS needs mode Terminate; use protocol TLS to pass through")
        if protocol == "TLS" and tls is None:
            yield bad(f"{path}.tls", "protocol TLS needs tls.mode; add it")
        if tls is not None and tls.mode == "Terminate" and not tls.certificate_refs and not tls.options:
            yield bad(f"{path}.tls.certificateRefs", "mode Terminate needs a certificate; add certificateRefs")
        if protocol in ("TCP", "UDP") and listener.hostname:
            yield bad(f"{path}.hostname", f"protocol {protocol} has no hostname; remove it")
        identity = (listener.port, protocol, listener.hostname or "")
        if identity in seen:
            yield bad(path, "another listener has the same port, protocol and hostname; change one of them")
        seen.add(identity)
    yield from _addresses(getattr(each.spec, "addresses", ()))
    if (made := getattr(each.spec, "infrastructure", None)) is not None:
        for field, keys in (("labels", made.labels), ("annotations", made.annotations)):
            yield from _keys(f"spec.infrastructure.{field}", keys)


def _addresses(addresses: tuple[Any, ...]) -> Iterator[Finding]:
    """Those asked for: of the right form, and none twice (a name of the implementation's own may be)."""
    seen: set[tuple[str, str]] = set()
    for index, address in enumerate(addresses):
        path, identity = f"spec.addresses[{index}]", (address.type, address.value)
        if address.type not in ("IPAddress", "Hostname") or not address.value:
            continue
        if address.type == "IPAddress" and not names.is_address(address.value):
            yield bad(f"{path}.value", f"{address.value!r} is not an IP address; write one")
        elif address.type == "Hostname" and not _HOSTNAME.fullmatch(address.value):
            yield bad(f"{path}.value", f"{address.value!r} is not a host name; write one such as a.example.com")
        elif identity in seen:
            yield bad(path, f"the address {address.value!r} is given twice; remove one")
        seen.add(identity)


def _keys(path: str, keys: Iterable[str]) -> Iterator[Finding]:
    for key in keys:
        if not _KEY.fullmatch(key) or len(key.partition("/")[0]) > 252:
            yield bad(f"{path}[{key}]", f"{key!r} is no name of a label; write NAME or DOMAIN/NAME")


def route(each: Any) -> Iterator[Finding]:
    yield from _parents(each.spec.parent_refs)
    yield from words.unique("spec.rules", [rule.name for rule in each.spec.rules if rule.name], "rule name")
    for index, rule in enumerate(each.spec.rules):
        path = f"spec.rules[{index}]"
        yield from _filters(f"{path}.filters", getattr(rule, "filters", ()))
        for number, backend in enumerate(rule.backend_refs):
            yield from _backend(f"{path}.backendRefs[{number}]", backend)
            yield from _filters(f"{path}.backendRefs[{number}].filters", getattr(backend, "filters", ()))
        for number, match in enumerate(getattr(rule, "matches", ())):
            method = getattr(match, "method", None)
            if method is not None and not isinstance(method, str):
                yield from _call(f"{path}.matches[{number}].method", method)
        if (session := getattr(rule, "session_persistence", None)) is not None:
            yield from _session(f"{path}.sessionPersistence", session)
    total = sum(len(getattr(rule, "matches", ())) for rule in each.spec.rules)
    if total > _MOST_MATCHES:
        yield bad("spec.rules", f"{total} matches in all are more than {_MOST_MATCHES}; split the route")


def _call(path: str, method: Any) -> Iterator[Finding]:
    if method.service is None and method.method is None:
        yield bad(path, "neither service nor method is given; add one")
    if method.type != "Exact":
        return
    for field, pattern in (("service", _SERVICE), ("method", _METHOD)):
        value = getattr(method, field)
        if value is not None and not pattern.fullmatch(value):
            yield bad(
                f"{path}.{field}", f"{value!r} is no name of gRPC; write letters, digits, _ (and dots in a service)"
            )


def _session(path: str, session: Any) -> Iterator[Finding]:
    cookie = session.cookie_config
    if cookie is not None and session.type != "Cookie":
        yield bad(f"{path}.cookieConfig", f"type {session.type} has no cookie; remove cookieConfig")
    if cookie is not None and cookie.lifetime_type == "Permanent" and session.absolute_timeout is None:
        yield bad(f"{path}.absoluteTimeout", "a permanent cookie needs absoluteTimeout; add it")


def _parents(parents: tuple[Any, ...]) -> Iterator[Finding]:
    seen: set[tuple[Any, ...]] = set()
    for index, ref in enumerate(parents):
        identity = (ref.group, ref.kind, ref.namespace, ref.name, ref.section_name, ref.port)
        if identity in seen:
            text = "the same parent is given twice; set sectionName or port to tell them apart"
            yield bad(f"spec.parentRefs[{index}]", text)
        seen.add(identity)
    shapes: dict[tuple[Any, ...], tuple[bool, bool]] = {}
    for index, ref in enumerate(parents):
        shape = ref.section_name is not None, ref.port is not None
        if shapes.setdefault((ref.group, ref.kind, ref.namespace, ref.name), shape) != shape:
            text = "one parent is given with and without sectionName or port; say the same of it each time"
            yield bad(f"spec.parentRefs[{index}]", text)


def _backend(path: str, backend: Any) -> Iterator[Finding]:
    if backend.group == "" and backend.kind == "Service" and backend.port is None:
        yield bad(f"{path}.port", "a Service needs its port; add it")


_FIELDS = {
    "RequestHeaderModifier": ("requestHeaderModifier", "request_header_modifier"),
    "ResponseHeaderModifier": ("responseHeaderModifier", "response_header_modifier"),
    "RequestMirror": ("requestMirror", "request_mirror"),
    "RequestRedirect": ("requestRedirect", "request_redirect"),
    "URLRewrite": ("urlRewrite", "url_rewrite"),
    "CORS": ("cors", "cors"),
    "ExternalAuth": ("externalAuth", "external_auth"),
    "ExtensionRef": ("extensionRef", "extension_ref"),
}
_ONCE = frozenset(_FIELDS) - {"RequestMirror", "ExternalAuth", "ExtensionRef"}


def _filters(path: str, filters: tuple[Any, ...]) -> Iterator[Finding]:
    types = [each.type for each in filters]
    if "RequestRedirect" in types and "URLRewrite" in types:
        yield bad(path, "RequestRedirect and URLRewrite exclude each other; keep one of them")
    for once in sorted(_ONCE):
        if types.count(once) > 1:
            yield bad(path, f"{once} may stand once; join the filters")
    for index, each in enumerate(filters):
        place = f"{path}[{index}]"
        for name, (field, attribute) in _FIELDS.items():
            given = getattr(each, attribute, None) is not None
            if given and each.type != name:
                yield bad(f"{place}.{field}", f"the filter's type is {each.type}; remove {field} or change the type")
            elif not given and each.type == name:
                yield bad(f"{place}.{field}", f"a filter of type {name} needs {field}; add it")
        if (cors := getattr(each, "cors", None)) is not None:
            yield from _cors(f"{place}.cors", cors)
        if (asked := getattr(each, "external_auth", None)) is not None:
            yield from _external(f"{place}.externalAuth", asked)
        if (mirror := each.request_mirror) is not None:
            yield from _backend(f"{place}.requestMirror.backendRef", mirror.backend_ref)
            if mirror.percent is not None and mirror.fraction is not None:
                yield bad(f"{place}.requestMirror", "percent and fraction exclude each other; keep one of them")
            if mirror.fraction is not None and mirror.fraction.numerator > mirror.fraction.denominator:
                yield bad(f"{place}.requestMirror.fraction", "the fraction is more than 1; lower the numerator")
        for field, attribute in (("requestRedirect", "request_redirect"), ("urlRewrite", "url_rewrite")):
            change = getattr(each, attribute, None)
            if change is not None and change.path is not None:
                yield from _path_change(f"{place}.{field}.path", change.path)


def _cors(path: str, cors: Any) -> Iterator[Finding]:
    for field, values in (
        ("allowOrigins", cors.allow_origins),
        ("allowMethods", cors.allow_methods),
        ("allowHeaders", cors.allow_headers),
    ):
        if "*" in values and len(values) > 1:
            yield bad(f"{path}.{field}", "'*' means all and stands alone; remove it or the others")


def _external(path: str, asked: Any) -> Iterator[Finding]:
    yield from _backend(f"{path}.backendRef", asked.backend_ref)
    for protocol, field, given in (("GRPC", "grpc", asked.grpc), ("HTTP", "http", asked.http)):
        if (given is not None) != (asked.protocol == protocol):
            text = f"protocol {asked.protocol} and {field} do not agree; give the field of the protocol"
            yield bad(f"{path}.{field}", text)


def _path_change(path: str, change: Any) -> Iterator[Finding]:
    for kind, field, value in (
        ("ReplaceFullPath", "replaceFullPath", change.replace_full_path),
        ("ReplacePrefixMatch", "replacePrefixMatch", change.replace_prefix_match),
    ):
        if (value is not None) != (change.type == kind):
            yield bad(f"{path}.{field}", f"type {change.type} and {field} do not agree; give the field of the type")


def http_route(each: Any) -> Iterator[Finding]:
    yield from route(each)
    for index, rule in enumerate(each.spec.rules):
        path = f"spec.rules[{index}]"
        redirects = [f for f in rule.filters if f.request_redirect is not None]
        if redirects and rule.backend_refs:
            yield bad(f"{path}.backendRefs", "a rule that redirects has no backends; remove them or the redirect")
        for number, match in enumerate(rule.matches):
            place = f"{path}.matches[{number}].path.value"
            if match.path.type == "RegularExpression":
                yield from words.expression(place, match.path.value)
            elif not match.path.value.startswith("/"):
                yield bad(place, f"{match.path.value!r} does not begin with '/'; add it")
            elif any(part in match.path.value for part in ("//", "/./", "/../", "%2f", "%2F", "#")):
                yield bad(
                    place, f"{match.path.value!r} is not a normal path; remove '//', '/./', '/../', '%2F' and '#'"
                )
            elif match.path.value.endswith(("/..", "/.")):
                yield bad(place, f"{match.path.value!r} ends in a relative part; remove it")
            elif not _PATH.fullmatch(match.path.value):
                yield bad(place, f"{match.path.value!r} has characters no path has; write them as %XX")
        by_prefix = [m.path.type == "PathPrefix" for m in rule.matches] == [True]
        backends = [(f"{path}.backendRefs[{n}]", ref.filters) for n, ref in enumerate(rule.backend_refs)]
        for where, filters in ((path, rule.filters), *backends):
            for number, found in enumerate(filters):
                change = found.request_redirect or found.url_rewrite
                kind = change.path.type if change is not None and change.path is not None else ""
                if kind == "ReplacePrefixMatch" and not by_prefix:
                    text = "ReplacePrefixMatch needs exactly one match, by PathPrefix; change the matches"
                    yield bad(f"{where}.filters[{number}]", text)
        yield from _timeouts(f"{path}.timeouts", rule.timeouts)


def tls_route(each: Any) -> Iterator[Finding]:
    yield from route(each)
    for index, host in enumerate(each.spec.hostnames):
        if names.is_address(host):
            yield bad(f"spec.hostnames[{index}]", f"{host!r} is an IP address, which no client says; write a host name")


def _timeouts(path: str, timeouts: Any) -> Iterator[Finding]:
    if timeouts is None or timeouts.request is None or timeouts.backend_request is None:
        return
    whole, one = durations.gateway_seconds(timeouts.request), durations.gateway_seconds(timeouts.backend_request)
    if whole and one and one > whole:
        yield bad(f"{path}.backendRequest", "backendRequest is longer than request; lower it")


def backend_tls(each: Any) -> Iterator[Finding]:
    sections: dict[tuple[str, str, str], list[str | None]] = {}
    for ref in each.spec.target_refs:
        sections.setdefault((ref.group, ref.kind, ref.name), []).append(ref.section_name)
    for (_, kind, name), found_sections in sections.items():
        if len(found_sections) != len(set(found_sections)) or (len(found_sections) > 1 and None in found_sections):
            yield bad("spec.targetRefs", f"{kind} {name} is named twice; give each its own sectionName")
    found = each.spec.validation
    given = {
        "caCertificateRefs": found.ca_certificate_refs,
        "wellKnownCACertificates": found.well_known_ca_certificates,
    }
    yield from words.exactly_one("spec.validation", given)
    for index, name in enumerate(found.subject_alt_names):
        path = f"spec.validation.subjectAltNames[{index}]"
        if (name.type == "Hostname") != bool(name.hostname) or (name.type == "URI") != bool(name.uri):
            yield bad(path, f"type {name.type} and the given field do not agree; give the field of the type")

"""Enforced, made: which policies, tokens, reports and additions bind what one proxy takes in, in the chain's order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from plait.model.attachment import Attachment, Target
from plait.model.http_security import HttpPolicy
from plait.model.l7 import L7
from plait.model.proxies import Proxy
from plait.model.routes import Destination
from plait.model.views import reporting
from plait.model.views.enforced import Enforced

_ORDER = {"custom": 0, "deny": 1, "audit": 2, "allow": 3}
_CONTEXTS = {
    "sidecar": ("any", "sidecar_inbound", "sidecar_outbound"),
    "gateway": ("any", "gateway"),
    "waypoint": ("any", "waypoint"),
}
_CLUSTER = re.compile(r"outbound\|(\d{1,5})\|([\w.-]*)\|([\w.*-]+)")
Binds = Callable[[Attachment], bool]
Place = tuple[str, int, str]
"""Host, port, and the namespace it is seen from."""


def by_selector(namespace: str, labels: Mapping[str, str], targets: tuple[Target, ...] = ()) -> Binds:
    """A sidecar or gateway pod: by namespace and labels, or by name of its Gateway (or of its services)."""
    return lambda attachment: attachment.names(*targets) or attachment.selects(namespace, labels)


def by_target(targets: tuple[Target, ...]) -> Binds:
    """A service behind a waypoint: only what names it, its waypoint, or the waypoint's class."""
    return lambda attachment: attachment.names(*targets)


def enforced(
    l7: L7, proxy: Proxy, binds: Binds, additions: Binds | None = None, guards: Iterable[HttpPolicy] = ()
) -> Enforced:
    """`additions` decides telemetry, plugins and patches where it differs from policies (waypoints). `guards` are
    policies that nobody wrote (`model.guard`)."""
    adds = additions or binds
    bound = (p for p in l7.authorization.values() if binds(p.attachment))
    policies = tuple(sorted((*bound, *guards), key=_policy_order))
    named = {policy.provider for policy in policies if policy.action == "custom"}
    contexts = _CONTEXTS[proxy.role]
    reports = (each for each in l7.telemetry.values() if adds(each.attachment) and _at_home(each.attachment, proxy))
    plugins = (plugin for plugin in l7.plugins.values() if adds(plugin.attachment))
    patches = (patch for patch in l7.patches.values() if adds(patch.attachment))
    return Enforced(
        policies=policies,
        authentication=tuple(
            sorted((a for a in l7.authentication.values() if binds(a.attachment)), key=lambda a: a.key)
        ),
        authorizers=tuple(l7.authorizers[name] for name in sorted(named & l7.authorizers.keys())),
        telemetry=reporting.merged(l7, reports),
        plugins=tuple(sorted(plugins, key=lambda p: p.order)),
        patches=tuple(
            sorted(
                (each for each in patches if any(patch.context in contexts for patch in each.patches)),
                key=lambda p: p.order,
            )
        ),
        limits=tuple(sorted((each for each in l7.limits.values() if binds(each.attachment)), key=lambda p: p.order)),
    )


def _at_home(attachment: Attachment, proxy: Proxy) -> bool:
    """Telemetry with a selector is about pods of its own namespace, in the root namespace too."""
    return not attachment.selector or attachment.namespace == proxy.namespace


def asked(places: Iterable[Place]) -> tuple[Destination, ...]:
    """The services at these places, in order."""
    return tuple(Destination(host, port, namespace=namespace) for host, port, namespace in sorted(set(places)) if host)


def places(bound: Enforced) -> frozenset[Place]:
    """Where a proxy asks or tells by itself: authorizers, who counts, issuers' keys, collectors. No route has them."""
    found: set[Place] = {(a.hostname, a.port, a.namespace) for a in bound.authorizers if not a.broken}
    counting = (limits.shared for limits in bound.limits if limits.shared is not None)
    found.update((s.hostname, s.port, s.namespace) for s in counting if not s.broken)
    found.update((sink.hostname, sink.port, sink.namespace) for sink in bound.telemetry.sinks if sink.hostname)
    for rule in (rule for authentication in bound.authentication for rule in authentication.rules):
        if rule.jwks_uri and not rule.jwks:
            found.add((*_authority(rule.jwks_uri), ""))
    return frozenset(found)


def named(bound: Enforced) -> Iterator[Destination]:
    """Clusters that patches and plugins name: nothing else leads to these."""
    for patches in bound.patches:
        for patch in patches.patches:
            yield from _clusters(patch.value)
    for plugin in bound.plugins:
        yield from _clusters((plugin.script.config, plugin.script.code))


def _clusters(value: Any) -> Iterator[Destination]:
    """All in a document, by Istio's names for them."""
    if isinstance(value, str):
        for port, subset, host in _CLUSTER.findall(value):
            yield Destination(host, int(port), subset)
    elif isinstance(value, Mapping):
        yield from (found for each in value.values() for found in _clusters(each))
    elif isinstance(value, list | tuple):
        yield from (found for each in value for found in _clusters(each))


def _authority(uri: str) -> tuple[str, int]:
    """Host and port of a URL; ("", 0) for one that has none."""
    try:
        parts = urlsplit(uri)
        return parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)
    except ValueError:
        return "", 0


def _policy_order(policy: HttpPolicy) -> tuple[int, str, str]:
    return _ORDER[policy.action], policy.namespace, policy.name

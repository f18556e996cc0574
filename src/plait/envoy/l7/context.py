"""Context: what every part of one proxy's translation needs to know: the proxy, its upstreams, where refusals go."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from plait.envoy.l7.options import Options
from plait.envoy.l7.parts import Part, Parts, Seen
from plait.envoy.l7.report import Report
from plait.envoy.pieces import Doc
from plait.model.l7 import L7Settings
from plait.model.proxies import Proxy
from plait.model.routes import Destination
from plait.model.views.upstreams import Upstream

S = TypeVar("S")
T = TypeVar("T")


@dataclass(slots=True)
class Context:
    """Made anew for each translation: `report` and `extra` fill while it is used.

    `served`: hostnames a waypoint stands before; their clusters are named `inbound-vip|…`.
    """

    proxy: Proxy
    settings: L7Settings
    options: Options
    upstreams: Mapping[tuple[str, int, str], Upstream]
    served: Mapping[str, object] = field(default_factory=dict)
    local: Mapping[str, str] = field(default_factory=dict)
    """Hostnames that are this pod itself, with the cluster of the application: where routes on the way in end."""
    secure: bool = False
    """Whether requests of these routes come by TLS that ends here: what their default port is."""
    lazy: Mapping[tuple[str, int, str], object] = field(default_factory=dict)
    """Keys of upstreams whose clusters come when they are asked for."""
    report: Report = field(default_factory=Report)
    extra: dict[str, Doc] = field(default_factory=dict)
    """Clusters nobody declared but that something needs: key servers, collectors."""
    parts: Parts = field(default_factory=Parts)
    """What the translation before made."""

    def each(
        self, kind: str, sources: Sequence[S], key: Callable[[S], Hashable], make: Callable[[Context, S], T]
    ) -> list[T]:
        """`make(context, source)` of all sources, or what it gave last time where it would give that again. It may look
        up upstreams, `served` and `lazy` in the context it gets; everything else it depends on is in the source."""

        def part(source: S) -> Part:
            upstreams, served, lazy = Seen(self.upstreams), Seen(self.served), Seen(self.lazy)
            inner = replace(self, upstreams=upstreams, served=served, lazy=lazy, report=Report(), extra={})
            value = make(inner, source)
            beside = (inner.extra, inner.report.found) if inner.extra or inner.report.found else None
            return Part(source, frozenset((*upstreams.noted, *served.noted, *lazy.noted)), value, beside)

        found = self.parts.each(kind, sources, key, part)
        for extra, refusals in found.beside:
            self.extra.update(extra)
            for each in refusals:
                self.report.refuse(each.source, each.path, each.message)
        return found.values

    def refuse(self, source: str, path: str, message: str) -> None:
        self.report.refuse(source or f"{self.proxy.role}/{self.proxy.namespace}/{self.proxy.name}", path, message)

    def upstream(self, wanted: Destination) -> Upstream | None:
        return self.upstreams.get((wanted.hostname, wanted.port, wanted.subset))

    def cluster(self, hostname: str, port: int, subset: str = "") -> str:
        """The cluster's name as Istio would write it."""
        if hostname in self.local:
            return self.local[hostname]
        if hostname in self.served:
            found = self.upstreams.get((hostname, port, subset))
            kind = "tcp" if found is not None and not may_be_http(found.protocol) else "http"
            return f"inbound-vip|{port}|{kind}{'/' + subset if subset else ''}|{hostname}"
        return f"outbound|{port}|{subset}|{hostname}"

    def cluster_of(self, wanted: Destination) -> str:
        return self.cluster(wanted.hostname, wanted.port, wanted.subset)

    def waits(self, wanted: Destination) -> bool:
        return (wanted.hostname, wanted.port, wanted.subset) in self.lazy

    def parted(self, upstream: Upstream) -> bool:
        """Whether HTTP and other bytes go by clusters of their own: Istio's TLS must say which of them it carries."""
        return upstream.protocol == "auto" and any(end.way == "istio" for end in upstream.endpoints)

    def tcp_cluster_of(self, wanted: Destination) -> str:
        found, name = self.upstream(wanted), self.cluster_of(wanted)
        return f"{name}|tcp" if found is not None and self.parted(found) else name

    def known(self, wanted: Destination) -> bool:
        return not wanted.broken and (wanted.hostname in self.local or self.upstream(wanted) is not None)


def may_be_http(protocol: str) -> bool:
    return protocol in ("http", "http2", "grpc", "grpc-web", "auto")


def seconds(value: float) -> str:
    """A duration as Envoy's JSON has it."""
    return f"{max(value, 0.0):.9f}".rstrip("0").rstrip(".") + "s"


def percent(value: float) -> Doc:
    """A share as FractionalPercent, to a ten-thousandth of a percent."""
    return {"numerator": max(0, min(1_000_000, round(value * 10_000))), "denominator": "MILLION"}

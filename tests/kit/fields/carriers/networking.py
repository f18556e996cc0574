"""Istio's traffic kinds."""

from __future__ import annotations

from kit import documents as d
from kit import worlds
from kit.fields.carriers.world import HOSTS, ROUTES, RULES, Document, entry, ingress, security, to, with_spec


def _to_subset(host: str, kind: str = "http") -> Document:
    found = {"destination": {"host": host, "subset": "v1"}}
    rules = {kind: [{"route": [found]}], "hosts": HOSTS if kind == "http" else [host], "gateways": ["mesh", "ingress"]}
    return worlds.istio("VirtualService", "all" if kind == "http" else "db", **rules)


def _http(number: int) -> Document:
    return {"number": number, "protocol": "HTTP", "name": "http"}


CARRIERS: dict[str, tuple[Document, ...]] = {
    "VirtualService": (
        ROUTES,
        worlds.routes("all", [{"redirect": {"authority": "a.example"}}], hosts=HOSTS, gateways=["mesh", "ingress"]),
        worlds.routes("all", [{"directResponse": {"status": 403}}], hosts=HOSTS, gateways=["mesh", "ingress"]),
        worlds.routes("all", [{"delegate": {"name": "child"}}], hosts=HOSTS, gateways=["mesh", "ingress"]),
        worlds.routes(
            "all",
            hosts=["db.shop.svc.cluster.local"],
            tcp=[{"match": [{"port": 5432}], "route": [{"destination": {"host": "db.shop.svc.cluster.local"}}]}],
            gateways=["mesh", "ingress"],
        ),
        worlds.routes(
            "all",
            hosts=["db.shop.svc.cluster.local", "x.db.shop.svc.cluster.local"],
            tls=[
                {
                    "match": [{"sniHosts": ["db.shop.svc.cluster.local"]}],
                    "route": [{"destination": {"host": "db.shop.svc.cluster.local"}}],
                }
            ],
            gateways=["mesh", "ingress"],
        ),
    ),
    "DestinationRule": (
        RULES,
        with_spec(RULES, subsets=[{"name": "v1", "labels": {"app": "reviews"}}]),
    ),
    "networking.istio.io Gateway": (
        ingress(),
        ingress(
            {
                "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                "hosts": ["shop.example"],
                "tls": {"mode": "SIMPLE", "credentialName": "cert"},
            }
        ),
        ingress(
            {
                "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                "hosts": ["shop.example"],
                "tls": {"mode": "MUTUAL", "serverCertificate": "/a", "privateKey": "/b", "caCertificates": "/c"},
            }
        ),
        ingress(
            {
                "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                "hosts": ["shop.example"],
                "tls": {
                    "mode": "MUTUAL",
                    "tlsCertificates": [{"serverCertificate": "/a", "privateKey": "/b", "caCertificates": "/c"}],
                },
            }
        ),
    ),
    "ServiceEntry": (
        entry(resolution="STATIC", endpoints=[{"address": "10.1.1.1"}]),
        entry(resolution="DNS"),
        entry(resolution="STATIC", workloadSelector={"labels": {"app": "outside"}}),
    ),
    "Sidecar": (
        worlds.istio(
            "Sidecar",
            "web",
            ingress=[{"port": _http(8080), "captureMode": "NONE"}],
            egress=[{"hosts": ["./*"], "port": _http(80), "bind": "127.0.0.1", "captureMode": "NONE"}],
        ),
        worlds.istio("Sidecar", "web", outboundTrafficPolicy={"mode": "ALLOW_ANY"}),
        worlds.istio("Sidecar", "web", egress=[{"hosts": ["./*"]}]),
        worlds.istio("Sidecar", "web", ingress=[{"port": _http(8080)}], egress=[{"hosts": ["./*"], "port": _http(80)}]),
    ),
    "WorkloadEntry": (worlds.istio("WorkloadEntry", "outside", address="10.1.1.2", labels={"app": "outside"}),),
    "WorkloadGroup": (worlds.istio("WorkloadGroup", "group", template={"serviceAccount": "a"}),),
    "ProxyConfig": (d.document("networking.istio.io/v1beta1", "ProxyConfig", "tried", spec={}),),
}
BESIDE: dict[str, tuple[Document, ...]] = {
    "VirtualService": (
        worlds.rules("all", host="*.shop.svc.cluster.local", subsets=[{"name": "v1", "labels": {"version": "v1"}}]),
        worlds.routes("child", [{"match": [{"uri": {"prefix": "/child"}}], "route": [to("reviews")]}], hosts=[]),
    ),
    "DestinationRule": (_to_subset("reviews.shop.svc.cluster.local"), _to_subset("db.shop.svc.cluster.local", "tcp")),
    "ServiceEntry": (worlds.istio("WorkloadEntry", "outside", address="10.1.1.2", labels={"app": "outside"}),),
    "Sidecar": (
        security("PeerAuthentication", "off", selector={"matchLabels": {"app": "web"}}, mtls={"mode": "DISABLE"}),
    ),
    "WorkloadEntry": (entry(resolution="STATIC", workloadSelector={"labels": {"app": "outside"}}),),
}

"""What the classic (node-level) capture needs in a node's namespace and in its proxy's, as data. Pure.

The ten steps of Istio's first ambient redirection: address set, marks, policy routing into `istioout`, TPROXY, and back
in by `istioin`. Putting it there is `plumbing`'s business. Rules that Istio did not have close ways around the proxy. A
plan is of one family: both use the same links, marks and numbers, in tables and sets of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from plait.base.wellknown import (
    CLASSIC_LOCAL_MARK,
    DNS_CAPTURE_PORT,
    HBONE_PORT,
    INBOUND_PLAINTEXT_PORT,
    OUTBOUND_PORT,
)
from plait.model.views.datagrams import CLOSED, Datagrams
from plait.node.rules import Family, Rules, datagrams

SETS: Final[Mapping[Family, str]] = {4: "ztunnel-pods-ips", 6: "ztunnel-pods-ips6"}
NAMES: Final[Mapping[Family, str]] = {4: "ztunnel-dns-ips", 6: "ztunnel-dns-ips6"}
OUT, SKIP, CONN_SKIP, PROXY, RETURN = "0x100/0x100", "0x200/0x200", "0x220/0x220", "0x210/0x210", "0x40/0x40"
TPROXY, ORIGINAL_SOURCE = "0x400/0xfff", "0x4d3/0xfff"
TUNNEL_PORT: Final = 6081
VETH: Final = "zt"
MAIN: Final = 32766
LOCAL_PORTS: Final = "10240 32767"
"""The proxy's own, apart from the pods' default range: both dial from one address through one connection tracker."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One link between node and proxy: its name at either end, and what its addresses begin with in each family."""

    node: str
    proxy: str
    number: int
    begins: Mapping[Family, str]

    def node_address(self, family: Family) -> str:
        return f"{self.begins[family]}1"

    def proxy_address(self, family: Family) -> str:
        return f"{self.begins[family]}2"


IN: Final = Tunnel("istioin", "pistioin", 1000, {4: "192.168.126.", 6: "fd16:9254:7127:126::"})
OUTWARD: Final = Tunnel("istioout", "pistioout", 1001, {4: "192.168.127.", 6: "fd16:9254:7127:127::"})
TUNNELS: Final = (IN, OUTWARD)


@dataclass(frozen=True, slots=True)
class Policy:
    """`ip rule`: at this priority, packets with this mark ("" for all) use this table."""

    priority: int
    mark: str
    action: str


NODE_POLICIES: Final = (
    Policy(100, "0x200/0x200", f"goto {MAIN}"),
    Policy(101, "0x100/0x100", "lookup 101"),
    Policy(102, "0x40/0x40", "lookup 102"),
    Policy(103, "", "lookup 100"),
)
PROXY_POLICIES: Final = (Policy(20000, TPROXY, "lookup 100"), Policy(20003, ORIGINAL_SOURCE, "lookup 100"))


@dataclass(frozen=True, slots=True)
class Plan:
    """`node` and `proxy` are addresses; `pods` those that are captured here: all of one family."""

    node: str
    proxy: str
    pods: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    """Those of the pods whose questions to nameservers are captured too."""
    inbound: Mapping[str, Datagrams] = field(default_factory=dict)
    """Address of a captured pod -> what of other protocols than TCP may enter it; closed where nothing is said."""

    @property
    def family(self) -> Family:
        return 6 if ":" in self.node else 4

    @property
    def length(self) -> int:
        """Of the prefix that is one address."""
        return 128 if self.family == 6 else 32

    @property
    def set(self) -> str:
        return SETS[self.family]

    @property
    def sets(self) -> dict[str, frozenset[str]]:
        """Name of an address set -> what is in it."""
        return {self.set: self.pods, NAMES[self.family]: self.names}


def node_routes(plan: Plan) -> dict[int, tuple[str, ...]]:
    """Table -> routes, spelled as `ip route show` does."""
    near = f"{plan.proxy} dev {VETH}" + (" scope link" if plan.family == 4 else "")
    back = IN.proxy_address(plan.family)
    return {
        100: tuple(f"{pod} via {back} dev {IN.node} src {plan.node}" for pod in sorted(plan.pods)),
        101: (f"default via {OUTWARD.proxy_address(plan.family)} dev {OUTWARD.node}", near),
        102: (f"default via {plan.proxy} dev {VETH} onlink", near),
    }


def proxy_routes(family: Family = 4) -> dict[int, tuple[str, ...]]:
    return {
        100: ("local default dev lo" + (" scope host" if family == 4 else ""),),
        101: (f"default via {OUTWARD.node_address(family)} dev {OUTWARD.proxy}",),
        102: (f"default via {IN.node_address(family)} dev {IN.proxy}",),
    }


def _mark(mark: str) -> str:
    return f"-j MARK --set-xmark {mark}"


def _save(mark: str) -> str:
    mask = mark.partition("/")[2]
    return f"-m mark --mark {mark} -j CONNMARK --save-mark --nfmask {mask} --ctmask {mask}"


def node_rules(plan: Plan) -> Rules:
    """Chains of the node's namespace."""
    stop = f"-m mark --mark {SKIP} -j RETURN"
    from_proxy = f"-i {VETH} ! -s {plan.proxy}/{plan.length}"
    known = "-p tcp -m conntrack --ctstate RELATED,ESTABLISHED"
    prerouting = (
        f"-i {IN.node} {_mark(SKIP)}",
        f"-i {IN.node} -j RETURN",
        f"-i {OUTWARD.node} {_mark(SKIP)}",
        f"-i {OUTWARD.node} -j RETURN",
        f"-p udp --dport {TUNNEL_PORT} -j RETURN",
        f"-m connmark --mark {CONN_SKIP} {_mark(SKIP)}",
        stop,
        f"! -i {VETH} -m connmark --mark {PROXY} {_mark(RETURN)}",
        f"-m mark --mark {RETURN} -j RETURN",
        f"{from_proxy} {_mark(PROXY)}",
        stop,
        f"-i {VETH} {_mark(CONN_SKIP)}",
        f"-p udp {_mark(CONN_SKIP)}",
        stop,
        # A connection older than its pod's capture goes on as it began; that it is not the proxy's, is known by now.
        f"{known} -m set --match-set {plan.set} src {_mark(SKIP)}",
        f"{known} -m set --match-set {plan.set} dst {_mark(SKIP)}",
        stop,
        # Questions by TCP go to the resolver, not to the proxy.
        f"-p tcp --dport 53 -m set --match-set {NAMES[plan.family]} src {_mark(CONN_SKIP)}",
        stop,
        f"-p tcp -m set --match-set {plan.set} src {_mark(OUT)}",
    )
    output = (
        f"-m connmark --mark {CONN_SKIP} -j CONNMARK --restore-mark --nfmask 0x220 --ctmask 0x220",
        # Answers of the node's own processes to a connection that the proxy opened in a pod's name.
        f"-m connmark --mark {PROXY} {_mark(RETURN)}",
        f"-s {plan.node}/{plan.length} -p tcp -m owner --socket-exists"
        f" -m set --match-set {plan.set} dst {_mark(CONN_SKIP)}",
        _save(CONN_SKIP),
    )
    saving = (_save(CONN_SKIP), _save(PROXY))
    accept = (f"-m mark --mark {OUT} -j ACCEPT",)
    # Istio's node let a packet pass that lost its mark or its route (a flushed set, a deleted rule). Ours drops it.
    fresh = "-p tcp -m conntrack --ctstate NEW -m mark --mark"
    guard = [f"-m mark --mark {OUT} ! -o {OUTWARD.node} -j DROP", f"-m mark --mark {RETURN} ! -o {VETH} -j DROP"]
    for pod in sorted(plan.pods):
        one = f"{pod}/{plan.length}"
        guard.append(f"-s {one} {fresh} 0x0/0x340 -j DROP")
        guard.append(f"-d {one} ! -o {IN.node} {fresh} 0x0/0x340 -j DROP")
        guard += datagrams(plan.inbound.get(pod, CLOSED), f"-d {one}", plan.family)
    asked = tuple(line for pod in sorted(plan.names) for line in _unheard(f"{pod}/{plan.length}"))
    names = {word: f"ztunnel-{word}" for word in ("PREROUTING", "FORWARD", "INPUT", "OUTPUT", "POSTROUTING")}
    mangle = {"PREROUTING": prerouting, "FORWARD": saving, "INPUT": saving, "OUTPUT": output}
    return Rules(
        {
            "mangle": {names[word]: lines for word, lines in mangle.items()},
            "nat": {names["PREROUTING"]: (*accept, *_to_resolver(plan)), names["POSTROUTING"]: accept},
            "filter": {names["INPUT"]: asked, names["FORWARD"]: (*guard, *asked, *accept)},
        },
        {
            "mangle": {word: names[word] for word in mangle},
            "nat": {word: names[word] for word in ("PREROUTING", "POSTROUTING")},
            "filter": {word: names[word] for word in ("INPUT", "FORWARD")},
        },
    )


def _to_resolver(plan: Plan) -> tuple[str, ...]:
    """What pods ask of any nameserver; what the resolver asks in their name comes from its own link."""
    proxy = f"[{plan.proxy}]" if plan.family == 6 else plan.proxy
    asks = f"-m set --match-set {NAMES[plan.family]} src -j DNAT --to-destination {proxy}:{DNS_CAPTURE_PORT}"
    return tuple(f"! -i {VETH} -p {protocol} --dport 53 {asks}" for protocol in ("udp", "tcp"))


def _unheard(pod: str) -> tuple[str, ...]:
    """A new question that was not sent to the resolver, as a set or a rule is missing, goes nowhere. (What has the
    outbound mark goes to the proxy.)"""
    new = "--dport 53 -m conntrack --ctstate NEW"
    return (
        f"-s {pod} ! -i {VETH} -p udp {new} -j DROP",
        f"-s {pod} ! -i {VETH} -p tcp {new} -m mark ! --mark {OUT} -j DROP",
    )


def proxy_rules(plan: Plan) -> Rules:
    """Chains of the proxy's namespace. A peer on this node is the same process: that hop stays inside, on `lo`."""

    loopback = "127.0.0.1" if plan.family == 4 else "::1"

    def proxied(match: str, port: int) -> str:
        return f"{match} -j TPROXY --on-port {port} --on-ip {loopback} --tproxy-mark {TPROXY}"

    inside = f"-i lo -p tcp -m connmark --mark {ORIGINAL_SOURCE} -m conntrack --ctdir ORIGINAL"
    prerouting = (
        proxied(f"-i {IN.proxy} -p tcp --dport {HBONE_PORT}", HBONE_PORT),
        proxied(f"-i {OUTWARD.proxy} -p tcp", OUTBOUND_PORT),
        proxied(f"-i {IN.proxy} -p tcp", INBOUND_PLAINTEXT_PORT),
        f"-i eth0 ! -d {plan.proxy}/{plan.length} {_mark(ORIGINAL_SOURCE)}",
        proxied(f"{inside} --dport {HBONE_PORT}", HBONE_PORT),
        proxied(inside, INBOUND_PLAINTEXT_PORT),
        f"-i lo -p tcp -m connmark --mark {ORIGINAL_SOURCE} {_mark(ORIGINAL_SOURCE)}",
    )
    dialled = f"-p tcp -m mark --mark {CLASSIC_LOCAL_MARK:#x} -m set --match-set {plan.set} dst"
    output = (
        f"{dialled} -m conntrack --ctstate NEW -j CONNMARK --set-xmark {ORIGINAL_SOURCE}",
        f"-m connmark --mark {ORIGINAL_SOURCE} {_mark(ORIGINAL_SOURCE)}",
    )
    return Rules(
        {"mangle": {"ztunnel-PREROUTING": prerouting, "ztunnel-OUTPUT": output}},
        {"mangle": {"PREROUTING": "ztunnel-PREROUTING", "OUTPUT": "ztunnel-OUTPUT"}},
    )

"""What a captured pod's namespace (and its node's) must contain, as data, and the steps from what is there to that.

Pure: texts of iptables-save go in, texts for iptables-restore come out. The rules are Istio's in-pod rules. Applying
them is `netfilter`'s and `routing`'s business, deciding when is `machine`'s.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from plait.base.wellknown import (
    CONNECTION_MARK,
    DNS_CAPTURE_PORT,
    HBONE_PORT,
    INBOUND_PLAINTEXT_PORT,
    MARK_MASK,
    OUTBOUND_PORT,
    PROBE_SNAT_IP,
    PROXY_MARK,
)
from plait.model.views.datagrams import OPEN, Datagrams

Family = Literal[4, 6]
FAMILIES: Final[tuple[Family, ...]] = (4, 6)
RULE_PRIORITY: Final = 32764
RULE_TABLE: Final = 100
PROBE_SNAT_IP6: Final = "fd16:9254:7127:1337:ffff:ffff:ffff:ffff"

_OWN: Final = f"{PROXY_MARK:#x}/{MARK_MASK:#x}"  # packets the node proxy sends
_ANSWERED: Final = f"{CONNECTION_MARK:#x}/{MARK_MASK:#x}"  # connections it opened towards the pod's application
_LOOPBACK: Final[Mapping[Family, str]] = {4: "127.0.0.1/32", 6: "::1/128"}
_PROBES: Final[Mapping[Family, str]] = {4: f"{PROBE_SNAT_IP}/32", 6: f"{PROBE_SNAT_IP6}/128"}
_ICMP: Final[Mapping[Family, str]] = {4: "icmp", 6: "ipv6-icmp"}
_TABLES: Final = ("raw", "mangle", "nat", "filter")
# The proxy speaks to the application from the client's address and a port of its own choice, which the client may be
# using for a plaintext connection to this very pod: without a zone of its own the kernel takes the one for the other
# and redirects the proxy's packets to the proxy (seen: 2 of 24 plaintext connections hung). Tunnels (not over lo) stay
# in the common zone: they may outlive a capture, and an adopted entry of the same addresses would collide.
_OWN_ZONE: Final = f"-o lo -p tcp -m mark --mark {_OWN} -j CT --zone-orig 2"
PREFIX: Final = "ISTIO_"


def families(addresses: Iterable[str]) -> tuple[Family, ...]:
    """Those of which there is an address, IPv4 first."""
    there = {":" in address for address in addresses}
    return tuple(family for family in FAMILIES if (family == 6) in there)


@dataclass(frozen=True, slots=True)
class Rules:
    """Our chains: table -> chain -> rules, and the built-in chain each is called from (table -> built-in -> ours)."""

    chains: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    calls: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """`ip rule`: packets with this mark look up this table, whose one route is `local default dev lo`.

    Answers of the application to a preserved (foreign) client address must come back to the proxy's transparent socket.
    """

    mark: int = CONNECTION_MARK
    mask: int = MARK_MASK
    table: int = RULE_TABLE
    priority: int = RULE_PRIORITY


_IN_POD: Final = {"PREROUTING": "ISTIO_PRERT", "OUTPUT": "ISTIO_OUTPUT", "INPUT": "ISTIO_INPUT"}


def capture(family: Family = 4, *, dns: bool = False, others: Datagrams = OPEN, node: str = "") -> Rules:
    """A captured pod: TCP in to 15006, TCP out to 15001 (with `dns`, port 53 to 15053), the proxy's own left alone.

    What is not TCP enters as `others` says; the node itself (its address) always may, as with probes.
    """
    lo, probes = _LOOPBACK[family], _PROBES[family]
    mangle: dict[str, tuple[str, ...]] = {
        "ISTIO_PRERT": (f"-m mark --mark {_OWN} -j CONNMARK --set-xmark {_ANSWERED}",),
        "ISTIO_OUTPUT": (
            f"-m connmark --mark {_ANSWERED} -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff",
        ),
    }
    # 15008 is bound inside the pod by the node proxy: HBONE arrives without a redirect.
    inbound = (
        f"-s {probes} -p tcp -j ACCEPT",
        f"! -d {lo} -p tcp ! --dport {HBONE_PORT} -m mark ! --mark {_OWN}"
        f" -j REDIRECT --to-ports {INBOUND_PLAINTEXT_PORT}",
    )
    names = (
        f"! -o lo -p udp --dport 53 -m mark ! --mark {_OWN} -j REDIRECT --to-ports {DNS_CAPTURE_PORT}",
        f"! -d {lo} -p tcp --dport 53 -m mark ! --mark {_OWN} -j REDIRECT --to-ports {DNS_CAPTURE_PORT}",
    )
    outbound = (
        f"-d {probes} -p tcp -j ACCEPT",
        *(names if dns else ()),
        f"-p tcp -m mark --mark {_ANSWERED} -j ACCEPT",
        f"! -d {lo} -o lo -j ACCEPT",
        f"! -d {lo} -p tcp -m mark ! --mark {_OWN} -j REDIRECT --to-ports {OUTBOUND_PORT}",
    )
    raw: dict[str, tuple[str, ...]] = {"ISTIO_OUTPUT": (_OWN_ZONE,)}
    if dns:
        # A DNS answer from 15053 and one from the real server may carry the same tuple: keep them in separate zones.
        raw = {
            "ISTIO_PRERT": (f"-p udp --sport 53 -m mark ! --mark {_OWN} -j CT --zone 1",),
            "ISTIO_OUTPUT": (_OWN_ZONE, f"-p udp --dport 53 -m mark --mark {_OWN} -j CT --zone 1"),
        }
    nat: dict[str, tuple[str, ...]] = {"ISTIO_PRERT": inbound, "ISTIO_OUTPUT": outbound}
    chains: dict[str, dict[str, tuple[str, ...]]] = {"raw": raw, "mangle": mangle, "nat": nat}
    if judged := datagrams(others, family=family):
        own = ("-i lo -j RETURN", *((f"-s {node}/{32 if family == 4 else 128} -j RETURN",) if node else ()))
        chains["filter"] = {"ISTIO_INPUT": (*own, *judged)}
    return Rules(chains, {table: {b: c for b, c in _IN_POD.items() if c in own} for table, own in chains.items()})


def datagrams(verdict: Datagrams, where: str = "", family: Family = 4) -> tuple[str, ...]:
    """Rules of a filter chain for what is not TCP; `where` narrows them to one pod.

    Answers to what the pod itself began may enter, a peer's flow that is older than the verdict may not: only its
    direction tells them apart. ICMP carries the network's own errors (IPv6: also who its neighbours are) and always
    passes.
    """
    if verdict == OPEN:
        return ()
    m = f"{where} " if where else ""
    passing = (
        f"{m}-p {_ICMP[family]} -j RETURN",
        f"{m}! -p tcp -m conntrack --ctstate RELATED,ESTABLISHED --ctdir REPLY -j RETURN",
    )
    special = "RETURN" if verdict.refused else "DROP"
    ports = tuple(f"{m}-p udp --dport {port} -j {special}" for port in verdict.ports)
    return (*passing, *ports, *((f"{m}! -p tcp -j DROP",) if verdict.refused else ()))


def sealed() -> Rules:
    """A family of which a pod has no address: nothing leaves, nothing enters, its own loopback goes on working."""
    chains = {"ISTIO_PRERT": ("! -i lo -j DROP",), "ISTIO_OUTPUT": ("! -o lo -j DROP",)}
    return Rules({"raw": chains}, {"raw": {b: c for b, c in _IN_POD.items() if c in chains}})


def released(family: Family = 4, *, dns: bool = False) -> Rules:
    """A pod that leaves: new connections go their own way, answers of live ones still find the proxy."""
    kept = capture(family, dns=dns)
    tables = ("raw", "mangle")
    return Rules({table: kept.chains[table] for table in tables}, {table: kept.calls[table] for table in tables})


def node(addresses: Iterable[str], family: Family = 4, *, prefix: str = PREFIX) -> Rules:
    """The node's own namespace: what its processes (the kubelet's probes) send to captured pods carries the probe
    address, which the pods' rules let pass also under STRICT. Nobody else may use that source."""
    probes = _PROBES[family]
    length = 32 if family == 4 else 128
    snat = tuple(
        f"-d {address}/{length} -p tcp -m owner --socket-exists -j SNAT --to-source {probes.partition('/')[0]}"
        for address in sorted(set(addresses))
    )
    # Packets of the node's own processes never pass PREROUTING: whatever comes in with this source is forged.
    guard = (f"-s {probes} -j DROP",)
    return Rules(
        {"raw": {f"{prefix}GUARD": guard}, "nat": {f"{prefix}POSTRT": snat}},
        {"raw": {"PREROUTING": f"{prefix}GUARD"}, "nat": {"POSTROUTING": f"{prefix}POSTRT"}},
    )


NONE: Final = Rules()


def repair(saved: str, wanted: Rules, prefix: str = PREFIX) -> str:
    """iptables-restore --noflush input that turns `saved` (iptables-save) into `wanted`; "" when nothing differs.

    Only chains whose names begin with the prefix, and calls to them, are touched: other people's rules stay.
    """
    there = parse(saved)
    blocks = [_table(name, there.get(name, {}), wanted, prefix) for name in _TABLES]
    return "".join(block for block in blocks if block)


def matches(saved: str, wanted: Rules) -> bool:
    """Does the namespace hold exactly the wanted rules?"""
    return not repair(saved, wanted)


def present(saved: str) -> bool:
    """Has this pod namespace rules of ours? (A sidecar's chains have other names but for ISTIO_OUTPUT.)"""
    return any("ISTIO_PRERT" in chains for chains in parse(saved).values())


def parse(saved: str) -> dict[str, dict[str, list[str]]]:
    """iptables-save text -> table -> chain -> rules without their leading `-A chain`."""
    tables: dict[str, dict[str, list[str]]] = {}
    chains: dict[str, list[str]] = {}
    for line in saved.splitlines():
        if line.startswith("*"):
            chains = tables.setdefault(line[1:].strip(), {})
        elif line.startswith(":"):
            chains.setdefault(line[1:].split()[0], [])
        elif line.startswith("-A "):
            _, chain, rule = line.split(" ", 2)
            chains.setdefault(chain, []).append(rule)
    return tables


def _table(name: str, there: Mapping[str, list[str]], wanted: Rules, prefix: str) -> str:
    chains, calls = wanted.chains.get(name, {}), wanted.calls.get(name, {})
    ours = [chain for chain in there if chain.startswith(prefix)]
    drop: list[str] = []
    add: list[str] = []
    for builtin in sorted({*there, *calls} - set(ours)):
        jumps = [rule for rule in there.get(builtin, []) if _target(rule).startswith(prefix)]
        want = [f"-j {calls[builtin]}"] if builtin in calls else []
        if jumps != want:
            drop += [f"-D {builtin} {jump}" for jump in jumps]
            # The node-level chains must decide before service addresses are translated; in a pod there is nobody else.
            add += [f"-A {builtin} {jump}" if prefix == PREFIX else f"-I {builtin} 1 {jump}" for jump in want]
    stale = [chain for chain in ours if chain not in chains]
    for chain, rules in chains.items():
        if chain not in there or list(map(canonical, there[chain])) != list(map(canonical, rules)):
            add = [f"-A {chain} {rule}" for rule in rules] + add  # filled before it is called
            drop = [f":{chain} - [0:0]", *drop]  # under --noflush this creates or empties just this chain
    drop += [f"-F {chain}" for chain in stale] + [f"-X {chain}" for chain in stale]
    lines = [*(d for d in drop if d.startswith(":")), *(d for d in drop if not d.startswith(":")), *add]
    return "\n".join([f"*{name}", *lines, "COMMIT", ""]) if lines else ""


def _target(rule: str) -> str:
    words = rule.split()
    return words[words.index("-j") + 1] if "-j" in words else ""


def canonical(rule: str) -> frozenset[tuple[bool, str, str]]:
    """A rule as (negated, option, value) triples: iptables prints options in its own order and adds `-m tcp`."""
    found: set[tuple[bool, str, str]] = set()
    words = shlex.split(rule)
    at = 0
    negated = False
    while at < len(words):
        word = words[at]
        at += 1
        if word == "!":
            negated = True
            continue
        value = ""
        if at < len(words) and words[at] != "!" and not words[at].startswith("-"):
            value = words[at]
            at += 1
        if not (word == "-m" and value in ("tcp", "udp")):
            found.add((negated, word, value))
        negated = False
    return frozenset(found)

"""Puts the classic capture's links, routes, rules and address sets into two namespaces; compares; takes them out.

What they must hold is `plan`'s answer. Everything is safe to repeat and repairs what differs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

from plait.base import netns
from plait.node import netfilter, rules
from plait.node.classic import plan as plans
from plait.node.classic.plan import Plan, Policy, Tunnel
from plait.node.netfilter import NetfilterError, command
from plait.node.rules import Family

_KINDS = ("geneve", "vxlan", "veth")
_PREFIX = "ztunnel-"
_NEAR6 = "fe80::1"  # the node's end of the link to its proxy
_USUAL6 = " metric 1024 "  # what `ip` adds to every route of IPv6
_LOOSE = {"rp_filter": "0", "accept_local": "1"}


@dataclass(slots=True)
class Plumbing:
    """One node: `node` and `proxy` are paths of namespaces. `kind` says which tunnel device the kernel gave."""

    node: Path
    proxy: Path
    kind: str = ""

    async def apply(self, *family_plans: Plan) -> list[str]:
        """Make both namespaces as planned, IPv4 first; what had to be changed (empty: nothing)."""
        changed: list[str] = []
        if not netns.exists(self.proxy):
            netns.create(self.proxy)
            changed.append("namespace")
        changed += await self._links(family_plans)
        for plan in family_plans:
            for path in (self.node, self.proxy):
                for name, members in plan.sets.items():
                    if await _set(path, name, members, plan.family):
                        changed.append(f"{name} in {path.name}")
            for path, policies, routes, wanted in self._wanted(plan):
                if await netfilter.apply(path, wanted, plan.family, prefix=_PREFIX):
                    changed.append(f"rules of IPv{plan.family} in {path.name}")
                changed += await _routes(path, routes, plan.family)
                changed += await _policies(path, policies, plan.family)
        return changed

    async def remove(self, *families: Family) -> None:
        """Nothing of it is left."""
        for family in families:
            ip = f"-{family}"
            for policy in plans.NODE_POLICIES:
                await _quietly(self.node, "ip", ip, "rule", "del", "priority", str(policy.priority))
            for table in (100, 101, 102):
                await _quietly(self.node, "ip", ip, "route", "flush", "table", str(table))
            await netfilter.apply(self.node, rules.NONE, family, prefix=_PREFIX)
            for sets in (plans.SETS, plans.NAMES):
                await _quietly(self.node, "ipset", "destroy", sets[family])
        for name in (*(tunnel.node for tunnel in plans.TUNNELS), plans.VETH):
            await _quietly(self.node, "ip", "link", "del", name)
        netns.remove(self.proxy)

    async def resumed(self, plan: Plan) -> Plan:
        """With the pods captured now: those of the node's sets, and those guarded still though a set was flushed."""
        chains = rules.parse(await netfilter.saved(self.node, plan.family)).get("filter", {})
        guards = {
            chain: {line.split()[1].partition("/")[0] for line in chains.get(chain, ()) if line.startswith("-s ")}
            for chain in ("ztunnel-INPUT", "ztunnel-FORWARD")
        }
        pods, names = [await _members(self.node, name) for name in plan.sets]
        return replace(plan, pods=pods | guards["ztunnel-FORWARD"], names=names | guards["ztunnel-INPUT"])

    def _wanted(
        self, plan: Plan
    ) -> tuple[tuple[Path, tuple[Policy, ...], dict[int, tuple[str, ...]], rules.Rules], ...]:
        return (
            (self.proxy, plans.PROXY_POLICIES, plans.proxy_routes(plan.family), plans.proxy_rules(plan)),
            (self.node, plans.NODE_POLICIES, plans.node_routes(plan), plans.node_rules(plan)),
        )

    async def _links(self, family_plans: tuple[Plan, ...]) -> list[str]:
        changed = []
        here = await _link_names(self.node)
        if plans.VETH not in here or "eth0" not in await _link_names(self.proxy):
            await _quietly(self.node, "ip", "link", "del", plans.VETH)
            await self._veth(family_plans)
            changed.append("veth")
        there = await _link_names(self.proxy)
        for tunnel in plans.TUNNELS:
            if tunnel.node not in here or tunnel.proxy not in there or "veth" in changed:
                await self._tunnel(family_plans, tunnel)
                changed.append(tunnel.node)
        return changed

    async def _veth(self, family_plans: tuple[Plan, ...]) -> None:
        await command(self.node, "ip", "link", "add", plans.VETH, "type", "veth", "peer", "name", "eth0",
                      "netns", str(self.proxy))  # fmt: skip
        await _batch(self.proxy, "link set lo up", "link set eth0 up")
        await _batch(self.node, f"link set {plans.VETH} up")
        for plan in family_plans:
            # A node answers for its own address on any link in IPv4; its neighbours of IPv6 ask for that link's.
            gateway, own = (
                (plan.node, []) if plan.family == 4 else (_NEAR6, [f"address replace {_NEAR6}/64 dev {plans.VETH}"])
            )
            to = f"{plan.proxy}/{plan.length}"
            await _batch(self.node, *own, f"route replace {to} dev {plans.VETH} src {plan.node}", family=plan.family)
            await _batch(
                self.proxy,
                f"address replace {to} dev eth0{_at_once(plan.family)}",
                f"route replace default via {gateway} dev eth0 onlink",
                family=plan.family,
            )
        await _sysctl(self.node, {f"ipv4/conf/{plans.VETH}/{key}": value for key, value in _LOOSE.items()})
        await _sysctl(
            self.proxy,
            {
                **{
                    f"ipv4/conf/{name}/{key}": v
                    for name in ("all", "default", "eth0", "lo")
                    for key, v in _LOOSE.items()
                },
                "ipv4/ip_local_port_range": plans.LOCAL_PORTS,
            },
        )

    async def _tunnel(self, family_plans: tuple[Plan, ...], tunnel: Tunnel) -> None:
        plan = family_plans[0]  # tunnels of either family's packets are of IPv4
        ends = ((self.node, tunnel.node, plan.proxy, plan.node), (self.proxy, tunnel.proxy, plan.node, plan.proxy))
        for path, name, _, _ in ends:
            await _quietly(path, "ip", "link", "del", name)
        for kind in (self.kind,) if self.kind else _KINDS:
            try:
                if kind == "veth":
                    await command(self.node, "ip", "link", "add", tunnel.node, "type", "veth", "peer", "name",
                                  tunnel.proxy, "netns", str(self.proxy))  # fmt: skip
                else:
                    number, port = str(tunnel.number), str(plans.TUNNEL_PORT)
                    for path, name, remote, local in ends:
                        more = ("local", local) if kind == "vxlan" else ()
                        await command(path, "ip", "link", "add", name, "type", kind, "id", number, "remote", remote,
                                      *more, "dstport", port)  # fmt: skip
            except NetfilterError:
                if kind == _KINDS[-1] or self.kind:
                    raise
                continue
            self.kind = kind
            break
        for path, name, _, _ in ends:
            for each in family_plans:
                of_end = tunnel.node_address if path == self.node else tunnel.proxy_address
                address = f"{of_end(each.family)}/{each.length - 2} dev {name}{_at_once(each.family)}"
                await _batch(path, f"address replace {address}", family=each.family)
            await _batch(path, f"link set {name} up")
            await _sysctl(path, {f"ipv4/conf/{name}/{key}": value for key, value in _LOOSE.items()})


async def _set(path: Path, name: str, wanted: frozenset[str], family: Family) -> bool:
    kind = ("hash:ip", "family", "inet6") if family == 6 else ("hash:ip",)
    await command(path, "ipset", "create", "-exist", name, *kind)
    there = await _members(path, name)
    lines = [f"add -exist {name} {pod}" for pod in sorted(wanted - there)]
    lines += [f"del -exist {name} {pod}" for pod in sorted(there - wanted)]
    if lines:
        await command(path, "ipset", "restore", stdin="\n".join([*lines, ""]))
    return bool(lines)


def _at_once(family: Family) -> str:
    """Nobody else has our addresses: they need not wait until that is found out."""
    return " nodad" if family == 6 else ""


async def _members(path: Path, name: str) -> frozenset[str]:
    try:
        saved = await command(path, "ipset", "save", name)
    except NetfilterError:
        return frozenset()
    return frozenset(line.split()[2] for line in saved.splitlines() if line.startswith("add "))


async def _link_names(path: Path) -> set[str]:
    shown = await command(path, "ip", "-brief", "link")
    return {line.split()[0].partition("@")[0] for line in shown.splitlines() if line}


async def _routes(path: Path, wanted: dict[int, tuple[str, ...]], family: Family) -> list[str]:
    changed = []
    for table, routes in wanted.items():
        try:
            shown = await command(path, "ip", f"-{family}", "route", "show", "table", str(table))
        except NetfilterError:  # a table without routes does not exist
            shown = ""
        there = {
            " ".join(line.replace(_USUAL6, " ").replace(" pref medium", "").split()) for line in shown.splitlines()
        }
        lines = [f"route del {line} table {table}" for line in sorted(there - set(routes))]
        # What is on the link first: the default route needs its gateway.
        missing = sorted(set(routes) - there, key=lambda line: line.startswith("default"))
        lines += [f"route replace {line} table {table}" for line in missing]
        if lines:
            await _batch(path, *lines, family=family)
            changed.append(f"table {table} of IPv{family} in {path.name}")
    return changed


async def _policies(path: Path, wanted: tuple[Policy, ...], family: Family) -> list[str]:
    changed = []
    ip = ("ip", f"-{family}", "rule")
    shown = (await command(path, *ip, "show")).splitlines()
    for policy in wanted:
        mark = f"fwmark {policy.mark} " if policy.mark else ""
        line = f"{policy.priority}: from all {mark}{policy.action}"
        there = [" ".join(each.split()) for each in shown if each.startswith(f"{policy.priority}:")]
        if there == [line]:
            continue
        for _ in there:
            await command(path, *ip, "del", "priority", str(policy.priority))
        await command(path, *ip, "add", "priority", str(policy.priority), *mark.split(), *policy.action.split())
        changed.append(f"rule {policy.priority} of IPv{family} in {path.name}")
    return changed


async def _batch(path: Path, *lines: str, family: Family = 4) -> None:
    await command(path, "ip", f"-{family}", "-batch", "-", stdin="\n".join([*lines, ""]))


async def _quietly(path: Path, *words: str) -> None:
    try:
        await command(path, *words)
    except NetfilterError:
        return  # it was not there


async def _sysctl(path: Path, values: dict[str, str]) -> None:
    def write() -> None:
        for key, value in values.items():
            Path("/proc/sys/net", key).write_text(value)

    await asyncio.to_thread(netns.call, path, write)

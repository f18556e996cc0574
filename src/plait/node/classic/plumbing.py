"""Puts the classic capture's links, routes, rules and address sets into two namespaces; compares; takes them out.

What they must hold is `plan`'s answer. Everything is safe to repeat and repairs what differs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from plait.base import netns
from plait.node import netfilter, rules
from plait.node.classic import plan as plans
from plait.node.classic.plan import Plan, Policy, Tunnel
from plait.node.netfilter import NetfilterError, command

_KINDS = ("geneve", "vxlan", "veth")
_PREFIX = "ztunnel-"
_LOOSE = {"rp_filter": "0", "accept_local": "1"}


@dataclass(slots=True)
class Plumbing:
    """One node: `node` and `proxy` are paths of namespaces. `kind` says which tunnel device the kernel gave."""

    node: Path
    proxy: Path
    kind: str = ""

    async def apply(self, plan: Plan) -> list[str]:
        """Make both namespaces as planned; what had to be changed (empty: nothing)."""
        changed: list[str] = []
        if not netns.exists(self.proxy):
            netns.create(self.proxy)
            changed.append("namespace")
        changed += await self._links(plan)
        for path in (self.node, self.proxy):
            if await self._set(path, plan):
                changed.append(f"ipset in {path.name}")
        for path, policies, routes, wanted in self._wanted(plan):
            if await netfilter.apply(path, wanted, prefix=_PREFIX):
                changed.append(f"iptables in {path.name}")
            changed += await _routes(path, routes)
            changed += await _policies(path, policies)
        return changed

    async def remove(self) -> None:
        """Nothing of it is left."""
        for policy in plans.NODE_POLICIES:
            await _quietly(self.node, "ip", "rule", "del", "priority", str(policy.priority))
        for table in (100, 101, 102):
            await _quietly(self.node, "ip", "route", "flush", "table", str(table))
        await netfilter.apply(self.node, rules.NONE, prefix=_PREFIX)
        await _quietly(self.node, "ipset", "destroy", plans.SET)
        for name in (*(tunnel.node for tunnel in plans.TUNNELS), plans.VETH):
            await _quietly(self.node, "ip", "link", "del", name)
        netns.remove(self.proxy)

    async def addresses(self) -> frozenset[str]:
        """Pods captured now: those of the node's set, and those still guarded though somebody flushed the set."""
        chains = rules.parse(await netfilter.saved(self.node)).get("filter", {})
        guarded = {
            line.split()[1].partition("/")[0] for line in chains.get("ztunnel-FORWARD", ()) if line.startswith("-s ")
        }
        return await _members(self.node) | guarded

    def _wanted(
        self, plan: Plan
    ) -> tuple[tuple[Path, tuple[Policy, ...], dict[int, tuple[str, ...]], rules.Rules], ...]:
        return (
            (self.proxy, plans.PROXY_POLICIES, plans.proxy_routes(), plans.proxy_rules(plan)),
            (self.node, plans.NODE_POLICIES, plans.node_routes(plan), plans.node_rules(plan)),
        )

    async def _links(self, plan: Plan) -> list[str]:
        changed = []
        here = await _link_names(self.node)
        if plans.VETH not in here or "eth0" not in await _link_names(self.proxy):
            await _quietly(self.node, "ip", "link", "del", plans.VETH)
            await self._veth(plan)
            changed.append("veth")
        there = await _link_names(self.proxy)
        for tunnel in plans.TUNNELS:
            if tunnel.node not in here or tunnel.proxy not in there or "veth" in changed:
                await self._tunnel(plan, tunnel)
                changed.append(tunnel.node)
        return changed

    async def _veth(self, plan: Plan) -> None:
        await command(self.node, "ip", "link", "add", plans.VETH, "type", "veth", "peer", "name", "eth0",
                      "netns", str(self.proxy))  # fmt: skip
        await _batch(
            self.proxy,
            "link set lo up",
            f"address replace {plan.proxy}/32 dev eth0",
            "link set eth0 up",
            f"route replace default via {plan.node} dev eth0 onlink",
        )
        await _batch(
            self.node, f"link set {plans.VETH} up", f"route replace {plan.proxy}/32 dev {plans.VETH} src {plan.node}"
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

    async def _tunnel(self, plan: Plan, tunnel: Tunnel) -> None:
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
        addresses = (tunnel.node_address, tunnel.proxy_address)
        for (path, name, _, _), address in zip(ends, addresses, strict=True):
            await _batch(path, f"address replace {address}/30 dev {name}", f"link set {name} up")
            await _sysctl(path, {f"ipv4/conf/{name}/{key}": value for key, value in _LOOSE.items()})

    async def _set(self, path: Path, plan: Plan) -> bool:
        await command(path, "ipset", "create", "-exist", plans.SET, "hash:ip")
        there = await _members(path)
        lines = [f"add -exist {plans.SET} {pod}" for pod in sorted(plan.pods - there)]
        lines += [f"del -exist {plans.SET} {pod}" for pod in sorted(there - plan.pods)]
        if lines:
            await command(path, "ipset", "restore", stdin="\n".join([*lines, ""]))
        return bool(lines)


async def _members(path: Path) -> frozenset[str]:
    try:
        saved = await command(path, "ipset", "save", plans.SET)
    except NetfilterError:
        return frozenset()
    return frozenset(line.split()[2] for line in saved.splitlines() if line.startswith("add "))


async def _link_names(path: Path) -> set[str]:
    shown = await command(path, "ip", "-brief", "link")
    return {line.split()[0].partition("@")[0] for line in shown.splitlines() if line}


async def _routes(path: Path, wanted: dict[int, tuple[str, ...]]) -> list[str]:
    changed = []
    for table, routes in wanted.items():
        try:
            shown = await command(path, "ip", "route", "show", "table", str(table))
        except NetfilterError:  # a table without routes does not exist
            shown = ""
        there = {" ".join(line.split()) for line in shown.splitlines()}
        lines = [f"route del {line} table {table}" for line in sorted(there - set(routes))]
        # What is on the link first: the default route needs its gateway.
        missing = sorted(set(routes) - there, key=lambda line: line.startswith("default"))
        lines += [f"route replace {line} table {table}" for line in missing]
        if lines:
            await _batch(path, *lines)
            changed.append(f"table {table} in {path.name}")
    return changed


async def _policies(path: Path, wanted: tuple[Policy, ...]) -> list[str]:
    changed = []
    shown = (await command(path, "ip", "rule", "show")).splitlines()
    for policy in wanted:
        mark = f"fwmark {policy.mark} " if policy.mark else ""
        line = f"{policy.priority}: from all {mark}{policy.action}"
        there = [" ".join(each.split()) for each in shown if each.startswith(f"{policy.priority}:")]
        if there == [line]:
            continue
        for _ in there:
            await command(path, "ip", "rule", "del", "priority", str(policy.priority))
        await command(
            path, "ip", "rule", "add", "priority", str(policy.priority), *mark.split(), *policy.action.split()
        )
        changed.append(f"rule {policy.priority} in {path.name}")
    return changed


async def _batch(path: Path, *lines: str) -> None:
    await command(path, "ip", "-batch", "-", stdin="\n".join([*lines, ""]))


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

"""`plait trace-path CLIENT SERVER`: one live connection, walked step by step with the kernel's and Envoy's counters.

The connection is made from inside the client pod; counters are read before and after it. Other traffic of the same
moment counts too, so a quiet mesh gives the clearest picture. What it prints was measured; it changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from plait.base import netns
from plait.cli import output
from plait.cli.connect import connected
from plait.local.addresses import IPV4, IPV6
from plait.local.layout import Layout
from plait.local.record import load
from plait.node.classic import plan
from plait.node.rules import Family
from plait.resources import kinds

app = typer.Typer(add_completion=False, rich_markup_mode=None)
Step = dict[str, str]
_FAMILIES: dict[str, Family] = {IPV4: 4, IPV6: 6}


@app.command("trace-path")
def trace_path(
    client: Annotated[str, typer.Argument(help="The client pod: namespace/name or app=LABEL.")],
    server: Annotated[str, typer.Argument(help="The server pod: namespace/name or app=LABEL.")],
    port: Annotated[int, typer.Option(help="Port; 0 takes the server's first declared one, else 80.")] = 0,
    family: Annotated[
        str, typer.Option(help="By which address of the server: IPv4 or IPv6; by default the mesh's first.")
    ] = "",
    name: Annotated[str, typer.Option(help="Name of the mesh.")] = "default",
    form: Annotated[str, output.option("table", "json")] = "table",
) -> int:
    """Make one connection and show at each step what the kernel and the proxies counted. Of meshes of root only."""
    if family not in ("", *_FAMILIES):
        print(f"plait trace-path: --family {family}: say {' or '.join(_FAMILIES)}", file=sys.stderr)
        return 2
    layout = Layout.of(name)
    if (record := load(layout)) is None:
        print(f"plait trace-path: no mesh {name!r}: start one with plait up", file=sys.stderr)
        return 1
    if record.rootless:
        text = (
            f"mesh {name!r} has its namespaces to itself (it was not started by root); see plait explain, plait status"
        )
        print(f"plait trace-path: {text}", file=sys.stderr)
        return 1
    family = family or record.ip_families[0]
    try:
        steps, answered = asyncio.run(_trace(layout, client, server, port, _FAMILIES[family]))
    except (LookupError, OSError) as error:
        print(f"plait trace-path: {error}", file=sys.stderr)
        return 1
    if form == "json":
        print(json.dumps({"answered": answered, "steps": steps}, indent=1))
    else:
        for number, step in enumerate(steps, start=1):
            print(f"{number:2}  {step['step']}  [{step['where']}]")
            for line in step["evidence"].splitlines():
                print(f"      {line}")
        print("the connection was " + ("established" if answered else "NOT established"))
    return 0 if answered else 1


async def _trace(layout: Layout, client: str, server: str, port: int, family: Family) -> tuple[list[Step], bool]:
    async with connected(layout) as scene:
        pods, _ = await scene.api.list(kinds.POD)
    source, target = _find(pods, client), _find(pods, server)
    declared = [p["containerPort"] for c in target["spec"]["containers"] for p in c.get("ports") or ()]
    port = port or (declared[0] if declared else 80)
    spaces, to = _spaces(layout, source, target), _address(target, family)
    before = {label: _counted(path, family) for label, path in spaces.items()}
    answered = await asyncio.to_thread(netns.call, spaces["client pod"], _dial, to, port)
    after = {label: _counted(path, family) for label, path in spaces.items()}
    classic = "client proxy" in spaces
    steps = _members(spaces, source, target, family) if classic else []
    for label in spaces:
        moved = [
            f"{rule}   {before[label].get(rule, 0)} -> {count}"
            for rule, count in after[label].items()
            if count > before[label].get(rule, 0)
        ]
        if moved:
            steps.append({"step": "rules that matched", "where": label, "evidence": "\n".join(moved)})
        steps += _routes(label, spaces[label], to) if classic and "node" in label else []
    if classic:
        steps += [_link(label, spaces[label]) for label in ("client node", "server node")]
    for side, pod in (("client", source), ("server", target)):
        steps.append(_proxy(layout, side, pod["spec"]["nodeName"]))
    return steps, answered


def _find(pods: list[dict[str, Any]], wanted: str) -> dict[str, Any]:
    space, _, name = wanted.partition("/")
    for pod in pods:
        meta = pod["metadata"]
        labelled = wanted.startswith("app=") and (meta.get("labels") or {}).get("app") == wanted[4:]
        if (labelled or (meta["namespace"], meta["name"]) == (space, name)) and pod.get("status", {}).get("podIP"):
            return pod
    raise LookupError(f"no running pod {wanted!r}: say namespace/name or app=LABEL; see plait get pods -A")


def _address(pod: dict[str, Any], family: Family) -> str:
    addresses = [each["ip"] for each in pod["status"].get("podIPs") or ()]
    found = next((address for address in addresses if (":" in address) == (family == 6)), "")
    if not found:
        meta = pod["metadata"]
        text = f"pod {meta['namespace']}/{meta['name']} has no IPv{family} address: see plait up --ip-families"
        raise LookupError(text)
    return found


def _spaces(layout: Layout, source: dict[str, Any], target: dict[str, Any]) -> dict[str, Path]:
    """The namespaces the connection passes, in its order."""
    near, far = source["spec"]["nodeName"], target["spec"]["nodeName"]
    found = {
        "client pod": layout.pod_netns(source["metadata"]["uid"]),
        "client node": layout.netns(near),
        "client proxy": layout.netns(f"{near}-zt"),
        "server node": layout.netns(far),
        "server proxy": layout.netns(f"{far}-zt"),
        "server pod": layout.pod_netns(target["metadata"]["uid"]),
    }
    return {label: path for label, path in found.items() if netns.exists(path)}


def _dial(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as made:
        made.settimeout(3)
        try:
            made.connect((address, port))
            made.sendall(b"\r\n")
            made.settimeout(0.5)
            made.recv(1)
        except TimeoutError:
            return bool(made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1)
        except OSError:
            return False
        return True


def _run(path: Path, *words: str) -> str:
    done = subprocess.run(["nsenter", f"--net={path}", *words], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip()


def _counted(path: Path, family: Family) -> dict[str, int]:
    """Packets of every rule of ours: `table chain rule` -> count."""
    found: dict[str, int] = {}
    table = ""
    for line in _run(path, "iptables-save" if family == 4 else "ip6tables-save", "-c").splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("["):
            counters, _, rule = line[1:].partition("] -A ")
            if rule.startswith(("ztunnel-", "ISTIO_")):
                found[f"{table} {rule}"] = int(counters.partition(":")[0])
    return found


def _members(spaces: dict[str, Path], source: dict[str, Any], target: dict[str, Any], family: Family) -> list[Step]:
    found, name = [], plan.SETS[family]
    for label, pod in (("client node", source), ("server node", target)):
        said = _run(spaces[label], "ipset", "test", name, _address(pod, family))
        found.append({"step": f"address in ipset {name}", "where": label, "evidence": said})
    return found


def _routes(label: str, path: Path, address: str) -> list[Step]:
    mark = ("mark", "0x100") if label == "client node" else ()
    words = ("ip", "route", "get", address, *mark)
    return [{"step": " ".join(words), "where": label, "evidence": _run(path, *words)}]


def _link(label: str, path: Path) -> Step:
    name = (plan.OUTWARD if label == "client node" else plan.IN).node
    shown = _run(path, "ip", "-d", "-s", "link", "show", name)
    return {"step": f"tunnel device {name}", "where": label, "evidence": shown}


def _proxy(layout: Layout, side: str, node: str) -> Step:
    socket_file = layout.node(node) / "admin.sock"
    shown = subprocess.run(
        ["curl", "-s", "--unix-socket", str(socket_file), "http://envoy/stats?filter=^listener.*downstream_cx_total$"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    lines = [line for line in shown.splitlines() if any(word in line for word in ("outbound", "hbone", "inbound"))]
    return {"step": "Envoy listeners", "where": f"{side}'s proxy, {node}", "evidence": "\n".join(lines) or "no answer"}

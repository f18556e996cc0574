"""Writes a run down: raw data as CSV, charts as SVG, and a page of Markdown that says where the savings hold."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from plait.trial.bench_fuse import figures as reckoning
from plait.trial.bench_fuse.blocks import IDLE
from plait.trial.bench_fuse.charts import Bar, bars
from plait.trial.bench_fuse.day2 import Done, saving
from plait.trial.bench_fuse.figures import BASE, SHARES, SIDECARS, TARGETS, Run, Saving
from plait.trial.bench_fuse.meter import BESIDE, PROXIES
from plait.trial.bench_fuse.statistics import CONFIDENCE, Interval, mean, percentile
from plait.trial.bench_fuse.tasks import APPS
from plait.trial.bench_fuse.worlds import State

Row = Sequence[object]
_FEW = 8
"""Blocks below which bounds are told to be coarse."""
_TARGET_PODS = 10


def write(folder: Path, states: Sequence[State], runs: Sequence[Run], done: Sequence[Done], machine: str) -> Path:
    """Everything below `folder`; gives the page."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables(runs, done).items():
        (folder / name).write_bytes(_csv(rows, packed=name.endswith(".gz")))
    drawn = {name: svg for run in runs for name, svg in charts(run).items()}
    for name, svg in drawn.items():
        (folder / name).write_text(svg)
    page = folder / "report.md"
    page.write_text(markdown(states, runs, done, machine))
    return page


def tables(runs: Sequence[Run], done: Sequence[Done]) -> dict[str, list[Row]]:
    """Raw data, with a head each: all figures of the page can be made again from them."""
    blocks: list[Row] = [
        (
            *("pods_per_node", "state", "case", "block", "rate", "seconds", "requests", "answered", "unsent", "lost"),
            *("lag_p99_s", "kept", *(f"latency_p{share * 100:.0f}_s" for share in SHARES)),
            *(f"cpu_s_{part.replace(' ', '_')}" for part in (*PROXIES, *BESIDE)),
        )
    ]
    latencies: list[Row] = [("pods_per_node", "state", "case", "block", "latency_s")]
    memory: list[Row] = [
        ("pods_per_node", "state", "block", "part", "node", "processes", "private", "shared", "proportional")
    ]
    for run in runs:
        for b in run.blocks:
            shares = [percentile(b.latencies, share) for share in SHARES]
            head = (run.pods, b.state, b.case, b.number)
            counts = (b.rate, b.seconds, b.requests, len(b.latencies), b.unsent, b.lost, b.lag99, int(b.kept))
            blocks.append((*head, *counts, *shares, *(b.cpu[part] for part in (*PROXIES, *BESIDE))))
            latencies += [(*head, f"{each:.6f}") for each in b.latencies]
        for state, number, each in run.memory:
            sizes = (each.processes, each.private, each.shared, each.proportional)
            memory.append((run.pods, state, number, each.part, each.node, *sizes))
    tasks: list[Row] = [
        ("task", "way", "commands", "pods_restarted", "proxies_replaced", "lost", "requests", "seconds")
    ]
    tasks += [(d.task, d.way, len(d.commands), d.restarted, d.replaced, d.lost, d.requests, d.seconds) for d in done]
    return {"blocks.csv": blocks, "latencies.csv.gz": latencies, "memory.csv": memory, "operations.csv": tasks}


def _csv(rows: Iterable[Row], *, packed: bool) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    data = text.getvalue().encode()
    return gzip.compress(data, mtime=0) if packed else data


def charts(run: Run) -> dict[str, str]:
    """File name -> SVG."""
    found, saved = reckoning.figures(run), reckoning.savings(run)
    drawn = {}
    for case in run.cases:
        name = f"{run.pods}-{case.replace(' ', '-')}"
        rows = [each for each in found if each.case == case]
        drawn[f"cpu-{name}.svg"] = bars(
            f"CPU per request, {case}, {run.pods} pods a node",
            "µs",
            [
                Bar(
                    each.state,
                    tuple(each.cpu[part].value * 1e6 for part in PROXIES),
                    each.proxies.low * 1e6,
                    each.proxies.high * 1e6,
                )
                for each in rows
            ],
            names=PROXIES,
        )
        drawn[f"latency-{name}.svg"] = bars(
            f"Added latency, {case}, {run.pods} pods a node",
            "ms",
            [
                _interval_bar(f"{each.state} p{share * 100:.0f}", each.added[share], 1e3)
                for each in rows
                if each.state != BASE
                for share in SHARES[:2]
            ],
        )
        for what, target in TARGETS.items():
            if what != "memory":
                shown = [each for each in saved if (each.case, each.what) == (case, what)]
                drawn[f"saving-{what}-{name}.svg"] = _saving_chart(f"Saving of {what}, {case}", shown, target)
    shown = [each for each in saved if each.what == "memory"]
    drawn[f"saving-memory-{run.pods}.svg"] = _saving_chart("Saving of proxy memory", shown, TARGETS["memory"])
    memory = [(state, reckoning.proxy_memory(run, state)) for state in run.states if state != BASE]
    drawn[f"memory-{run.pods}.svg"] = bars(
        f"Memory of all proxies on two nodes, {run.pods} pods a node",
        "MB",
        [_interval_bar(state, mean(values), 1e-6) for state, values in memory],
    )
    return drawn


def _saving_chart(title: str, shown: Sequence[Saving], target: float) -> str:
    rows = [_interval_bar(each.state, each.found, 100.0) for each in shown]
    return bars(f"{title} against a sidecar in every pod", "%", rows, target=target * 100)


def _interval_bar(label: str, found: Interval, unit: float) -> Bar:
    return Bar(label, (found.value * unit,), found.low * unit, found.high * unit)


def markdown(states: Sequence[State], runs: Sequence[Run], done: Sequence[Done], machine: str) -> str:
    return "\n".join(_page(states, runs, done, machine)) + "\n"


def _page(states: Sequence[State], runs: Sequence[Run], done: Sequence[Done], machine: str) -> Iterator[str]:
    yield "# What a mesh costs: sidecars, L4, waypoints"
    yield ""
    yield f"Written by `plait bench fuse` on {machine}."
    yield ""
    yield from _table(("state", "is"), [(each.key, each.title) for each in states])
    yield (
        "Each state is a mesh of its own with the same pods, services, pairs and policies; all take turns in blocks. "
        f"Brackets are the bounds of {CONFIDENCE:.0%} confidence (bootstrap over blocks). A saving is against "
        f"{SIDECARS}; a target counts as reached by its lower bound only. CPU is of the Envoys ({', '.join(PROXIES)}), "
        "from the scheduler's account of each thread (`/proc/PID/task/*/schedstat`); node agents (with kubelet, "
        "service proxy and DNS: one process in the local runtime) and the control plane are shown apart. Memory: "
        "private pages of every proxy, and on each node one copy of the pages they share. Latency is counted from when "
        "a request was due. A node proxy that no pod uses (M0, M1) is left out: such a mesh would not install one."
    )
    for run in runs:
        yield from _of(run, {each.key: each for each in states})
    if done:
        yield from _operations(done)


def _of(run: Run, states: dict[str, State]) -> Iterator[str]:
    found, saved = reckoning.figures(run), reckoning.savings(run)
    count = max((each.blocks for each in found), default=0)
    yield ""
    yield f"## {run.pods} pods a node, {run.rate:.0f} requests a second"
    yield ""
    yield f"{count} blocks of each state and load." + (
        " **So few that the bounds are coarse: this shows that the experiment runs, not what a mesh costs.**"
        if count < _FEW
        else ""
    )
    for state, reason in run.skipped.items():
        yield f"\n**{state} was not measured**: {reason}"
    yield from _verdicts(run, states, saved)
    for case in run.cases:
        name = f"{run.pods}-{case.replace(' ', '-')}"
        rows = [each for each in found if each.case == case]
        yield ""
        yield f"### {case}"
        yield ""
        yield from _table(
            ("state", "p50 ms", "p90 ms", "p99 ms", "added p50 ms", "added p90 ms", "lost", "rate kept"),
            [
                (
                    each.state,
                    *(_interval(each.latency[share], 1e3, 2) for share in SHARES),
                    *("" if each.state == BASE else _interval(each.added[share], 1e3, 2) for share in SHARES[:2]),
                    f"{each.lost} of {each.requests}",
                    f"{each.kept} of {each.blocks} blocks",
                )
                for each in rows
            ],
        )
        if any(each.kept < each.blocks for each in rows):
            yield (
                "The generator could not keep the rate or its own times in some blocks: latencies there are those of a "
                "machine that is too busy, in whatever state.\n"
            )
        yield from _table(
            ("state", "proxy CPU µs a request", *(f"{part} µs" for part in (*PROXIES, *BESIDE))),
            [
                (
                    each.state,
                    _interval(each.proxies, 1e6, 0),
                    *(f"{each.cpu[part].value * 1e6:.0f}" for part in (*PROXIES, *BESIDE)),
                )
                for each in rows
            ],
        )
        yield f"![CPU](cpu-{name}.svg)\n\n![latency](latency-{name}.svg)"
        for what in TARGETS:
            if what != "memory":
                yield f"\n![saving of {what}](saving-{what}-{name}.svg)"
    yield from _memory(run)


def _verdicts(run: Run, states: dict[str, State], saved: Sequence[Saving]) -> Iterator[str]:
    yield ""
    yield "### Where the savings hold"
    yield ""
    yield (
        f"Targets are of states with L7 for at most 10 % of services and {_TARGET_PODS} pods a node or more"
        f"{'' if run.pods >= _TARGET_PODS else ' (not so many here)'}: CPU and memory {TARGETS['cpu']:.0%}, "
        f"added p50 and p90 {TARGETS['p50']:.0%}. Other rows are held against the same numbers, to show where they end."
    )
    yield ""
    rows = []
    for each in saved:
        if each.verdict is None:
            continue
        state = states[each.state]
        meant = state.kind in ("ambient", "waypoint") and actual_share(state, run.pods) <= 0.1 and run.pods >= 10
        percent = f"{_interval(each.found, 100.0, 0)} %"
        aim = f"{TARGETS[each.what]:.0%}{'' if meant else ' (no target here)'}"
        rows.append((each.state, each.what, each.case, percent, aim, f"**{each.verdict}**"))
    yield from _table(("state", "what", "load", "saving", "target", "lower bound says"), rows)


def actual_share(state: State, pods: int) -> float:
    """Services with L7 of all: with few services a share of a tenth is at least one of them."""
    return max(1, round(state.share * 2 * pods)) / (2 * pods) if state.share else 0.0


def _memory(run: Run) -> Iterator[str]:
    yield ""
    yield "### Memory"
    yield ""
    rows = []
    for state in run.states:
        idle = reckoning.idle_cpu(run, state)
        rows.append(
            (
                state,
                _interval(mean(reckoning.proxy_memory(run, state)), 1e-6, 1),
                *(f"{reckoning.private(run, state, part) / 1e6:.1f}" for part in (*PROXIES, *BESIDE)),
                f"{sum(idle[part] for part in PROXIES) * 1e3:.1f}",
                f"{reckoning.break_even(run, state):.1f}" if state not in (BASE, SIDECARS) else "",
            )
        )
    parts = [f"one {part}, private MB" for part in (*PROXIES, *BESIDE)]
    yield from _table(
        ("state", "all proxies MB", *parts, f"proxies {IDLE}, CPU ms a second", "sidecars need less below pods a node"),
        rows,
    )
    yield (
        "The last column is private memory of a node's proxies in sidecars: with fewer pods than that on a node, a "
        "sidecar in each is cheaper in memory.\n"
    )
    yield f"![memory](memory-{run.pods}.svg)\n\n![saving of memory](saving-memory-{run.pods}.svg)"
    capacity = ", ".join(f"{state} {rate:.0f}" for state, rate in run.capacity.items())
    yield f"\nAnswers a second in closed loop, one connection a pair: {capacity}."
    beside = sum(sum(reckoning.idle_cpu(run, state).values()) for state in run.states)
    yield (
        f"\nWithout load the meshes of all states together take {beside * 1e3:.0f} ms of CPU a second (proxies, "
        "agents, control planes): what stands beside every measurement. Fewer fractions are fewer meshes."
    )


def _operations(done: Sequence[Done]) -> Iterator[str]:
    ways = list(dict.fromkeys(each.way for each in done))
    yield ""
    yield "## Day-2 operations"
    yield ""
    yield (
        "Each task was done for real on a small namespace while requests ran, a connection each. Restarted are pods of "
        "applications; proxies replaced are node proxies handed over and pods of waypoints. A command is one that an "
        "operator types; those of kubectl were sent to the API by the bench itself. Time is until it was verified."
    )
    yield ""
    rows = []
    for task in dict.fromkeys(each.task for each in done):
        for each in (each for each in done if each.task == task):
            lost = f"{each.lost} of {each.requests}" if each.requests else ""
            counts = (len(each.commands), each.restarted, each.replaced, lost, f"{each.seconds:.1f}")
            rows.append((task, each.way, *(counts if not each.failed else ("", "", "", "", f"**{each.failed}**"))))
    yield from _table(("task", "way", "commands", "pods restarted", "proxies replaced", "lost", "s"), rows)
    for way in ways:
        mine = [each for each in done if each.way == way and not each.failed]
        commands, restarted = sum(len(each.commands) for each in mine), sum(each.restarted for each in mine)
        missed = sum(each.lost for each in mine)
        yield f"- {way}: {commands} commands, {restarted} pods restarted, {missed} requests lost, in {len(mine)} tasks"
    each_task, whole = saving(done)
    yield (
        f"- Of commands and restarts the ambient way saves {whole:.0%} in all, {each_task:.0%} as the mean over tasks "
        f"(a command and a restart weigh the same; {len(APPS)} applications of one pod each: with more only the "
        "restarts grow). A count of steps, no cost of operations."
    )
    yield ""
    yield "Commands:"
    yield ""
    for each in done:
        yield f"- {each.task} ({each.way}): " + "; ".join(f"`{command}`" for command in each.commands)


def _interval(found: Interval, unit: float, digits: int) -> str:
    value, low, high = (f"{each * unit:.{digits}f}" for each in (found.value, found.low, found.high))
    return f"{value} ({low} to {high})"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(str(cell) for cell in row)} |"
    yield ""

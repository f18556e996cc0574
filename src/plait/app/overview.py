"""The state of a whole mesh from what its parts say of themselves: rows for people, and a list of what is wrong.

Pure: who asks the parts is `cli.status`. A part that did not answer is a problem, never an exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from plait.app.node_api import wanted
from plait.base.wellknown import REDIRECTION
from plait.store.api import Document

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Answers:
    """What was heard. A page is the part's JSON; `silent` says why there is none."""

    nodes: tuple[Document, ...] = ()
    pods: tuple[Document, ...] = ()
    namespaces: tuple[Document, ...] = ()
    agents: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    problems: tuple[dict[str, Any], ...] = ()
    silent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overview:
    processes: Rows
    nodes: Rows
    pods: Rows
    problems: list[str]
    configuration: Rows

    @property
    def healthy(self) -> bool:
        return not self.problems


def survey(names: Iterable[str], processes: Rows, answers: Answers) -> Overview:
    """`names` are the nodes that should be there; `processes` rows may carry a `problem`."""
    wrong = [f"process {row['name']}: {row['problem']}" for row in processes if row.get("problem")]
    wrong += [f"{part} does not answer: {why}" for part, why in sorted(answers.silent.items())]
    nodes = [_node(name, answers, wrong) for name in names]
    pods = _pods(answers, wrong)
    wrong += [_control(problem) for problem in answers.problems if problem.get("severity") == "error"]
    return Overview(processes, nodes, pods, wrong, _configuration(answers))


def _node(name: str, answers: Answers, wrong: list[str]) -> dict[str, Any]:
    document = next((each for each in answers.nodes if each["metadata"]["name"] == name), {})
    conditions = document.get("status", {}).get("conditions") or ()
    ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)
    page = answers.agents.get(name, {})
    link, envoy = page.get("controlPlane") or {}, page.get("envoy") or {}
    pods = page.get("pods") or ()
    if document and not ready:
        wrong.append(f"node {name} is not Ready: see kubectl describe node {name}")
    if not document and "API server" not in answers.silent:
        wrong.append(f"node {name} is not registered at the API server: see its log {name}.log")
    if page and not link.get("connected"):
        wrong.append(f"node {name}: its agent has no control plane since {link.get('since')}: {link.get('reason')}")
    if page and not envoy.get("ready"):
        wrong.append(f"node {name}: Envoy is not ready: see nodes/{name}/envoy.log")
    return {
        "node": name,
        "ready": _yes(ready),
        "control plane": "connected" if link.get("connected") else (link.get("reason") or "unknown"),
        "envoy": f"{envoy.get('pid')}" if envoy.get("ready") else "not ready",
        "restarts": envoy.get("restarts", ""),
        "version": envoy.get("version", ""),
        "captured": f"{sum(pod['captured'] for pod in pods)}/{sum(pod['wanted'] for pod in pods)}" if page else "",
    }


def _pods(answers: Answers, wrong: list[str]) -> Rows:
    """Pods that are enrolled, or captured although they are not."""
    spaces = {each["metadata"]["name"]: each for each in answers.namespaces}
    measured = {pod["uid"]: pod for page in answers.agents.values() for pod in page.get("pods") or ()}
    rows = []
    for document in answers.pods:
        meta = document["metadata"]
        if document.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            continue
        enrolled = wanted(document, spaces.get(meta["namespace"]))
        found = measured.get(meta["uid"])
        announced = (meta.get("annotations") or {}).get(REDIRECTION) == "enabled"
        if not (enrolled or announced or (found and found["captured"])):
            continue
        row = _pod(document, enrolled, found)
        rows.append(row)
        if row["problem"]:
            wrong.append(f"pod {row['pod']}: {row['problem']}")
    return sorted(rows, key=lambda row: str(row["pod"]))


def _pod(document: Document, enrolled: bool, found: dict[str, Any] | None) -> dict[str, Any]:
    meta = document["metadata"]
    certificate = (found or {}).get("certificate") or {}
    problem = str((found or {}).get("problem") or "")
    if not problem and found is None:
        problem = "its node's agent does not know it" if document.get("spec", {}).get("nodeName") else "not scheduled"
    if not problem and found is not None and enrolled != found["captured"] and not meta.get("deletionTimestamp"):
        problem = f"wanted {'in' if enrolled else 'out of'} the mesh, now {found['phase']}"
    return {
        "pod": f"{meta['namespace']}/{meta['name']}",
        "node": document.get("spec", {}).get("nodeName", ""),
        "wanted": "ambient" if enrolled else "none",
        "captured": _yes(bool(found and found["captured"])),
        "identity": certificate.get("identity", ""),
        "certificate until": certificate.get("expires", ""),
        "problem": problem,
    }


def _configuration(answers: Answers) -> Rows:
    """One row a node and type."""
    rows: Rows = []
    for name, page in sorted(answers.agents.items()):
        configuration = page.get("configuration") or {}
        refused = configuration.get("refused") or ()
        for url, state in (configuration.get("types") or {}).items():
            bad = [f"{each['name']}: {each['reason']}" for each in refused if each["type"] == url]
            settled = "waiting" if state.get("waiting") else "accepted" if state.get("subscribed") else "not asked for"
            rows.append(
                {
                    "node": name,
                    "type": url.rpartition(".")[2],
                    "resources": state.get("resources", 0),
                    "state": "refused" if bad else settled,
                    "refused": "; ".join(bad),
                }
            )
    return rows


def _control(problem: dict[str, Any]) -> str:
    what = f"{problem.get('object', '')} {problem.get('path', '')}".strip()
    return f"{what}: {problem.get('message', '')}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"

"""What controllers already said is wrong, in conditions of the objects' status (of a running mesh)."""

from __future__ import annotations

from collections.abc import Iterator

from plait.diagnose.evidence import Document, Evidence, Written, part
from plait.diagnose.messages import say
from plait.resources.problems import Problem

_WAYPOINT = ("WaypointBound",)
_API = ("Accepted", "Programmed", "ResolvedRefs")
_BAD = {
    "Service": _WAYPOINT,
    "ServiceEntry": _WAYPOINT,
    "WorkloadEntry": _WAYPOINT,
    "AuthorizationPolicy": ("ZtunnelAccepted", "WaypointAccepted"),
    "Gateway": _API,
    "HTTPRoute": _API,
    "GRPCRoute": _API,
}


def negative(evidence: Evidence) -> Iterator[Problem]:
    for each in evidence.written:
        for path, condition in _conditions(each):
            name = str(condition.get("type")).removeprefix("istio.io/")
            if name in _BAD.get(each.kind, ()) and condition.get("status") == "False":
                kind, reason = condition.get("type"), condition.get("reason")
                text = f"{kind} is False ({reason}): {condition.get('message') or 'no message'}; mend what it names"
                yield say("IST0171", each, path, text)


def _conditions(each: Written) -> Iterator[tuple[str, Document]]:
    status = part(each.document, "status")
    yield from _listed("status.conditions", status)
    parents = status.get("parents")
    for number, parent in enumerate(parents if isinstance(parents, list) else ()):
        yield from _listed(f"status.parents[{number}].conditions", part({"p": parent}, "p"))


def _listed(path: str, holder: Document) -> Iterator[tuple[str, Document]]:
    found = holder.get("conditions")
    for number, condition in enumerate(found if isinstance(found, list) else ()):
        if isinstance(condition, dict):
            yield f"{path}[{number}]", condition

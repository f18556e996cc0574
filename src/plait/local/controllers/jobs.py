"""Job: pods until `completions` of them succeeded or the limits are reached; conditions, back-off, TTL.

Not here: Indexed completion, pod failure policies, success policies. Such Jobs run as NonIndexed ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from plait.local.controllers import podset
from plait.local.controllers.cluster import Cluster
from plait.local.controllers.controller import Controller, itself, managed_by
from plait.local.controllers.times import seconds, stamp
from plait.local.controllers.writes import Create, Emit, Outcome, Write, remove, status
from plait.resources.kinds import JOB, POD
from plait.store.api import Document
from plait.store.informer import Key

_FIRST_DELAY, _LONGEST_DELAY = 10.0, 360.0
_SOURCE = "job-controller"


def reconcile(job: Document, pods: Sequence[Document], now: float) -> Outcome:
    spec, before = job["spec"], job.get("status") or {}
    if "deletionTimestamp" in job["metadata"]:
        return Outcome()
    if (ended := _ended(before)) is not None:
        return _expire(job, ended, now)
    active = [pod for pod in pods if podset.is_active(pod)]
    failures = [pod for pod in pods if podset.phase(pod) == "Failed"]
    # A finished pod may be deleted by somebody: what was counted once stays counted.
    succeeded = max(int(before.get("succeeded", 0)), sum(podset.phase(pod) == "Succeeded" for pod in pods))
    failed = max(int(before.get("failed", 0)), len(failures))
    fresh: Document = {"conditions": list(before.get("conditions") or ())}
    for name, count in (("succeeded", succeeded), ("failed", failed)):
        if count:
            fresh[name] = count
    if spec.get("suspend"):
        fresh["conditions"] = _with(fresh["conditions"], "Suspended", "JobSuspended", "Job suspended", now)
        stopped: list[Write] = [remove(POD, pod) for pod in active]
        return Outcome((*stopped, *status(JOB, job, fresh)))
    fresh["conditions"] = [c for c in fresh["conditions"] if c["type"] != "Suspended"]
    fresh["startTime"] = before.get("startTime") or stamp(now)
    left = float(spec["activeDeadlineSeconds"]) if spec.get("activeDeadlineSeconds") else None
    if left is not None:
        left -= now - seconds(fresh["startTime"], now)
    restarts = sum(map(_restarts, active)) if _restarts_in_place(job) else 0
    parallelism = int(spec.get("parallelism", 1))
    completions = spec.get("completions")
    done = succeeded >= int(completions) if completions is not None else bool(succeeded) and not active
    if done:
        fresh["completionTime"] = stamp(now)
        fresh["conditions"] = _with(fresh["conditions"], "Complete", "CompletionsReached", "Reached completions", now)
        return Outcome((*status(JOB, job, fresh), Emit(job, "Completed", "Job completed", _SOURCE)))
    if failed + restarts > int(spec.get("backoffLimit", 6)):
        return _fail(job, active, fresh, "BackoffLimitExceeded", "Job has reached the specified backoff limit", now)
    if left is not None and left <= 0:
        return _fail(job, active, fresh, "DeadlineExceeded", "Job was active longer than specified deadline", now)
    wanted = parallelism
    if completions is not None:
        wanted = min(parallelism, int(completions) - succeeded)
    elif succeeded:
        wanted = len(active)  # a work queue: once one pod has finished well, no new ones start
    writes: list[Write] = [remove(POD, pod) for pod in podset.first_to_go(active)[: max(0, len(active) - wanted)]]
    again, missing = left, max(0, wanted - len(active))
    if missing and (delay := _delay(failures, now)) > 0:
        again, missing = min(delay, again) if again is not None else delay, 0
    labels = {
        "batch.kubernetes.io/job-name": job["metadata"]["name"],
        "job-name": job["metadata"]["name"],
        "batch.kubernetes.io/controller-uid": job["metadata"]["uid"],
        "controller-uid": job["metadata"]["uid"],
    }
    pod = podset.pod_from(spec["template"], JOB, job, labels=labels)
    writes += [Create(POD, pod)] * missing
    if active:
        fresh["active"] = len(active)
    if ready := sum(map(podset.is_ready, active)):
        fresh["ready"] = ready
    return Outcome((*writes, *status(JOB, job, fresh)), again)


def _fail(job: Document, active: Sequence[Document], fresh: Document, reason: str, message: str, now: float) -> Outcome:
    fresh["conditions"] = _with(fresh["conditions"], "Failed", reason, message, now)
    writes: list[Write] = [remove(POD, pod) for pod in active]
    return Outcome((*writes, *status(JOB, job, fresh), Emit(job, reason, message, _SOURCE, "Warning")))


def _with(conditions: list[Document], type: str, reason: str, message: str, now: float) -> list[Document]:
    if any(c["type"] == type and c["status"] == "True" for c in conditions):
        return conditions
    made = {"type": type, "status": "True", "reason": reason, "message": message}
    moments = {"lastProbeTime": stamp(now), "lastTransitionTime": stamp(now)}
    return [*(c for c in conditions if c["type"] != type), {**made, **moments}]


def _ended(present: Document) -> float | None:
    for condition in present.get("conditions") or ():
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return seconds(condition.get("lastTransitionTime"))
    return None


def _expire(job: Document, ended: float, now: float) -> Outcome:
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    if ttl is None:
        return Outcome()
    left = ended + float(ttl) - now
    return Outcome((), left) if left > 0 else Outcome((remove(JOB, job),))


def _delay(failures: Sequence[Document], now: float) -> float:
    """10 s after the first failure, then doubling."""
    if not failures:
        return 0.0
    last = max(_finished(pod) for pod in failures)
    return last + min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** (min(len(failures), 10) - 1)) - now


def _finished(pod: Document) -> float:
    ends = [
        seconds(((one.get("state") or {}).get("terminated") or {}).get("finishedAt"))
        for one in (pod.get("status") or {}).get("containerStatuses") or ()
    ]
    return max([*ends, seconds(pod["metadata"].get("creationTimestamp"))])


def _restarts_in_place(job: Document) -> bool:
    return bool((job["spec"]["template"].get("spec") or {}).get("restartPolicy") == "OnFailure")


def _restarts(pod: Document) -> int:
    return sum(int(one.get("restartCount", 0)) for one in (pod.get("status") or {}).get("containerStatuses") or ())


def controller() -> Controller:
    def turn(cluster: Cluster, key: Key, now: float) -> Outcome:
        job = cluster[JOB].cache.get(key)
        return reconcile(job, cluster.controlled(POD, job), now) if job is not None else Outcome()

    return Controller("jobs", {JOB: itself, POD: managed_by(JOB)}, turn)

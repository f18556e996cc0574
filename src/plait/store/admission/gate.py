"""Runs the admission webhooks of one write: mutating ones in turn (some again), validating ones side by side.

What a webhook is asked and what its answer means is `admission`'s; how it is reached is `webhooks`'.
"""

from __future__ import annotations

import asyncio
import uuid

from plait.base.observe import logger
from plait.store.admission import reviews
from plait.store.admission.reviews import MUTATING, VALIDATING, Hook, HookFailed, Request, Verdict
from plait.store.admission.webhooks import Caller, Resolve, resolver
from plait.store.api import Document
from plait.store.ask import Ask
from plait.store.state import State

_GROUP = "admissionregistration.k8s.io"
_NAMESPACES = ("", "namespaces")
_log = logger("admission")


class Gate:
    """The pipeline's `Admission`. With no webhook configuration it costs one look-up."""

    def __init__(self, state: State, resolve: Resolve | None = None) -> None:
        self._state = state
        self._caller = Caller(resolve or resolver(state))

    async def close(self) -> None:
        await self._caller.close()

    async def mutate(self, ask: Ask, operation: str, old: Document | None, new: Document) -> Document:
        """The object as the mutating webhooks want it; the same dict when none changed it."""
        hooks = self._hooks(ask, MUTATING)
        if not hooks:
            return new
        request = await self._mutated(hooks, self._request(ask, operation, old, new), ask)
        assert request.new is not None
        return request.new

    async def validate(self, ask: Ask, operation: str, old: Document | None, new: Document | None) -> None:
        """Raises the first refusal, in the order of the webhooks."""
        if new is None and (deciding := self._hooks(ask, MUTATING)):
            await self._mutated(deciding, self._request(ask, operation, old, None), ask)
        if hooks := self._hooks(ask, VALIDATING):
            request = self._request(ask, operation, old, new)
            wanted = [(hook, version) for hook in hooks if (version := reviews.matches(hook, request)) is not None]
            calls = [self._asked(hook, request, version, mutating=False) for hook, version in wanted]
            verdicts = await asyncio.gather(*calls, return_exceptions=True)
            for verdict in verdicts:
                if isinstance(verdict, BaseException):
                    raise verdict
                _take(verdict, ask)

    async def _mutated(self, hooks: list[Hook], request: Request, ask: Ask) -> Request:
        """One round; then those with reinvocationPolicy IfNeeded once more, if the object changed after their turn."""
        changed_at: dict[tuple[str, str], int] = {}
        changes = 0
        for again in (False, True):
            for hook in hooks:
                if again and not (hook.reinvoked and changed_at.get(hook.key, changes) != changes):
                    continue
                version = reviews.matches(hook, request)
                if version is None:
                    continue
                after = await self._step(hook, request, version, ask)
                changes += after is not request
                changed_at[hook.key] = changes
                request = after
        return request

    async def _step(self, hook: Hook, request: Request, version: str, ask: Ask) -> Request:
        verdict = await self._asked(hook, request, version, mutating=True)
        _take(verdict, ask)
        if not verdict.patch:
            return request
        try:
            after = reviews.patched(hook, request, version, verdict.patch)
        except HookFailed as error:
            self._tolerate(hook, error)
            return request
        return request if after.new == request.new else after

    async def _asked(self, hook: Hook, request: Request, version: str, *, mutating: bool) -> Verdict:
        reviews.check_dry_run(hook, request)
        uid = str(uuid.uuid4())
        try:
            answer = await self._caller.call(hook, reviews.body(hook, request, version, uid))
            return reviews.verdict(hook, answer, uid, mutating=mutating)
        except HookFailed as error:
            self._tolerate(hook, error)
            return Verdict()

    def _tolerate(self, hook: Hook, error: HookFailed) -> None:
        if not hook.ignores_failure:
            raise reviews.failed(hook, error) from error
        _log.warning("webhook failed and is ignored", webhook=hook.name, error=error)

    def _hooks(self, ask: Ask, plural: str) -> list[Hook]:
        records = self._state.list((_GROUP, plural))
        if not records or ask.admitted or reviews.exempt(ask.kind):
            return []
        return reviews.hooks(record.document for record in records)

    def _request(self, ask: Ask, operation: str, old: Document | None, new: Document | None) -> Request:
        return Request(
            kind=ask.kind,
            version=ask.version,
            operation=operation,
            namespace=ask.name if ask.kind.group == "" and ask.kind.plural == "namespaces" else ask.namespace,
            name=ask.name,
            subresource=ask.subresource,
            user=ask.user.document(),
            dry_run=ask.dry_run,
            manager=ask.manager,
            new=new,
            old=old,
            labels=self._labels(ask, old, new),
        )

    def _labels(self, ask: Ask, old: Document | None, new: Document | None) -> dict[str, str] | None:
        """Labels of the request's namespace; a Namespace is judged by its own."""
        if ask.kind.group == "" and ask.kind.plural == "namespaces":
            return dict(((new or old or {}).get("metadata") or {}).get("labels") or {})
        if not ask.kind.namespaced:
            return None
        record = self._state.get(_NAMESPACES, ("", ask.namespace))
        return dict(record.document["metadata"].get("labels") or {}) if record else {}


def _take(verdict: Verdict, ask: Ask) -> None:
    ask.warnings += verdict.warnings
    if verdict.refusal is not None:
        raise verdict.refusal

"""One pod on its way into a namespace: left alone, injected, or refused with what is wrong. What all callers share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from plait.base.wellknown import DEFAULT_ROOT_NAMESPACE
from plait.inject import checks, policy, templates
from plait.inject import pod as pods
from plait.inject.proxying import proxying
from plait.inject.settings import Settings
from plait.inject.unread import unread
from plait.resources import codes, injection
from plait.resources.decode import decode, problem
from plait.resources.kubernetes import Pod
from plait.resources.mesh_config.proxy import ProxyConfig
from plait.resources.networking import proxy_config
from plait.resources.problems import Problem

Document = dict[str, Any]


class Config(Struct, frozen=True):
    """`folder`: where each node keeps the folders of its proxies. `revision`: ours, as `istio.io/rev` names it.

    `defaults` are the mesh's for its proxies (`defaultConfig` of the mesh configuration), `settings` the injector's;
    `proxy_configs` are all ProxyConfig objects.
    """

    folder: str
    revision: str = "default"
    root_namespace: str = DEFAULT_ROOT_NAMESPACE
    defaults: ProxyConfig = ProxyConfig()
    settings: Settings = Settings()
    proxy_configs: tuple[proxy_config.ProxyConfig, ...] = ()


class Outcome(Struct, frozen=True):
    """`document` is the pod as it should be written; with a problem of severity error it must not be written."""

    document: Document
    injected: bool
    reason: str
    problems: tuple[Problem, ...] = ()

    @property
    def refused(self) -> bool:
        return any(each.severity == "error" for each in self.problems)


def inject(document: Document, namespace: str, labels: Mapping[str, str], config: Config) -> Outcome:
    """`labels` are the namespace's. The document is not changed; injected twice is injected once."""
    typed = {"apiVersion": "v1", "kind": "Pod", **document}
    read, problems = decode(typed)
    if not isinstance(read, Pod):
        return Outcome(document, False, "it cannot be read as a pod", problems)
    verdict = policy.verdict(
        document,
        namespace,
        labels,
        revision=config.revision,
        root_namespace=config.root_namespace,
        settings=config.settings,
    )
    if verdict.refused:
        return Outcome(
            document, False, verdict.reason, (problem(typed, codes.BAD_VALUE, verdict.path, verdict.reason),)
        )
    if not verdict.inject:
        return Outcome(document, False, verdict.reason)
    meta, root, own = read.meta, config.root_namespace, config.settings.templates
    wanted = proxying(meta.annotations, config.defaults, config.proxy_configs, namespace, meta.labels, root)
    found = tuple(problem(typed, codes.BAD_VALUE, path, text) for path, text in checks.wrong(document, wanted, own))
    idle = (problem(typed, codes.NOT_TRANSLATED, *each, "warning") for each in unread(meta.annotations))
    found = (*found, *idle)
    if verdict.warning:
        found = (*found, problem(typed, codes.BOTH_MODES, verdict.path, verdict.warning, "warning"))
    outcome = Outcome(document, False, verdict.reason, found)
    if outcome.refused:
        return outcome
    made = pods.inject(document, read, config.folder, config.revision, wanted)
    for name in injection.templates(read.meta.annotations):
        if name in own:
            made = templates.laid(own[name], made)
    made["metadata"]["annotations"] |= config.settings.annotations
    return Outcome(made, True, verdict.reason, found)

"""The controllers of the local runtime: `run` starts them all over one Api and ends when it is cancelled."""

from __future__ import annotations

import asyncio

from plait.base import aio
from plait.local.addresses import AddressPlan
from plait.local.controllers import controller as shell
from plait.local.controllers import (
    daemonsets,
    deployments,
    endpoints,
    events,
    garbage,
    jobs,
    loadbalancers,
    namespaces,
    nodes,
    replicasets,
    scheduler,
    serviceaccounts,
)
from plait.local.controllers.cluster import Cluster
from plait.local.controllers.customkinds import CustomKinds
from plait.store.api import Api


async def run(api: Api, plan: AddressPlan, *, root_ca: bytes) -> None:
    """Run every controller until cancelled. `root_ca` (PEM) goes into each namespace's kube-root-ca.crt."""
    controllers = [
        namespaces.controller(),
        endpoints.controller(),
        loadbalancers.controller(plan),
        deployments.controller(),
        daemonsets.controller(),
        jobs.controller(),
        nodes.controller(),
        replicasets.controller(),
        scheduler.controller(),
        serviceaccounts.controller(root_ca),
    ]
    cluster = Cluster(api, [*garbage.KINDS, *(kind for controller in controllers for kind in controller.kinds)])
    tasks = [aio.spawn(informer.run(), f"informer {kind}") for kind, informer in cluster.informers.items()]
    tasks += [aio.spawn(shell.run(c, cluster), f"controller {c.name}") for c in controllers]
    tasks.append(aio.spawn(CustomKinds(cluster).run(), "custom kinds"))
    tasks.append(aio.spawn(garbage.Collector(cluster).run(), "garbage"))
    tasks.append(aio.spawn(events.run(api), "events"))
    try:
        await asyncio.gather(*tasks)
    finally:
        await aio.cancel(*tasks)

"""Behind which waypoint each service and each instance stands, and what an instance demands of its clients.

Each is looked at by itself, and again when it, its workload or what is around all of them has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from plait.model.compile import activation
from plait.model.compile.memory import Ask, Memory, itself
from plait.model.compile.traffic import instances
from plait.model.compile.traffic.gateway_api.compiling import Objects
from plait.model.compile.traffic.waypoints import Waypoints
from plait.model.gateways import Gateway
from plait.model.http_services import HttpService, Instance
from plait.model.l7 import PeerMode
from plait.model.mesh import Settings, Workload
from plait.resources import kinds
from plait.resources.kubernetes import Pod
from plait.resources.problems import Problem

_PERMISSIVE = PeerMode()


class Standing(NamedTuple):
    """By keys of L7."""

    services: Mapping[str, HttpService]
    instances: Mapping[str, Instance]
    modes: Mapping[str, PeerMode]
    """Without those that demand nothing."""


def standing(
    objects: Objects,
    workloads: Mapping[str, Workload],
    written: Mapping[str, HttpService],
    gateways: Mapping[str, Gateway],
    settings: Settings,
    memory: Memory,
    problems: list[Problem],
) -> Standing:
    namespaces, declared = objects.of(kinds.NAMESPACE), objects.of(kinds.GATEWAY)
    around = memory.step("around-standing", [], lambda _, __: object(), namespaces, declared, gateways)
    policies = objects.of(kinds.PEER_AUTHENTICATION)
    demands = memory.step("demands", [], lambda _, __: instances.Demands(policies.values(), settings), policies)

    def service(_: str, each: HttpService) -> _Service:
        told: list[Problem] = []
        return _Service(_behind(each, Waypoints(namespaces, declared, gateways, told)), tuple(told))

    def instance(uid: str, each: Instance, ask: Ask) -> _Instance:
        workload: Workload | None = ask("workloads", uid)
        if workload is None:
            return _Instance(None, _PERMISSIVE, ())
        told: list[Problem] = []
        labels = dict(each.labels)
        waypoints = Waypoints(namespaces, declared, gateways, told)
        name = waypoints.of_pod(workload.namespace, workload.name, labels)
        stands = msgspec.structs.replace(each, waypoint=name) if name else each
        return _Instance(stands, demands.of(workload.namespace, labels), tuple(told))

    every = _every(objects, workloads, settings, memory)
    services = memory.each("services", written, service, around)
    found = memory.asking("instances", every, instance, {"workloads": workloads}, around, demands)
    for wrong in memory.gathered("wrong-waypoints", (services, _wrong), (found, _wrong)).values():
        problems.extend(wrong)
    return Standing(
        memory.gathered("services", (services, lambda key, each: ((key, each.service),))),
        memory.gathered("instances", (found, _its_instance)),
        memory.gathered("modes", (found, _its_mode)),
    )


class _Service(NamedTuple):
    service: HttpService
    problems: tuple[Problem, ...]


class _Instance(NamedTuple):
    instance: Instance | None
    mode: PeerMode
    problems: tuple[Problem, ...]


def _every(
    objects: Objects, workloads: Mapping[str, Workload], settings: Settings, memory: Memory
) -> Mapping[str, Instance]:
    """By uid, wherever they are; who is no workload too."""

    def pod(_: tuple[str, str], each: Pod) -> Instance | None:
        return instances.pod(each, settings)

    pods = memory.each("pods", objects.of(kinds.POD), pod)
    outside = objects.of(kinds.SERVICE_ENTRY).values()
    others = (
        *instances.entries(objects.of(kinds.WORKLOAD_ENTRY).values(), outside, settings),
        *activation.instances(objects.of(kinds.ENDPOINT_SLICE).values(), workloads, settings),
    )
    return memory.gathered("every", (pods, _its_pod), ({each.uid: each for each in others}, itself))


def _its_pod(_: tuple[str, str], each: Instance | None) -> Iterator[tuple[str, Instance]]:
    if each is not None:
        yield each.uid, each


def _its_instance(uid: str, each: _Instance) -> Iterator[tuple[str, Instance]]:
    if each.instance is not None:
        yield uid, each.instance


def _its_mode(uid: str, each: _Instance) -> Iterator[tuple[str, PeerMode]]:
    if each.mode != _PERMISSIVE:
        yield uid, each.mode


def _wrong(key: str, each: _Service | _Instance) -> Iterator[tuple[str, tuple[Problem, ...]]]:
    if each.problems:
        yield key, each.problems


def _behind(service: HttpService, waypoints: Waypoints) -> HttpService:
    labels = dict(service.labels)
    name = waypoints.of_service(service.kind, service.namespace, service.name, labels)
    ingress = waypoints.of_ingress(service.namespace, labels)
    return msgspec.structs.replace(service, waypoint=name, ingress_waypoint=ingress) if name or ingress else service

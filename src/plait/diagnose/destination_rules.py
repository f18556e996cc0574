"""DestinationRules: is there such a host, do subsets have endpoints, is the server's certificate verified?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from plait.diagnose.evidence import Evidence, Workload
from plait.diagnose.hosts import Hosts, readers
from plait.diagnose.messages import say
from plait.model import hostnames
from plait.model.http_services import HttpService
from plait.resources.kubernetes import Node, Service
from plait.resources.networking.destination_rule import ClientTlsSettings, DestinationRule
from plait.resources.networking.service_entry import ServiceEntry
from plait.resources.problems import Problem

_TOPOLOGY = (
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.istio.io/subzone",
    "kubernetes.io/hostname",
)


def unverified(evidence: Evidence) -> Iterator[Problem]:
    """TLS that is begun without saying whose certificate is expected: the system's authorities decide."""
    for each in evidence.all(DestinationRule):
        policy = each.spec.traffic_policy
        if policy is None:
            continue
        if _trusting(policy.tls, each):
            yield say("IST0128", each, "spec.trafficPolicy.tls.caCertificates", _text(each.spec.host))
        for number, port in enumerate(policy.port_level_settings):
            if _trusting(port.tls, each):
                path = f"spec.trafficPolicy.portLevelSettings[{number}].tls.caCertificates"
                at = port.port.number if port.port is not None else 0
                yield say("IST0129", each, path, _text(f"{each.spec.host}:{at}"))


def _trusting(tls: ClientTlsSettings | None, rule: DestinationRule) -> bool:
    """A credential's authority is read by gateways, and by sidecars only where the rule selects them."""
    if tls is None or tls.mode not in ("SIMPLE", "MUTUAL"):
        return False
    named = tls.credential_name and rule.spec.workload_selector is not None
    return not (tls.ca_certificates or named or tls.insecure_skip_verify)


def _text(host: str) -> str:
    text = f"to sidecars any certificate of a public authority passes for {host}"
    return f"{text}; set caCertificates, or credentialName with a workloadSelector"


def unknown_hosts(evidence: Evidence) -> Iterator[Problem]:
    """Hosts that no service has, or none that the rule's readers see: the rule is about nothing."""
    hosts = Hosts(evidence)
    for each in evidence.all(DestinationRule):
        host = hostnames.full(each.spec.host, each.namespace, evidence.mesh.settings)
        asking = readers(each.spec.export_to, each.namespace)
        if not any(found.seen(asking) for found in hosts.inside(host)):
            text = f"no Service or ServiceEntry that is visible here has the host {host}; create it or mend the name"
            yield say("IST0174", each, "spec.host", text)


def empty_subsets(evidence: Evidence) -> Iterator[Problem]:
    """Subsets whose labels no workload of the service carries: traffic to them fails."""
    services = {each.hostname: each for each in evidence.mesh.l7.services.values()}
    nodes = {each.name: each.meta.labels for each in evidence.all(Node)}
    for each in evidence.all(DestinationRule):
        host = hostnames.full(each.spec.host, each.namespace, evidence.mesh.settings)
        workloads = _behind(evidence, services[host]) if host in services else None
        if workloads is None:
            continue
        for number, subset in enumerate(each.spec.subsets):
            wanted = {key: value for key, value in subset.labels.items() if key not in _TOPOLOGY}
            places = {key: value for key, value in subset.labels.items() if key in _TOPOLOGY}
            if not any(w.carries(wanted) and _placed(w, places, nodes) for w in workloads):
                labels = ", ".join(f"{key}={value}" for key, value in sorted(subset.labels.items()))
                text = f"no workload of {host} carries {labels}, so requests to {subset.name} fail; mend the labels"
                yield say("IST0173", each, f"spec.subsets[{number}].labels", text)


def _behind(evidence: Evidence, service: HttpService) -> list[Workload] | None:
    """Workloads of the service; None when its endpoints are none of ours."""
    if service.kind == "Service":
        written = evidence.objects.all(Service).get((service.namespace, service.name))
        selector: Mapping[str, str] = written.spec.selector if written is not None else {}
        if not selector:
            return None
    else:
        entry = evidence.objects.all(ServiceEntry).get((service.namespace, service.name))
        if entry is None or entry.spec.workload_selector is None:
            return None
        selector = entry.spec.workload_selector.labels
    return [each for each in evidence.inside(service.namespace) if each.carries(selector)]


def _placed(workload: Workload, places: Mapping[str, str], nodes: Mapping[str, Mapping[str, str]]) -> bool:
    """Does its node carry these? One that has no node yet may get one that does."""
    node = workload.spec.get("nodeName")
    if not places or not node:
        return all(places.values())
    labels = {"kubernetes.io/hostname": node, **nodes.get(str(node), {})}
    return all(value and labels.get(key) == value for key, value in places.items())

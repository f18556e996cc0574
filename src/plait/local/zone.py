"""What the names of one mesh mean: Services, EndpointSlices and ServiceEntries to DNS answers. Pure; no sockets here.

`Zone.answer` gives the whole reply, or None for names that are not the mesh's (forward them). Within the cluster
domain a name that exists without a record of the type asked is NODATA, any other is NXDOMAIN.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from plait.base import dns_wire as wire
from plait.base.dns_wire import Query, Record
from plait.base.wellknown import CLUSTER_DOMAIN

Document = Mapping[str, Any]
Networks = Sequence[IPv4Network | IPv6Network]
_TTL = 5  # seconds; pods come and go
_SLICE_SERVICE = "kubernetes.io/service-name"


class Zone:
    """Immutable; made anew when anything changes. `networks`: addresses whose reverse names are ours to deny."""

    def __init__(
        self,
        services: Iterable[Document] = (),
        slices: Iterable[Document] = (),
        entries: Iterable[Document] = (),
        *,
        networks: Networks = (),
        domain: str = CLUSTER_DOMAIN,
    ) -> None:
        self._domain, self._networks = domain, tuple(networks)
        self._records: dict[str, list[Record]] = defaultdict(list)
        self._aliases: dict[str, str] = {}
        self._inner: set[str] = {domain, f"svc.{domain}", f"pod.{domain}"}
        self._wild: dict[str, list[str]] = {}
        by_service: dict[tuple[str, str], list[Document]] = defaultdict(list)
        for one in slices:
            name = (one["metadata"].get("labels") or {}).get(_SLICE_SERVICE)
            if name:
                by_service[one["metadata"]["namespace"], name].append(one)
        for service in services:
            key = service["metadata"]["namespace"], service["metadata"]["name"]
            self._service(service, by_service[key])
        for entry in entries:
            self._entry(entry)

    def answer(self, message: bytes, *, tcp: bool = False) -> bytes | None:
        """The reply to a query, None when it is to be forwarded; b"" when it deserves no reply."""
        query = wire.parse(message)
        if query is None:
            return wire.refusal(message) or b""
        name = query.name
        if name.endswith(".svc") and f"{name}.{self._domain}" in self._known():
            name = f"{name}.{self._domain}"
        ours = name == self._domain or name.endswith(f".{self._domain}")
        records = self._lookup(name)
        if records is None:
            if not ours and not self._is_our_reverse(name):
                return None
            soa = [wire.authority(self._domain, _TTL)]
            exists = name in self._inner
            return wire.answer(query, wire.NO_ERROR if exists else wire.NAME_ERROR, authority=soa, tcp=tcp)
        return self._reply(query, name, records, tcp)

    def _reply(self, query: Query, name: str, records: list[Record], tcp: bool) -> bytes:
        if alias := self._aliases.get(name):
            chosen = [wire.pointer(query.name, wire.CNAME, alias, _TTL)]
            chosen += [r for r in self._lookup(alias) or () if r.type == query.type]
        else:
            chosen = [r for r in records if query.type in (r.type, wire.ANY)]
        soa = [] if chosen else [wire.authority(self._domain, _TTL)]
        # Clients take the first address: turn the list with the query's own number, which is random.
        turn = query.id % len(chosen) if chosen and name not in self._aliases else 0
        renamed = [Record(query.name, r.type, r.ttl, r.data) if r.name == name else r for r in chosen]
        return wire.answer(query, wire.NO_ERROR, [*renamed[turn:], *renamed[:turn]], soa, tcp=tcp)

    def _known(self) -> Mapping[str, object]:
        return self._records if not self._aliases else {**self._records, **self._aliases}

    def _lookup(self, name: str) -> list[Record] | None:
        if name in self._records:
            return self._records[name]
        if name in self._aliases:
            return []
        if (pod := self._pod(name)) is not None:
            return [pod]
        _, _, parent = name.partition(".")
        while parent:
            if parent in self._wild:
                return [wire.address(name, address, _TTL) for address in self._wild[parent]]
            _, _, parent = parent.partition(".")
        return None

    def _pod(self, name: str) -> Record | None:
        """10-64-1-2.shop.pod.cluster.local, fd70-6c61-6974-4001--2.shop.pod.cluster.local"""
        dashed, _, rest = name.partition(".")
        if not rest.endswith(f".pod.{self._domain}") or rest.count(".") != self._domain.count(".") + 2:
            return None
        spelled = next(filter(_is_address, (dashed.replace("-", "."), dashed.replace("-", ":"))), "")
        if not spelled or not (self._ours(found := ip_address(spelled)) or not self._networks):
            return None
        return wire.address(name, str(found), _TTL)

    def _is_our_reverse(self, name: str) -> bool:
        if name.endswith(".ip6.arpa"):
            digits = "".join(reversed(name.removesuffix(".ip6.arpa").split(".")))
            text = ":".join(digits[at : at + 4] for at in range(0, len(digits), 4))
        elif name.endswith(".in-addr.arpa"):
            text = ".".join(reversed(name.removesuffix(".in-addr.arpa").split(".")))
        else:
            return False
        return _is_address(text) and self._ours(ip_address(text))

    def _ours(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks)

    def _service(self, service: Document, slices: Iterable[Document]) -> None:
        metadata, spec = service["metadata"], service.get("spec") or {}
        name = f"{metadata['name']}.{metadata['namespace']}.svc.{self._domain}".lower()
        self._inner.add(f"{metadata['namespace']}.svc.{self._domain}")
        if spec.get("type") == "ExternalName":
            target = str(spec.get("externalName") or "").rstrip(".").lower()
            if _is_name(target):
                self._aliases[name] = target
            return
        cluster_ip = spec.get("clusterIP") or "None"
        if cluster_ip == "None":
            self._headless_service(name, bool(spec.get("publishNotReadyAddresses")), slices)
            return
        for address in spec.get("clusterIPs") or [cluster_ip]:
            self._add_address(name, address)
            self._add(_reverse(address), lambda at: wire.pointer(at, wire.PTR, name, _TTL))
        for port in spec.get("ports") or ():
            self._port(name, port, name, int(port["port"]))

    def _headless_service(self, name: str, announced: bool, slices: Iterable[Document]) -> None:
        self._records.setdefault(name, [])  # it exists, also with no pod
        for one in slices:
            for endpoint in one.get("endpoints") or ():
                ready = (endpoint.get("conditions") or {}).get("ready")
                if ready is False and not announced:
                    continue
                for address in endpoint.get("addresses") or ():
                    host = endpoint.get("hostname") or address.replace(".", "-").replace(":", "-")
                    member = f"{host}.{name}".lower()
                    self._add_address(name, address)
                    self._add_address(member, address)
                    if endpoint.get("hostname"):
                        self._add(_reverse(address), lambda at, to=member: wire.pointer(at, wire.PTR, to, _TTL))
                    for port in one.get("ports") or ():
                        if port.get("port"):
                            self._port(name, port, member, int(port["port"]))

    def _port(self, name: str, port: Document, target: str, number: int) -> None:
        if port.get("name"):
            protocol = f"_{str(port.get('protocol', 'TCP')).lower()}.{name}"
            self._inner.add(protocol)
            full = f"_{port['name']}.{protocol}".lower()
            self._add(full, lambda at: wire.service(at, target, number, _TTL))

    def _entry(self, entry: Document) -> None:
        """A ServiceEntry's hosts, where it states addresses. Allocated ones lead nowhere without the mesh's proxy: only
        the resolver of captured pods tells them."""
        spec = entry.get("spec") or {}
        addresses = [a for a in spec.get("addresses") or () if _is_address(a)]
        for host in spec.get("hosts") or ():
            name = str(host).lower().rstrip(".")
            bare = name.removeprefix("*.")
            if not addresses or not _is_name(bare):
                continue
            if name.startswith("*."):
                self._wild.setdefault(bare, addresses)
            elif name not in self._records and name not in self._aliases:
                for address in addresses:
                    self._add_address(name, address)

    def _add_address(self, name: str, address: str) -> None:
        if _is_address(address):
            self._add(name, lambda at: wire.address(at, address, _TTL))

    def _add(self, name: str, make: Any) -> None:
        if not _is_name(name):
            return
        record: Record = make(name)
        if record not in self._records[name]:
            self._records[name].append(record)


def _reverse(address: str) -> str:
    return ip_address(address).reverse_pointer if _is_address(address) else ""


def _is_address(text: object) -> bool:
    try:
        ip_address(str(text))
    except ValueError:
        return False
    return True


def _is_name(text: str) -> bool:
    try:
        return bool(text) and len(wire.encode_name(text)) <= 255
    except ValueError:
        return False

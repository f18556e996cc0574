from __future__ import annotations

from dataclasses import dataclass, field

from plait.app.measured import addresses, judged, nothing, programmed
from plait.model.status import Condition, GatewayStatus, ListenerStatus


@dataclass(frozen=True)
class Found:
    programmed: bool = True
    reason: str = ""
    message: str = ""
    addresses: list[str] = field(default_factory=list)


GOOD, BROKEN = Condition("Programmed", "True", "Programmed"), Condition("Programmed", "False", "Invalid", "no key")
STATUS = GatewayStatus(
    (Condition("Accepted", "True", "Accepted"), GOOD),
    (ListenerStatus("a", (), 0, (GOOD,)), ListenerStatus("b", (), 0, (BROKEN,))),
)


def test_a_gateway_without_a_proxy_is_pending_and_what_is_broken_stays_broken() -> None:
    found = programmed(STATUS, nothing().get(("shop", "edge")))
    accepted, pending = found.conditions
    assert accepted.status == "True"
    assert (pending.status, pending.reason) == ("False", "Pending")
    assert found.listeners[0].conditions == (pending,)
    assert found.listeners[1].conditions == (BROKEN,)


def test_the_reason_and_its_text_are_the_measurers() -> None:
    told = programmed(STATUS, Found(False, "AddressNotAssigned", message="no address yet")).conditions[1]
    assert (told.reason, told.message) == ("AddressNotAssigned", "no address yet")
    assert programmed(STATUS, Found()) == STATUS


def test_addresses_say_what_they_are() -> None:
    assert addresses(Found(addresses=["10.0.0.1", "fd00::1", "edge.shop.svc.cluster.local"])) == [
        {"type": "IPAddress", "value": "10.0.0.1"},
        {"type": "IPAddress", "value": "fd00::1"},
        {"type": "Hostname", "value": "edge.shop.svc.cluster.local"},
    ]


def test_a_gateway_whose_proxy_refuses_its_configuration_is_not_programmed_and_keeps_its_addresses() -> None:
    found = judged({("shop", "edge"): Found(addresses=["10.0.0.1"]), ("shop", "door"): Found()}, {"shop/edge": "no"})
    assert found["shop", "door"] == Found()
    told = found["shop", "edge"]
    assert (told.programmed, told.reason, told.message, list(told.addresses)) == (False, "Invalid", "no", ["10.0.0.1"])

"""A control plane that was killed while a way changed goes on with it: no guard stands that clients do not know of."""

from __future__ import annotations

from pathlib import Path

from kit import documents as d
from kit.worlds import gateway_pod, waypoint, world
from plait.app.telling.kept import Kept
from plait.app.telling.telling import BACK, FLIGHT, WORKERS, Telling
from plait.model.mesh import Mesh

CART = "shop/cart.shop.svc.cluster.local"
POD = "Kubernetes//Pod/shop/cart-1"
FILE = "telling.json"


def shop(name: str = "") -> Mesh:
    labels = {"gateway.networking.k8s.io/gateway-name": "waypoint"}
    policy = d.allow(
        "p",
        [{"to": [{"operation": {"methods": ["GET"]}}]}],
        spec={"targetRefs": [{"kind": "Gateway", "group": "gateway.networking.k8s.io", "name": "waypoint"}]},
    )
    return world(
        waypoint(),
        gateway_pod("waypoint-0", "10.0.0.7", "waypoint", account="waypoint"),
        d.service("waypoint", "10.9.0.7", labels=labels),
        d.service("cart", "10.9.0.1", labels={"istio.io/use-waypoint": name} if name else {}),
        d.pod("cart-1", "10.0.0.1", labels={"app": "cart"}),
        policy,
    )[0]


def tell(telling: Telling, mesh: Mesh, now: float) -> tuple[str, bool, bool]:
    """What clients know, whether the waypoint serves, and whether a guard stands."""
    told = telling.told(mesh, now)
    telling.spoken(now)
    known = told.l7.services[CART]
    guarded = any("plait_guard_" in name for name in told.workloads[POD].policies)
    return known.waypoint, known.behind("shop/waypoint"), guarded


def begun(folder: Path) -> Telling:
    telling = Telling(lambda: (), Kept(folder / FILE))
    assert tell(telling, shop(), 0.0) == ("", False, False)
    assert tell(telling, shop("waypoint"), 1.0) == ("", True, False)
    return telling


def test_who_comes_back_waits_for_its_proxies_and_goes_through_the_same_stages(tmp_path: Path) -> None:
    begun(tmp_path)
    again, mesh = Telling(lambda: (), Kept(tmp_path / FILE)), shop("waypoint")
    assert tell(again, mesh, 100.0) == ("", True, False), "the waypoint is known to nobody yet: no guard"
    assert not again.due(100.0 + BACK - 0.1), "its proxies are only just coming back"
    assert not again.due(100.0 + BACK) and again.due(100.0 + BACK + WORKERS)
    assert tell(again, mesh, 106.0) == ("shop/waypoint", True, False)
    once_more = Telling(lambda: (), Kept(tmp_path / FILE))
    assert tell(once_more, mesh, 200.0) == ("shop/waypoint", True, False)
    assert not once_more.due(200.0 + BACK) and once_more.due(200.0 + BACK + FLIGHT)
    assert tell(once_more, mesh, 207.0) == ("shop/waypoint", True, True)
    assert not (tmp_path / FILE).exists(), "nothing is under way any more"


def test_what_was_called_off_meanwhile_is_over_at_once(tmp_path: Path) -> None:
    begun(tmp_path)
    again = Telling(lambda: (), Kept(tmp_path / FILE))
    assert tell(again, shop(), 100.0) == ("", False, False)
    assert again.next(100.0) is None and not (tmp_path / FILE).exists()


def test_a_pod_that_is_new_is_guarded_also_by_who_comes_back(tmp_path: Path) -> None:
    begun(tmp_path)
    file = tmp_path / FILE
    file.write_text(file.read_text().replace("Pod/shop/cart-1", "Pod/shop/cart-0"))
    assert tell(Telling(lambda: (), Kept(file)), shop("waypoint"), 100.0) == ("", True, True)


def test_without_anything_under_way_nothing_is_waited_for(tmp_path: Path) -> None:
    telling = Telling(lambda: (), Kept(tmp_path / FILE))
    assert tell(telling, shop("waypoint"), 0.0) == ("shop/waypoint", True, True)
    assert telling.next(0.0) is None and list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    assert tell(Telling(lambda: (), Kept(tmp_path / FILE)), shop("waypoint"), 0.0)[2]

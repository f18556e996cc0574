"""Real Envoys as gateway and waypoint on loopback: verdicts of routes and policies by real requests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from msgspec.structs import replace

from kit import calls, l7, tunnel
from kit.l7 import forward, route, to, upstream, virtual
from kit.loopback import backend, envoy, free_port
from kit.pki import Authority
from plait.envoy.l7.options import Options
from plait.envoy.roles import gateway, sidecar, waypoint
from plait.model.attachment import Attachment
from plait.model.http_security import (
    Authorizer,
    Condition,
    HttpPolicy,
    HttpRule,
    JwtRule,
    Operation,
    PathText,
    RequestAuthentication,
    Source,
)
from plait.model.policies import Account, Range, Text
from plait.model.routes import (
    Abort,
    ClaimMatch,
    Fault,
    FieldMatch,
    HeaderChange,
    Match,
    PathMatch,
    Redirect,
    Respond,
    Rewrite,
    Route,
    TextMatch,
)
from plait.model.views.enforced import Enforced
from plait.model.views.gateway import GatewayView, HttpChain, ServerPort
from plait.model.views.sidecar import InboundPort, SidecarView
from plait.model.views.upstreams import Upstream, UpstreamEndpoint
from plait.model.views.waypoint import Connections, ServedPort, ServedService, WaypointView

pytestmark = [pytest.mark.e2e, pytest.mark.envoy]
HERE = Attachment("shop")
SECRET = b"a key of thirty-two bytes or more, of which nobody knows"
JWKS = json.dumps(
    {"keys": [{"kty": "oct", "alg": "HS256", "k": base64.urlsafe_b64encode(SECRET).rstrip(b"=").decode()}]}
)
CLIENT = "spiffe://cluster.local/ns/shop/sa/client"
VIP = "10.64.128.1"


def get(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": "shop.example", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def token(**claims: Any) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    head = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part({'exp': 4_000_000_000, **claims})}"
    signature = hmac.new(SECRET, head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@contextmanager
def serving(
    directory: Path, *routes: Route, enforced: Enforced = l7.ENFORCED, refused: tuple[str, ...] = ()
) -> Iterator[int]:
    """A gateway on a loopback port before two backends, web and api."""
    with ExitStack() as held:
        ports = {name: held.enter_context(backend(name)) for name in ("web", "api", "authz")}
        found: tuple[Upstream, ...] = tuple(upstream(name, "127.0.0.1", target=port) for name, port in ports.items())
        port = free_port()
        chain = HttpChain((), (virtual("shop", *routes, domains=("shop.example",)),), name="http.80")
        view = GatewayView(
            l7.proxy("gateway"), l7.SETTINGS, (ServerPort(port, "127.0.0.1", "HTTP", (chain,)),), found, enforced
        )
        assert tuple(each.path for each in gateway.refusals(view)) == refused
        text = Options(access_log=str(directory / "access.log"))
        document = l7.composed(gateway.documents(view, text), run=True, admin=str(directory / "admin"))
        held.enter_context(envoy(document, port, directory))
        yield port


def test_gateway_routes_redirects_rewrites_and_faults_as_written(tmp_path: Path) -> None:
    header = Match(path=PathMatch("prefix", "/who"), headers=(FieldMatch("x-user", TextMatch("exact", "me"), True),))
    routes = (
        route("/who", forward("api"), match=header, name="not-me"),
        route("/who", forward("web"), name="me"),
        route("/seg", forward("api"), how="segments", rewrite=Rewrite(prefix="/")),
        route("/all", forward("web"), how="segments", rewrite=Rewrite(path="/whole")),
        route("/re", forward("web"), rewrite=Rewrite(regex="^/re/([a-z]+)/(.*)$", substitution="/\\2/\\1")),
        route("/old", Redirect(302, host="new.example", prefix="/new", scheme="https", port=0), how="segments"),
        route("/gone", Respond(410, b"gone")),
        route("/fault", forward("web"), fault=Fault(abort=Abort(100.0, 418))),
        route("/missing", forward(to("none", broken="no such service"), missing_status=500)),
        route(
            "/headers",
            forward("web"),
            request=HeaderChange(
                (("x-path", "%REQ(:path)%"), ("host", "inner.example")), (("x-add", "100%%"),), ("x-drop",)
            ),
            response=HeaderChange(set=(("x-answer", "yes"),)),
        ),
    )
    with serving(tmp_path, *routes) as port:

        def ask(path: str, **headers: str) -> dict[str, Any]:
            status, _, body = get(port, path, {key.replace("_", "-"): value for key, value in headers.items()})
            assert status == 200, (path, status, body)
            found: dict[str, Any] = json.loads(body)
            return found

        assert ask("/who")["backend"] == "api"
        assert ask("/who", x_user="me")["backend"] == "web"
        assert ask("/seg")["path"] == "/"
        assert ask("/seg/a?b=c")["path"] == "/a?b=c"
        assert get(port, "/segment")[0] == 404
        assert ask("/all/of/it?q=1")["path"] == "/whole?q=1"
        assert ask("/re/one/two")["path"] == "/two/one"
        status, headers, _ = get(port, "/old/page?x=1")
        assert (status, headers["location"]) == (302, "https://new.example/new/page?x=1")
        assert get(port, "/gone")[::2] == (410, b"gone")
        assert get(port, "/fault")[0] == 418
        assert get(port, "/missing")[0] == 500
        changed = ask("/headers", x_drop="a")["headers"]
        assert (changed["x-path"], changed["host"], changed["x-add"]) == ("/headers", "inner.example", "100%")
        assert "x-drop" not in changed
        assert get(port, "/headers")[1]["x-answer"] == "yes"


def test_gateway_checks_tokens_and_policies(tmp_path: Path) -> None:
    policies = (
        HttpPolicy(
            "d", "shop", "deny", HERE, (HttpRule(operations=(Operation(paths=(PathText("template", "/no/{*}"),)),)),)
        ),
        HttpPolicy(
            "a",
            "shop",
            "allow",
            HERE,
            (
                HttpRule(operations=(Operation(paths=(PathText("prefix", "/open"), PathText("prefix", "/no"))),)),
                HttpRule(
                    (Source(request_principals=(Text("exact", "https://issuer/me"),)),),
                    (Operation(paths=(PathText("prefix", "/me"),)),),
                ),
                HttpRule(
                    operations=(Operation(paths=(PathText("prefix", "/admin"),)),),
                    conditions=(Condition("token.claim", path=("groups",), texts=(Text("exact", "admin"),)),),
                ),
                HttpRule(
                    (Source(ips=(Range("127.0.0.0", 8),)),),
                    (
                        Operation(
                            hosts=(Text("exact", "SHOP.example"),),
                            methods=(Text("exact", "GET"),),
                            paths=(PathText("exact", "/ip"),),
                        ),
                    ),
                ),
                HttpRule(operations=(Operation(paths=(PathText("prefix", "/claims"),)),)),
            ),
        ),
    )
    tokens = (
        RequestAuthentication(
            "t", "shop", HERE, (JwtRule("https://issuer", jwks=JWKS, claim_headers=(("x-sub", "sub"),)),)
        ),
    )
    enforced = Enforced(policies, tokens, telemetry=l7.PROMETHEUS)
    claims = Match(path=PathMatch("prefix", "/claims"), claims=(ClaimMatch(("groups",), TextMatch("exact", "admin")),))
    routes = (route("/claims", forward("api"), match=claims), route("/", forward("web")))
    with serving(tmp_path, *routes, enforced=enforced) as port:
        me = {"Authorization": f"Bearer {token(iss='https://issuer', sub='me', groups=['user', 'admin'])}"}
        you = {"Authorization": f"Bearer {token(iss='https://issuer', sub='you', groups='user')}"}
        forged = {"Authorization": me["Authorization"][:-4] + "AAAA"}
        verdicts = {
            (path, who): get(port, path, headers)[0]
            for path in ("/open", "/no/1", "/no/1/2", "/me", "/admin", "/ip", "/other")
            for who, headers in (("nobody", {}), ("me", me), ("you", you), ("forged", forged))
        }
        assert {who for (path, who), status in verdicts.items() if path == "/open" and status == 200} == {
            "nobody",
            "me",
            "you",
        }
        assert all(status == 401 for (_, who), status in verdicts.items() if who == "forged")
        assert verdicts["/no/1", "me"] == 403
        assert verdicts["/no/1/2", "me"] == 200
        assert [verdicts["/me", who] for who in ("nobody", "me", "you")] == [403, 200, 403]
        assert [verdicts["/admin", who] for who in ("nobody", "me", "you")] == [403, 200, 403]
        assert verdicts["/ip", "nobody"] == 200
        assert verdicts["/other", "me"] == 403
        assert json.loads(get(port, "/open", me)[2])["headers"]["x-sub"] == "me"
        assert json.loads(get(port, "/claims", me)[2])["backend"] == "api"
        assert json.loads(get(port, "/claims", you)[2])["backend"] == "web"


def test_tokens_pass_by_the_keys_that_an_issuer_names_and_none_passes_without_keys(tmp_path: Path) -> None:
    def keys(reader: BinaryIO, writer: BinaryIO) -> None:
        while reader.readline().strip():
            pass
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(JWKS)}\r\nConnection: close\r\n\r\n{JWKS}".encode())

    with calls.served(keys) as place:
        named = JwtRule("https://named", jwks_uri=f"http://127.0.0.1:{place}/keys")
        tokens = (RequestAuthentication("t", "shop", HERE, (named, JwtRule("https://silent"))),)
        with serving(tmp_path, route("/", forward("web")), enforced=Enforced((), tokens)) as port:
            found = {
                issuer: get(port, "/", {"Authorization": f"Bearer {token(iss=issuer, sub='me')}"})[0]
                for issuer in ("https://named", "https://silent", "https://stranger")
            }
            assert found == {"https://named": 200, "https://silent": 401, "https://stranger": 401}
            assert get(port, "/")[0] == 200


def test_an_authorizer_is_asked_only_where_a_custom_policy_or_route_says_so(tmp_path: Path) -> None:
    asked = HttpPolicy(
        "c",
        "shop",
        "custom",
        HERE,
        (HttpRule(operations=(Operation(paths=(PathText("prefix", "/ask"),)),)),),
        provider="check",
    )
    check = Authorizer(
        "check", "http", l7.host("authz"), 80, timeout=2.0, headers=("x-pass",), upstream_headers=("x-asked",)
    )
    routes = (route("/own", forward("web"), external_authorization="check"), route("/", forward("web")))
    enforced = Enforced((asked,), (), (check,), telemetry=l7.PROMETHEUS)
    with serving(tmp_path, *routes, enforced=enforced) as port:
        passing = {"x-pass": "yes"}
        paths = ("/ask", "/own", "/free")
        assert [get(port, path)[0] for path in paths] == [403, 403, 200]
        assert [get(port, path, passing)[0] for path in paths] == [200, 200, 200]
        told = [json.loads(get(port, path, passing)[2])["headers"].get("x-asked") for path in paths]
        assert told == ["authz", "authz", None]


def test_a_route_whose_authorizer_is_missing_is_denied(tmp_path: Path) -> None:
    routes = (route("/own", forward("web"), external_authorization="lost"), route("/", forward("web")))
    with serving(tmp_path, *routes, refused=("extensionProviders.lost",)) as port:
        assert [get(port, path)[0] for path in ("/own", "/free")] == [403, 200]


def test_waypoint_judges_the_tunnels_identity_and_knows_only_its_services(tmp_path: Path) -> None:
    authority = Authority()
    policies = (
        HttpPolicy(
            "a",
            "shop",
            "allow",
            HERE,
            (
                HttpRule(
                    (Source(accounts=(Account("shop", "client"),)),), (Operation(paths=(PathText("prefix", "/ok"),)),)
                ),
            ),
        ),
    )
    with ExitStack() as held:
        web = held.enter_context(backend("web"))
        hosts = (virtual("web", route("/", forward("web"))),)
        service = ServedService(
            f"shop/{l7.host('web')}",
            l7.host("web"),
            "shop",
            "web",
            (VIP,),
            (ServedPort(80, "http", hosts),),
            Enforced(policies, telemetry=l7.PROMETHEUS),
        )
        port = free_port()
        view = WaypointView(
            l7.proxy("waypoint", "waypoint"),
            l7.SETTINGS,
            (service,),
            (),
            (upstream("web", "127.0.0.1", target=web),),
            l7.ENFORCED,
            ("cluster.local",),
            port=port,
        )
        document = l7.composed(waypoint.documents(view), run=True, admin=str(tmp_path / "admin"), authority=authority)
        held.enter_context(envoy(document, port, tmp_path))

        def ask(who: str, target: str, path: str) -> bytes:
            leaf = authority.issue(f"spiffe://cluster.local/ns/shop/sa/{who}")
            request = f"GET {path} HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n".encode()
            plain = socket.create_connection(("127.0.0.1", port), 5)
            made = tunnel.context(authority, leaf)
            return tunnel.connect(plain, made, target, send=request, wait_for_data=True).data

        assert b"HTTP/1.1 200" in ask("client", f"{VIP}:80", "/ok")
        assert b"HTTP/1.1 200" in ask("client", f"{l7.host('web')}:80", "/ok")
        assert b"HTTP/1.1 403" in ask("client", f"{VIP}:80", "/other")
        assert b"HTTP/1.1 403" in ask("stranger", f"{VIP}:80", "/ok")
        assert b"HTTP" not in ask("client", f"{VIP}:81", "/ok")
        assert b"HTTP" not in ask("client", "10.64.128.9:80", "/ok")
        connection = http.client.HTTPConnection("admin", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(tmp_path / "admin"))
        connection.request("GET", "/stats?format=json&filter=istio_requests_total")
        text = connection.getresponse().read().decode()
        connection.close()
        assert "istio_requests_total" in text
        assert f"source_principal.{CLIENT}" in text


def test_waypoint_routes_by_the_namespace_of_the_tunnels_identity(tmp_path: Path) -> None:
    authority = Authority()
    of_consumer = route("/", Respond(418), match=Match(source_namespace="consumer"))
    with ExitStack() as held:
        web = held.enter_context(backend("web"))
        port = free_port()
        hosts = (virtual("web", of_consumer, route("/", forward("web"))),)
        service = ServedService(
            f"shop/{l7.host('web')}",
            l7.host("web"),
            "shop",
            "web",
            (VIP,),
            (ServedPort(80, "http", hosts),),
            l7.ENFORCED,
        )
        view = WaypointView(
            l7.proxy("waypoint", "waypoint"),
            l7.SETTINGS,
            (service,),
            (),
            (upstream("web", "127.0.0.1", target=web),),
            l7.ENFORCED,
            ("cluster.local",),
            port=port,
        )
        document = l7.composed(waypoint.documents(view), run=True, admin=str(tmp_path / "admin"), authority=authority)
        held.enter_context(envoy(document, port, tmp_path))

        def ask(namespace: str) -> bytes:
            made = tunnel.context(authority, authority.issue(f"spiffe://cluster.local/ns/{namespace}/sa/client"))
            plain = socket.create_connection(("127.0.0.1", port), 5)
            request = b"GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n"
            return tunnel.connect(plain, made, f"{VIP}:80", send=request, wait_for_data=True).data

        assert b"HTTP/1.1 418" in ask("consumer")
        assert b"HTTP/1.1 200" in ask("consumers")
        assert b"HTTP/1.1 200" in ask("shop")


def test_waypoint_leads_connections_by_the_namespace_of_the_tunnels_identity(tmp_path: Path) -> None:
    authority = Authority()
    with ExitStack() as held:
        found = {name: held.enter_context(backend(name)) for name in ("web", "own")}
        port = free_port()
        ports = (ServedPort(80, "tcp", (), (to("web"),), (), (Connections("consumer", (to("own"),)),)),)
        service = ServedService(f"shop/{l7.host('web')}", l7.host("web"), "shop", "web", (VIP,), ports, l7.ENFORCED)
        view = WaypointView(
            l7.proxy("waypoint", "waypoint"),
            l7.SETTINGS,
            (service,),
            (),
            tuple(upstream(name, "127.0.0.1", target=at) for name, at in found.items()),
            l7.ENFORCED,
            ("cluster.local",),
            port=port,
        )
        document = l7.composed(waypoint.documents(view), run=True, admin=str(tmp_path / "admin"), authority=authority)
        held.enter_context(envoy(document, port, tmp_path))

        def answered(namespace: str) -> bytes:
            made = tunnel.context(authority, authority.issue(f"spiffe://cluster.local/ns/{namespace}/sa/client"))
            plain = socket.create_connection(("127.0.0.1", port), 5)
            request = b"GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n"
            return tunnel.connect(plain, made, f"{VIP}:80", send=request, wait_for_data=True).data

        assert b"x-asked: own" in answered("consumer")
        for other in ("consumers", "shop"):
            assert b"x-asked: web" in answered(other)


def test_a_request_goes_through_the_waypoints_tunnel_into_the_sidecar_that_was_meant(tmp_path: Path) -> None:
    """client -> waypoint (connect_terminate, main_internal, connect_originate) -> sidecar (15008) -> application."""
    authority = Authority()
    with ExitStack() as held:
        app = held.enter_context(backend("app"))
        inner, outer = free_port(), free_port()
        guard = HttpPolicy(
            "a",
            "shop",
            "allow",
            HERE,
            (
                HttpRule(
                    (Source(accounts=(Account("shop", "edge"),)),), (Operation(paths=(PathText("prefix", "/w"),)),)
                ),
            ),
        )
        pod = SidecarView(
            proxy=l7.proxy("sidecar", "app"),
            settings=l7.SETTINGS,
            http=(),
            tcp=(),
            upstreams=(),
            unknown="allow_any",
            egress_proxy=None,
            inbound=(InboundPort(app, "http", "strict"),),
            default_mtls="strict",
            enforced=Enforced((guard,), telemetry=l7.PROMETHEUS),
            tunnel=True,
        )
        pod = replace(pod, proxy=replace(pod.proxy, addresses=("127.0.0.1",)))
        options = Options(outbound_port=free_port(), inbound_port=free_port(), hbone_port=inner)
        (tmp_path / "pod").mkdir()
        of_pod = l7.composed(
            sidecar.documents(pod, options), run=True, admin=str(tmp_path / "pod" / "admin"), authority=authority
        )
        held.enter_context(envoy(of_pod, inner, tmp_path / "pod"))

        def end(account: str) -> UpstreamEndpoint:
            return UpstreamEndpoint(
                "127.0.0.1", app, "tunnel", (f"spiffe://cluster.local/ns/shop/sa/{account}",), f"127.0.0.1:{inner}"
            )

        services = tuple(
            ServedService(
                f"shop/{l7.host(name)}",
                l7.host(name),
                "shop",
                name,
                (address,),
                (ServedPort(80, "http", (virtual(name, route("/", forward(name))),)),),
                l7.ENFORCED,
            )
            for name, address in (("right", VIP), ("wrong", "10.64.128.2"))
        )
        view = WaypointView(
            l7.proxy("waypoint", "waypoint"),
            l7.SETTINGS,
            services,
            (),
            (upstream("right", endpoints=(end("edge"),)), upstream("wrong", endpoints=(end("other"),))),
            l7.ENFORCED,
            ("cluster.local",),
            port=outer,
        )
        document = l7.composed(waypoint.documents(view), run=True, admin=str(tmp_path / "admin"), authority=authority)
        for target in l7.find(document, "original_dst_lb_config"):
            target["upstream_port_override"] = inner  # 15008 may be taken on this machine
        held.enter_context(envoy(document, outer, tmp_path))

        def ask(target: str, path: str) -> bytes:
            request = f"GET {path} HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n".encode()
            plain = socket.create_connection(("127.0.0.1", outer), 5)
            made = tunnel.context(authority, authority.issue(CLIENT))
            return tunnel.connect(plain, made, target, send=request, wait_for_data=True).data

        assert b"HTTP/1.1 200" in ask(f"{VIP}:80", "/w")
        assert b"HTTP/1.1 403" in ask(f"{VIP}:80", "/x")
        assert b"HTTP/1.1 503" in ask("10.64.128.2:80", "/w")

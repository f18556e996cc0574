"""A shop behind a waypoint: its namespace is ambient and uses one, `web` serves /etc/apt, and a `client` can ask it."""

from __future__ import annotations

from kit.mesh import Mesh

NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient, istio.io/use-waypoint: waypoint}}
"""
WAYPOINT = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop, labels: {istio.io/waypoint-for: service}}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8000}]}
"""
SERVER = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: python, command: [python3, -m, http.server, "8000", --directory, /etc/apt]}]
"""
_PATIENT = (
    "import http.server as h;"
    "h.ThreadingHTTPServer.request_queue_size = 500;"
    "h.SimpleHTTPRequestHandler.log_message = lambda *a: None;"
    "h.ThreadingHTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()"
)
PATIENT_SERVER = SERVER.replace('-m, http.server, "8000", --directory, /etc/apt', f'-c, "{_PATIENT}"')
"""`web` for load: 500 may come at once, and nothing is written about them."""
CLIENT = """
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop, labels: {app: client}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: busybox, command: [sleep, "1000"]}]
"""
NO_KEYRINGS = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-keyrings, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: web}]
  action: DENY
  rules: [{to: [{operation: {paths: ["/keyrings*"]}}]}]
"""
"""What /etc/apt/keyrings has is for nobody."""
ASK = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=3).status)
except urllib.error.HTTPError as error:
    print(error.code)
except OSError as error:
    print("closed")
"""
"""The status of what a URL answers, or `closed`."""


def together(*documents: str) -> str:
    return "---".join(documents)


SHOP = together(NAMESPACE, WAYPOINT, SERVICE, SERVER, CLIENT)


def begun(mine: Mesh, world: str = SHOP) -> None:
    """Up with this world, in which everybody can be asked."""
    mine.up("--nodes", "2")
    mine.apply(world)
    mine.ready("shop", "web", "client")
    mine.programmed("shop", "waypoint")
    mine.captured("shop", "web", "client")


def answer(mine: Mesh, host: str, path: str = "/", who: str = "client") -> str:
    return mine.inside(who, ASK, f"http://{host}{path}", namespace="shop").strip()

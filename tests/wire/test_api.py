"""The REST rules clients rely on, over TLS: versions, conflicts, watches, deletion, dry run, access."""

from __future__ import annotations

import asyncio

import pytest

from kit import apiserver
from plait.resources import kinds
from plait.resources.kinds import CONFIG_MAP, NAMESPACE, POD, SERVICE, SERVICE_ACCOUNT
from plait.store.api import ApiError, Document, WatchEvent
from plait.store.client import HttpApi, path
from plait.store.kubeconfig import Access


def config(name: str, **data: str) -> Document:
    return {"metadata": {"name": name, "labels": {"app": name}}, "data": data}


async def events(api: HttpApi, count: int, *, query: dict[str, str], kind: kinds.Kind = CONFIG_MAP) -> list[WatchEvent]:
    found: list[WatchEvent] = []
    async for line in api.text(path(kind, "default"), query={"watch": "true", **query}):
        import json

        found += [WatchEvent(e["type"], e["object"]) for e in map(json.loads, line.splitlines())]
        if len(found) >= count:
            break
    return found[:count]


async def test_a_write_that_changes_nothing_keeps_its_version(cluster: apiserver.Cluster) -> None:
    made = await cluster.http.create(CONFIG_MAP, config("a", k="v"), "default")
    assert await cluster.http.replace(CONFIG_MAP, made) == made
    assert await cluster.http.patch(CONFIG_MAP, "a", {"data": {"k": "v"}}, "default") == made


async def test_a_stale_version_is_a_conflict_and_changes_nothing(cluster: apiserver.Cluster) -> None:
    made = await cluster.http.create(CONFIG_MAP, config("a", k="1"), "default")
    await cluster.http.patch(CONFIG_MAP, "a", {"data": {"k": "2"}}, "default")
    with pytest.raises(ApiError) as caught:
        await cluster.http.replace(CONFIG_MAP, {**made, "data": {"k": "3"}})
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")
    assert (await cluster.http.get(CONFIG_MAP, "a", "default"))["data"] == {"k": "2"}


async def test_concurrent_patches_all_count(cluster: apiserver.Cluster) -> None:
    await cluster.http.create(CONFIG_MAP, config("a"), "default")
    patches = [cluster.http.patch(CONFIG_MAP, "a", {"data": {f"k{i}": "v"}}, "default") for i in range(20)]
    await asyncio.gather(*patches)
    assert len((await cluster.http.get(CONFIG_MAP, "a", "default"))["data"]) == 20


@pytest.mark.parametrize(
    ("document", "code", "words"),
    [
        ({"metadata": {"name": "Not_A_Name"}}, 422, "metadata.name"),
        ({"metadata": {}}, 422, "metadata.name"),
        ({"metadata": {"name": "a", "resourceVersion": "5"}}, 400, "resourceVersion"),
        ({"metadata": {"name": "a", "namespace": "other"}}, 400, "namespace"),
        ({"kind": "Secret", "metadata": {"name": "a"}}, 400, "kind"),
        ({"metadata": {"name": "a"}, "data": {"k": 5}}, 422, "data"),
        ({"metadata": "text"}, 400, "metadata"),
    ],
)
async def test_bad_objects_are_refused_with_the_field(
    cluster: apiserver.Cluster, document: Document, code: int, words: str
) -> None:
    with pytest.raises(ApiError) as caught:
        await cluster.http.call("POST", path(CONFIG_MAP, "default"), document)
    assert caught.value.code == code
    assert words in str(caught.value)


async def test_a_missing_namespace_and_a_twin_are_refused(cluster: apiserver.Cluster) -> None:
    with pytest.raises(ApiError) as missing:
        await cluster.http.create(CONFIG_MAP, config("a"), "nowhere")
    assert (missing.value.code, missing.value.details["kind"]) == (404, "namespaces")
    await cluster.http.create(CONFIG_MAP, config("a"), "default")
    with pytest.raises(ApiError) as twin:
        await cluster.http.create(CONFIG_MAP, config("a"), "default")
    assert twin.value.reason == "AlreadyExists"


async def test_a_watch_shows_objects_entering_and_leaving_its_selector(cluster: apiserver.Cluster) -> None:
    start = (await cluster.http.list(CONFIG_MAP, "default"))[1]
    await cluster.http.create(CONFIG_MAP, config("a"), "default")
    await cluster.http.patch(CONFIG_MAP, "a", {"metadata": {"labels": {"app": "b"}}}, "default")
    await cluster.http.patch(CONFIG_MAP, "a", {"data": {"x": "y"}}, "default")
    await cluster.http.patch(CONFIG_MAP, "a", {"metadata": {"labels": {"app": "a"}}}, "default")
    await cluster.http.delete(CONFIG_MAP, "a", "default")
    seen = await events(cluster.http, 4, query={"resourceVersion": start, "labelSelector": "app=a"})
    assert [event.type for event in seen] == ["ADDED", "DELETED", "ADDED", "DELETED"]
    versions = [int(event.object["metadata"]["resourceVersion"]) for event in seen]
    assert versions == sorted(set(versions))


async def test_watch_list_ends_its_initial_events_with_an_annotated_bookmark(cluster: apiserver.Cluster) -> None:
    await cluster.http.create(CONFIG_MAP, config("a"), "default")
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "fieldSelector": "metadata.name=a",
    }
    added, bookmark = await events(cluster.http, 2, query=query)
    assert (added.type, added.object["metadata"]["name"]) == ("ADDED", "a")
    assert bookmark.type == "BOOKMARK"
    assert bookmark.object["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    with pytest.raises(ApiError) as caught:
        await events(cluster.http, 1, query={"sendInitialEvents": "true"})
    assert caught.value.code == 422


async def test_forgotten_history_is_410_and_the_future_504(cluster: apiserver.Cluster) -> None:
    made = await cluster.http.create(CONFIG_MAP, config("a"), "default")
    newer = await cluster.http.patch(CONFIG_MAP, "a", {"data": {"x": "y"}}, "default")
    cluster.running.verbs.storage.compact(int(newer["metadata"]["resourceVersion"]))
    with pytest.raises(ApiError) as old:
        await events(cluster.http, 1, query={"resourceVersion": made["metadata"]["resourceVersion"]})
    assert (old.value.code, old.value.reason) == (410, "Expired")
    with pytest.raises(ApiError) as future:
        await cluster.http.call("GET", path(CONFIG_MAP, "default"), query={"resourceVersion": "99999999"})
    assert (future.value.code, future.value.details["causes"][0]["reason"]) == (504, "ResourceVersionTooLarge")


async def test_a_watch_ends_cleanly_at_its_timeout(cluster: apiserver.Cluster) -> None:
    lines = [c async for c in cluster.http.text(path(POD), query={"watch": "true", "timeoutSeconds": "1"})]
    assert lines == []


async def test_dry_run_stores_nothing_and_gives_no_address_away(cluster: apiserver.Cluster) -> None:
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    tried = await cluster.http.call("POST", path(SERVICE, "default"), service, query={"dryRun": "All"})
    with pytest.raises(ApiError):
        await cluster.http.get(SERVICE, "s", "default")
    made = await cluster.http.create(SERVICE, service, "default")
    assert made["spec"]["clusterIP"] == tried["spec"]["clusterIP"]


async def test_services_get_distinct_addresses_that_do_not_change(cluster: apiserver.Cluster) -> None:
    spec = {"type": "NodePort", "ports": [{"port": 80}]}
    made = [await cluster.http.create(SERVICE, {"metadata": {"name": n}, "spec": spec}, "default") for n in "ab"]
    assert made[0]["spec"]["clusterIP"] != made[1]["spec"]["clusterIP"]
    assert made[0]["spec"]["ports"][0]["nodePort"] != made[1]["spec"]["ports"][0]["nodePort"]
    bare = {"metadata": {**made[0]["metadata"]}, "spec": {**spec, "selector": {"a": "b"}}}
    changed = await cluster.http.replace(SERVICE, bare)
    assert changed["spec"]["clusterIP"] == made[0]["spec"]["clusterIP"]
    assert changed["spec"]["ports"] == made[0]["spec"]["ports"]
    with pytest.raises(ApiError, match=r"spec\.clusterIP"):
        await cluster.http.patch(SERVICE, "a", {"spec": {"clusterIP": "10.99.128.200"}}, "default")


async def test_a_namespace_goes_when_its_finalizers_are_gone_and_takes_nothing_new_before(
    cluster: apiserver.Cluster,
) -> None:
    await cluster.http.create(NAMESPACE, {"metadata": {"name": "n"}})
    await cluster.http.delete(NAMESPACE, "n")
    dying = await cluster.http.get(NAMESPACE, "n")
    assert dying["status"]["phase"] == "Terminating"
    with pytest.raises(ApiError) as caught:
        await cluster.http.create(CONFIG_MAP, config("a"), "n")
    assert caught.value.code == 403
    assert caught.value.details["causes"][0]["reason"] == "NamespaceTerminating"
    await cluster.http.replace(NAMESPACE, {**dying, "spec": {"finalizers": []}}, subresource="finalize")
    with pytest.raises(ApiError):
        await cluster.http.get(NAMESPACE, "n")


async def test_a_token_names_its_account_and_dies_with_its_pod(cluster: apiserver.Cluster) -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    made = await cluster.http.create(POD, pod, "default")
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": made["metadata"]["uid"]}
    request = {"spec": {"audiences": ["istio-ca"], "boundObjectRef": bound}}
    answer = await cluster.http.create_subresource(SERVICE_ACCOUNT, "default", "token", request, "default")
    token = answer["status"]["token"]
    reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
    spec = {"spec": {"token": token, "audiences": ["istio-ca"]}}
    status = (await cluster.http.call("POST", reviews, spec))["status"]
    assert status["user"]["username"] == "system:serviceaccount:default:default"
    assert status["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["p"]
    other = (await cluster.http.call("POST", reviews, {"spec": {"token": token}}))["status"]
    assert other["authenticated"] is False
    await cluster.http.delete(POD, "p", "default")
    dead = (await cluster.http.call("POST", reviews, spec))["status"]
    assert dead["authenticated"] is False


async def test_an_account_may_what_its_role_says_and_nothing_else(cluster: apiserver.Cluster) -> None:
    answer = await cluster.http.create_subresource(SERVICE_ACCOUNT, "default", "token", {}, "default")
    ca = cluster.running.pki.ca.certificate.read_bytes()
    async with HttpApi(Access(cluster.url, ca, token=answer["status"]["token"])) as account:
        with pytest.raises(ApiError) as caught:
            await account.list(CONFIG_MAP, "default")
        assert (caught.value.code, caught.value.reason) == (403, "Forbidden")
        rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
        await cluster.http.create(kinds.ROLE, {"metadata": {"name": "r"}, "rules": [rule]}, "default")
        binding = {
            "metadata": {"name": "b"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
        }
        await cluster.http.create(kinds.ROLE_BINDING, binding, "default")
        await account.list(CONFIG_MAP, "default")
        with pytest.raises(ApiError):
            await account.get(CONFIG_MAP, "a", "default")
        with pytest.raises(ApiError):
            await account.list(CONFIG_MAP)


async def test_strangers_may_ask_for_health_and_nothing_else(cluster: apiserver.Cluster) -> None:
    ca = cluster.running.pki.ca.certificate.read_bytes()
    async with HttpApi(Access(cluster.url, ca)) as stranger:
        assert [c async for c in stranger.text("/livez")] == [b"ok"]
        with pytest.raises(ApiError) as caught:
            await stranger.list(POD)
        assert caught.value.code == 403
    async with HttpApi(Access(cluster.url, ca, token="nonsense")) as liar:
        with pytest.raises(ApiError) as caught:
            await liar.list(POD)
        assert caught.value.code == 401


async def test_a_custom_resource_is_served_pruned_and_gone_with_its_definition(cluster: apiserver.Cluster) -> None:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
    crd = {
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    stored = await cluster.http.create(kinds.CRD, crd)
    assert {c["type"]: c["status"] for c in stored["status"]["conditions"]}["Established"] == "True"
    things = "/apis/example.com/v1/namespaces/default/things"
    made = await cluster.http.call("POST", things, {"metadata": {"name": "t"}, "spec": {"size": 1, "what": 2}})
    assert made["spec"] == {"size": 1}
    with pytest.raises(ApiError, match=r"spec\.size"):
        await cluster.http.call("POST", things, {"metadata": {"name": "u"}, "spec": {"size": "big"}})
    await cluster.http.delete(kinds.CRD, "things.example.com")
    with pytest.raises(ApiError) as caught:
        await cluster.http.call("GET", things)
    assert caught.value.code == 404


async def test_state_survives_a_restart(tmp_path: object) -> None:
    from pathlib import Path

    root = Path(str(tmp_path)) / "m"
    async with apiserver.running(root) as first:
        made = await first.http.create(CONFIG_MAP, config("a", k="v"), "default")
    async with apiserver.running(root) as second:
        assert await second.http.get(CONFIG_MAP, "a", "default") == made


async def test_both_ways_in_and_the_unix_socket_show_the_same(cluster: apiserver.Cluster) -> None:
    made = await cluster.local.create(CONFIG_MAP, config("a", k="v"), "default")
    assert await cluster.http.get(CONFIG_MAP, "a", "default") == made
    async with HttpApi.from_kubeconfig(cluster.kubeconfig, socket=cluster.layout.api_socket) as unix:
        assert await unix.get(CONFIG_MAP, "a", "default") == made


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff\xfe", b"k8s\x00\x0a\xff"])
@pytest.mark.parametrize(
    "media", ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "x/y"]
)
async def test_malformed_bodies_get_a_status_and_change_nothing(
    cluster: apiserver.Cluster, body: bytes, media: str
) -> None:
    session, base, tls = cluster.http.session
    before = (await cluster.http.list(CONFIG_MAP))[1]
    headers = {"Content-Type": media}
    async with session.post(base + path(CONFIG_MAP, "default"), data=body, headers=headers, ssl=tls) as answer:
        assert answer.status in (400, 415)
        assert (await answer.json())["kind"] == "Status"
    assert (await cluster.http.list(CONFIG_MAP))[1] == before

"""What we encode is read back by descriptors written independently of ours, and by our own decoder."""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.base.bundle import Resource, version_of
from plait.model import mesh as m
from plait.model import policies as p
from plait.model.extension import Extension
from plait.wds import decode, encode, messages
from plait.wds.decode import Store

F = descriptor_pb2.FieldDescriptorProto


def independent() -> type:
    """A few fields of istio.workload.Address by their numbers only, as another implementation would know them."""
    file = descriptor_pb2.FileDescriptorProto(name="other.proto", package="other", syntax="proto3")
    service_ports = file.message_type.add(name="Port")
    service_ports.field.add(name="a", number=1, type=F.TYPE_UINT32, label=F.LABEL_OPTIONAL)
    service_ports.field.add(name="b", number=2, type=F.TYPE_UINT32, label=F.LABEL_OPTIONAL)
    listed = file.message_type.add(name="List")
    listed.field.add(name="ports", number=1, type=F.TYPE_MESSAGE, type_name=".other.Port", label=F.LABEL_REPEATED)
    entry = file.message_type.add(name="Entry")
    entry.field.add(name="key", number=1, type=F.TYPE_STRING, label=F.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=F.TYPE_MESSAGE, type_name=".other.List", label=F.LABEL_OPTIONAL)
    workload = file.message_type.add(name="Workload")
    for name, number, kind, label in (
        ("name", 1, F.TYPE_STRING, F.LABEL_OPTIONAL),
        ("addresses", 3, F.TYPE_BYTES, F.LABEL_REPEATED),
        ("tunnel", 5, F.TYPE_UINT32, F.LABEL_OPTIONAL),
        ("trust_domain", 6, F.TYPE_STRING, F.LABEL_OPTIONAL),
        ("service_account", 7, F.TYPE_STRING, F.LABEL_OPTIONAL),
        ("policies", 16, F.TYPE_STRING, F.LABEL_REPEATED),
        ("status", 17, F.TYPE_UINT32, F.LABEL_OPTIONAL),
        ("uid", 20, F.TYPE_STRING, F.LABEL_OPTIONAL),
    ):
        workload.field.add(name=name, number=number, type=kind, label=label)
    workload.field.add(
        name="services", number=22, type=F.TYPE_MESSAGE, type_name=".other.Entry", label=F.LABEL_REPEATED
    )
    address = file.message_type.add(name="Address")
    address.field.add(name="w", number=1, type=F.TYPE_MESSAGE, type_name=".other.Workload", label=F.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("other.Address"))


def test_a_workload_has_the_field_numbers_of_the_protocol() -> None:
    made = m.Workload(
        "Kubernetes//Pod/shop/a",
        "a",
        "shop",
        ("10.0.0.1", "fd00::1"),
        tunnel="hbone",
        service_account="buyer",
        status="unhealthy",
        services=(m.Membership("shop/x.shop.svc.cluster.local", (m.Port(80, 8080),)),),
        policies=("istio-system/istio_converted_static_strict",),
    )
    resource = encode.workload(made)
    read = independent().FromString(resource.value).w
    assert (read.uid, read.name, read.tunnel, read.service_account, read.status) == (made.uid, "a", 1, "buyer", 1)
    assert list(read.addresses) == [b"\x0a\0\0\1", bytes.fromhex("fd00" + "0" * 27 + "1")]
    assert read.trust_domain == "", "the default trust domain is elided"
    assert [(e.key, e.value.ports[0].a, e.value.ports[0].b) for e in read.services] == [
        ("shop/x.shop.svc.cluster.local", 80, 8080)
    ]
    assert list(read.policies) == ["istio-system/istio_converted_static_strict"]
    assert resource.name == made.uid
    assert resource.aliases == ("/10.0.0.1", "/fd00::1")


def test_service_names_and_aliases_follow_the_protocol() -> None:
    service = m.Service(
        "x", "shop", "x.shop.svc.cluster.local", (m.NetworkAddress("10.1.0.1"), m.NetworkAddress("10.2.0.0", "n", 16))
    )
    resource = encode.service(service)
    assert (resource.name, resource.aliases) == ("shop/x.shop.svc.cluster.local", ("/10.1.0.1", "n/10.2.0.0/16"))


word = st.text("abcxyz-", min_size=1, max_size=6)
ip = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
port = st.builds(m.Port, st.integers(1, 65535), st.integers(0, 65535), st.sampled_from(list(messages.PROTOCOL)))
net = st.builds(m.NetworkAddress, ip, word, st.none() | st.integers(0, 32))
gateway = st.builds(m.GatewayAddress, st.just("ns/host"), st.none()) | st.builds(m.GatewayAddress, st.just(""), net)
extension = st.builds(Extension, word, st.just("type.googleapis.com/x.Y"), st.binary(max_size=4))
tuples = lambda s: st.lists(s, max_size=3).map(tuple)  # noqa: E731
workloads = st.builds(
    m.Workload,
    uid=word,
    name=word,
    namespace=word,
    addresses=tuples(ip),
    network=word,
    tunnel=st.sampled_from(["none", "hbone"]),
    trust_domain=st.sampled_from(["cluster.local", "other"]),
    service_account=st.sampled_from(["default", "x"]),
    node=word,
    workload_name=word,
    workload_type=st.sampled_from(list(messages.WORKLOAD_TYPE)),
    canonical_name=word,
    canonical_revision=word,
    status=st.sampled_from(["healthy", "unhealthy"]),
    services=st.dictionaries(word, tuples(port), max_size=3).map(
        lambda d: tuple(m.Membership(k, d[k]) for k in sorted(d))
    ),
    policies=tuples(word),
    waypoint=st.none() | gateway,
    network_gateway=st.none() | gateway,
    cluster_id=st.sampled_from(["Kubernetes", "east"]),
    native_tunnel=st.booleans(),
    application_tunnel=st.none()
    | st.builds(m.ApplicationTunnel, st.sampled_from(["none", "proxy"]), st.integers(0, 9)),
    locality=st.none() | st.builds(m.Locality, word, word, word),
    host_network=st.booleans(),
    capacity=st.none() | st.integers(0, 100),
    extensions=tuples(extension),
)
services = st.builds(
    m.Service,
    name=word,
    namespace=word,
    hostname=word,
    addresses=tuples(net),
    ports=tuples(port),
    subject_alt_names=tuples(word),
    waypoint=st.none() | gateway,
    load_balancing=st.none()
    | st.builds(
        m.LoadBalancing,
        tuples(st.sampled_from(list(messages.SCOPE))),
        st.sampled_from(list(messages.BALANCING)),
        st.booleans(),
    ),
    ip_families=st.sampled_from(list(messages.FAMILIES)),
    canonical=st.booleans(),
    ingress_use_waypoint=st.booleans(),
    weighted_waypoints=tuples(st.builds(m.WeightedWaypoint, gateway, st.integers(0, 100))),
    namespace_only=st.booleans(),
    extensions=tuples(extension),
)
text = st.builds(p.Text, st.sampled_from(["exact", "prefix", "suffix"]), word) | st.just(p.Text("presence"))
span = st.builds(p.Range, ip, st.integers(0, 32))
account = st.builds(p.Account, word, word)
ports = tuples(st.integers(1, 65535))
match = st.builds(
    p.Match, *[tuples(text)] * 4, *[tuples(span)] * 4, ports, ports, tuples(account), tuples(account), tuples(extension)
)
policies = st.builds(
    p.Policy,
    word,
    word,
    st.sampled_from(["mesh", "namespace", "workload"]),
    st.sampled_from(["allow", "deny"]),
    tuples(st.builds(p.Group, tuples(st.builds(p.Rule, tuples(match))))),
    st.booleans(),
    tuples(extension),
)


@given(workloads)
@settings(max_examples=60, deadline=None)
def test_every_workload_comes_back_as_it_was(workload: m.Workload) -> None:
    assert decode.address(encode.workload(workload).value) == workload


@given(services)
@settings(max_examples=60, deadline=None)
def test_every_service_comes_back_as_it_was(service: m.Service) -> None:
    assert decode.address(encode.service(service).value) == service


@given(policies)
@settings(max_examples=60, deadline=None)
def test_every_policy_comes_back_as_it_was(policy: p.Policy) -> None:
    assert decode.authorization(encode.policy(policy).value) == policy


def test_an_unreadable_resource_leaves_the_last_good_one_and_the_others() -> None:
    store = Store(m.Settings())
    good = m.Workload("u", "a", "n", ("10.0.0.1",), workload_name="a", canonical_name="a")
    assert store.apply(messages.ADDRESS_TYPE, [encode.workload(good)], ()) == ()
    other = encode.service(m.Service("x", "n", "h"))
    (problem,) = store.apply(messages.ADDRESS_TYPE, [Resource("u", "2", b"\xff\xff"), other], ())
    assert problem.name == "u"
    assert store.mesh.workloads["u"] == good
    assert list(store.mesh.services) == ["n/h"]


def test_a_tunnel_we_do_not_speak_is_refused_not_guessed() -> None:
    message = messages.Address()
    message.workload.uid, message.workload.tunnel_protocol = "u", 2
    value = message.SerializeToString()
    store = Store(m.Settings())
    (problem,) = store.apply(messages.ADDRESS_TYPE, [Resource("u", version_of(value), value)], ())
    assert "LEGACY_ISTIO_MTLS" in problem.message


def test_a_delta_that_changes_nothing_keeps_every_identity() -> None:
    store = Store(m.Settings())
    resource = encode.service(m.Service("x", "n", "h"))
    store.apply(messages.ADDRESS_TYPE, [resource], ())
    before = store.mesh
    store.apply(messages.ADDRESS_TYPE, [resource], ("unheard of",))
    assert store.mesh.services is before.services


def test_encoding_again_reuses_what_did_not_change() -> None:
    one, two = m.Service("a", "n", "a"), m.Service("b", "n", "b")
    first = encode.encode(m.Mesh(services={one.key: one, two.key: two}))
    changed = m.Service("b", "n", "b", canonical=True)
    second = encode.encode(m.Mesh(services={one.key: one, two.key: changed}), first)
    before, after = first.bundle.of(messages.ADDRESS_TYPE), second.bundle.of(messages.ADDRESS_TYPE)
    assert after["n/a"] is before["n/a"]
    assert after["n/b"].version != before["n/b"].version
    assert second.bundle.of(messages.AUTHORIZATION_TYPE) == first.bundle.of(messages.AUTHORIZATION_TYPE)

"""Routes survive packing and parsing, and namespaces are found in the list of mounts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.routed.hypervisor.plugins.module_utils._agent.routing import containers
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.routing.host import Action, request_of, route_of
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.routing.model import Hop, Prefix, Route, ordered
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.codec import parse_route

GATEWAYS = st.binary(min_size=4, max_size=4).filter(any)


@given(
    st.binary(min_size=4, max_size=4),
    st.integers(0, 32),
    st.integers(1, 2**32 - 1),
    st.sets(st.tuples(GATEWAYS, st.integers(1, 9)), min_size=1, max_size=4),
)
def test_a_route_is_read_as_it_was_packed(address, length, table_number, ways):
    rest = 32 - length
    network = (int.from_bytes(address) >> rest << rest).to_bytes(4)
    wanted = Route(Prefix(network, length), 4096, 83, ordered(Hop(gateway, link) for gateway, link in ways))
    _kind, _flags, body = request_of(table_number, Action("write", wanted))
    found = parse_route(body)
    assert (found.table, route_of(found)) == (table_number, wanted)


MOUNTS = """\
22 1 0:21 / /run rw,nosuid - tmpfs tmpfs rw
90 22 0:4 net:[4026532208] /run/netns/c1 rw shared:3 - nsfs nsfs rw
91 22 0:4 net:[4026532208] /run/netns/c1 rw shared:4 - nsfs nsfs rw
92 22 0:4 net:[4026532300] /run/docker/netns/a\\040b rw - nsfs nsfs rw
93 22 0:4 mnt:[4026532301] /run/netns/m rw - nsfs nsfs rw
94 22 0:4 net:[4026532302] /run/netns/deeper/x rw - nsfs nsfs rw
"""


def test_namespaces_are_what_is_mounted_in_the_directories():
    found = containers.mounted(["/run/netns", "/run/docker/netns"], MOUNTS)
    assert found == {4026532208: "/run/netns/c1", 4026532300: "/run/docker/netns/a b"}

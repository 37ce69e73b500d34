"""What the agent decides about guests, without a kernel."""

from __future__ import annotations

import dataclasses
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.following import ADDRESSES, GATEWAYS, MACS, PORT_MACS, WEB1, WEB2, arp, rarp, raw, table, udp

from ansible_collections.routed.hypervisor.plugins.module_utils._agent.follow import firewall, frames, ports
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.follow.decide import (
    HIGH,
    LOWER_UP,
    decide,
    is_configured,
)
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.follow.guests import Guests
from ansible_collections.routed.hypervisor.plugins.module_utils._agent.follow.seen import FIRST_METRIC, Seen
from ansible_collections.routed.hypervisor.plugins.module_utils._daemon.followed_sets import kept, without_elements
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink import codec
from ansible_collections.routed.hypervisor.plugins.module_utils._netlink.codec import ADDRESS, LINK, ROUTE, packed

GUESTS = Guests(table("public", {"web1": "tap-web1", "web2": None}))
UP = codec.IFF_UP | LOWER_UP
VRF = codec.Link(1, "public", "vrf", flags=UP)
BIRD, FOLLOWED = 12, 85


def port(index, name="tap-web1", mac=PORT_MACS["web1"], **changes):
    return codec.Link(index, name, "tun", mac=mac, flags=UP, master=1)._replace(**changes)


def seen(*links, own=(), others=()):
    found = Seen(GUESTS.by_destination, {link.index: link for link in (VRF, *links)})
    found.marked = {(link.index, packed(gateway)) for link in links for gateway in GATEWAYS}
    for address, number, link in own:
        for where in (90, 254):
            found.own.setdefault((where, packed(address)), {})[FIRST_METRIC + number] = link
    for address, number in others:
        found.others.setdefault((90, packed(address)), {})[number] = (2,)
    return found


def numbers(decision):
    return {
        codec.address_text(address): metric - FIRST_METRIC
        for (where, address), metrics in decision.routes.items()
        for metric in metrics
        if where == 90
    }


WEB1_AT_101 = [(address, 101, 7) for address in WEB1]


def test_a_guest_that_is_heard_gets_routes_in_both_tables_above_all_others():
    decision = decide(GUESTS, seen(port(7), others=[(WEB1[0], 120)]), {"web1": 7})
    assert numbers(decision) == dict.fromkeys(WEB1, 121)
    assert {where for where, _address in decision.routes} == {90, 254}
    assert decision.held == {"web1": (7, 121)} and not decision.silent


def test_a_guest_that_is_not_heard_is_listened_to_and_has_no_route():
    decision = decide(GUESTS, seen(port(7)), {})
    assert not decision.routes and decision.silent == {7: GUESTS.all["web1"]}


def test_a_held_guest_keeps_its_number():
    assert numbers(decide(GUESTS, seen(port(7), own=WEB1_AT_101), {})) == dict.fromkeys(WEB1, 101)


def test_a_later_place_elsewhere_ends_it_and_equal_numbers_do_too():
    for number in (101, 102):
        decision = decide(GUESTS, seen(port(7), own=WEB1_AT_101, others=[(WEB1[1], number)]), {})
        assert not decision.routes and decision.silent


@pytest.mark.parametrize(
    "changes",
    [{"flags": codec.IFF_UP}, {"flags": LOWER_UP}, {"master": 0}],
    ids=["no carrier", "down", "in no VRF"],
)
def test_a_port_that_is_not_usable_has_no_route(changes):
    decision = decide(GUESTS, seen(port(7, **changes), own=WEB1_AT_101), {"web1": 7})
    assert not decision.routes and not decision.silent and decision.bound


def test_a_guest_stays_here_while_its_port_is_configured_anew():
    found = seen(port(7, mac="02:00:00:00:00:01"), own=WEB1_AT_101)
    found.marked.clear()
    assert numbers(decide(GUESTS, found, {})) == dict.fromkeys(WEB1, 101)
    assert not is_configured(GUESTS, GUESTS.all["web1"], found.links[7], found)


def test_a_port_created_anew_gets_a_higher_number_than_the_old_one():
    decision = decide(GUESTS, seen(port(9), own=WEB1_AT_101), {"web1": 9})
    assert numbers(decision) == dict.fromkeys(WEB1, 102)


def test_a_lone_holder_with_a_high_number_begins_again_once_it_is_settled():
    found = seen(port(7), own=[(address, HIGH + 1, 7) for address in WEB1])
    assert numbers(decide(GUESTS, found, {})) == dict.fromkeys(WEB1, HIGH + 1)
    assert numbers(decide(GUESTS, found, {}, {"web1"})) == dict.fromkeys(WEB1, 101)


def test_links_that_inherit_a_mac_or_are_ours_are_no_ports():
    mac = PORT_MACS["web2"]
    for link in (
        port(7, "br0", mac, kind="bridge"),
        port(7, "v1", mac, kind="vlan"),
        port(7, "x", mac, alias="routed.hypervisor"),
    ):
        assert not decide(GUESTS, seen(link), {}).bound


def test_taps_on_their_own_with_the_mac_of_no_guest_are_reported():
    unknown = "fe:54:00:99:99:99"

    def strangers(*arguments, guests=GUESTS, **more):
        return decide(guests, seen(port(7, *arguments, **{"master": 0, **more})), {}).strangers

    assert strangers("vnet7", unknown) == [f"vnet7 ({unknown})"]
    assert not strangers("tun0", "9a:00:00:00:00:01")
    assert not strangers("vnet7", unknown, kind="veth")
    assert not strangers("vnet7", unknown, master=4), "a port of a bridge"
    assert not strangers("vnet7", unknown, flags=0), "not up"
    assert not strangers("vnet7", PORT_MACS["web2"])
    assert not strangers("vnet7", unknown, guests=Guests(table("public", {"web1": "tap-web1"}), ["vnet7"]))


def test_a_name_counts_more_than_a_mac_and_an_alternative_name_is_one():
    decision = decide(GUESTS, seen(port(7, mac=PORT_MACS["web2"]), port(8, "x", altnames=("tap-web1",))), {})
    assert {index: guest.name for index, guest in decision.bound.items()} == {7: "web1"}
    assert "x has the MAC of web1" not in decision.problems
    assert {guest.name for guest in decide(GUESTS, seen(port(8, "x", altnames=("tap-web1",))), {}).bound.values()} == {
        "web1"
    }


SHARED = "203.0.113.100"


def with_shared_address():
    given = table("public", {"web1": "tap-web1", "web2": None})
    for guest in given["guests"].values():
        guest["anycast"] = [SHARED]
    return Guests(given)


def test_a_shared_address_follows_its_guests_without_a_sequence_number():
    guests, both = with_shared_address(), {"web1": 7, "web2": 8}
    links = (port(7), port(8, "vnet3", PORT_MACS["web2"]))
    found = decide(guests, seen(*links, others=[(WEB1[0], 120)]), both)
    assert numbers(found) == {**dict.fromkeys(WEB1, 121), **dict.fromkeys(WEB2, 101), SHARED: 0}
    assert found.routes[90, packed(SHARED)] == {FIRST_METRIC: 7}, "of two guests here, the one with the older port"
    assert decide(guests, seen(*links), {"web2": 8}).routes[90, packed(SHARED)] == {FIRST_METRIC: 8}
    assert (90, packed(SHARED)) not in decide(guests, seen(*links), {}).routes
    assert not frames.is_from(arp(MACS["web1"], SHARED), guests.all["web1"]), "it does not show where a guest is"


def test_the_firewall_lets_a_guest_use_its_shared_address():
    guests = with_shared_address()
    found = firewall.wanted(guests, {"tap-web1": guests.all["web1"]})
    assert found["followed_sources_ipv4"] == {("tap-web1", WEB1[0]), ("tap-web1", SHARED)}


FRAMES = {
    "RARP of QEMU": (rarp(MACS["web1"]), True),
    "ARP": (arp(MACS["web1"], WEB1[0]), True),
    "ARP probe": (arp(MACS["web1"], "0.0.0.0"), True),
    "IPv4": (udp(MACS["web1"], WEB1[0]), True),
    "DHCP": (udp(MACS["web1"], "0.0.0.0"), True),
    "IPv4 of another": (udp(MACS["web1"], WEB2[0]), False),
    "ARP of another": (arp(MACS["web1"], WEB2[0]), False),
    "ARP with another MAC": (arp(MACS["web1"], WEB1[0], sender=MACS["web2"]), False),
    "another MAC": (arp(MACS["web2"], WEB1[0]), False),
    "truncated": (arp(MACS["web1"], WEB1[0])[:30], False),
    "nothing": (b"", False),
    "VLAN tag": (raw(MACS["web2"]) + raw(MACS["web1"]) + b"\x81\x00\x00\x05" + udp(MACS["web1"], WEB1[0])[12:], False),
}


def ipv6(source, target=None, kind=136):
    body = b"" if target is None else bytes([kind, 0, 0, 0, 0, 0, 0, 0]) + packed(target)
    header = b"\x60\0\0\0" + len(body).to_bytes(2, "big") + bytes([58, 255]) + packed(source) + packed("ff02::1")
    return b"\x33\x33\0\0\0\x01" + raw(MACS["web1"]) + b"\x86\xdd" + header + body


FRAMES |= {
    "IPv6": (ipv6(WEB1[1]), True),
    "link-local": (ipv6("fe80::1234"), True),
    "detection of duplicates": (ipv6("::", WEB1[1], 135), True),
    "advertisement": (ipv6(WEB1[1], WEB1[1]), True),
    "IPv6 of another": (ipv6(WEB2[1]), False),
    "advertisement of another": (ipv6("fe80::1234", WEB2[1]), False),
}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_count_only_with_own_mac_and_address(name):
    frame, counts = FRAMES[name]
    assert frames.is_from(frame, GUESTS.all["web1"]) is counts


@given(st.binary(max_size=200))
def test_no_frame_is_an_error(data):
    frames.is_from(data, GUESTS.all["web1"])
    frames.is_from(bytes(6) + raw(MACS["web1"]) + data, GUESTS.all["web1"])


def test_questions_are_for_both_addresses_and_have_a_right_checksum():
    request, solicitation = frames.questions(GUESTS.all["web1"], GUESTS.kinds["guests"].gateways)
    assert request[:6] == raw(MACS["web1"]) and request[38:42] == socket.inet_aton(WEB1[0])
    body = solicitation[14:]
    pseudo = body[8:40] + len(body[40:]).to_bytes(4, "big") + (58).to_bytes(4, "big")
    assert frames.checksum(pseudo + body[40:]) == 0


# The kernel, as far as it matters here, with the notifications that it sends and those that it does not.


@dataclasses.dataclass
class Model:
    links: dict = dataclasses.field(default_factory=dict)
    routes: dict = dataclasses.field(default_factory=dict)  # (table, address, metric, protocol) -> link
    addresses: set = dataclasses.field(default_factory=set)
    events: list = dataclasses.field(default_factory=list)

    def _link_event(self, kind, link):
        attributes = [("IFLA_IFNAME", link.name), ("IFLA_ADDRESS", link.mac), ("IFLA_MASTER", link.master or None)]
        attributes.append(("IFLA_LINKINFO", [("IFLA_INFO_KIND", link.kind)]))
        self.events.append((kind, codec.pack(LINK, {"index": link.index, "flags": link.flags}, attributes)))

    def _route_body(self, key, link):
        where, address, metric, protocol = key
        family = codec.family_of(address)
        fields = {"family": family, "dst_len": len(address) * 8, "table": where, "proto": protocol, "type": 1}
        return codec.pack(ROUTE, fields, [("RTA_DST", address), ("RTA_PRIORITY", metric), ("RTA_OIF", link)])

    def link(self, index, **changes):
        link = self.links.get(index) or port(index, f"port{index}", PORT_MACS["web2"])
        self.links[index] = link = link._replace(**changes)
        self._link_event(LINK, link)
        if not link.up:
            self._drop(index)

    def unlink(self, index):
        if index in self.links:
            self._drop(index)
            for entry in [entry for entry in self.addresses if entry[0] == index]:
                self.address(*entry, False)
            self._link_event(LINK + 1, self.links.pop(index))

    def _drop(self, index):
        for key in [key for key, link in self.routes.items() if link == index]:
            if len(key[1]) == 16:  # for IPv4 there is none
                self.events.append((ROUTE + 1, self._route_body(key, index)))
            del self.routes[key]

    def route(self, key, index, present):
        if not present and key in self.routes:
            self.events.append((ROUTE + 1, self._route_body(key, self.routes.pop(key))))
        elif present and index in self.links and self.links[index].up:
            self.routes[key] = index
            self.events.append((ROUTE, self._route_body(key, index)))

    def address(self, index, address, present):
        if present and index not in self.links:
            return
        (self.addresses.add if present else self.addresses.discard)((index, address))
        fields = {"family": codec.family_of(address), "prefixlen": 32, "index": index}
        body = codec.pack(ADDRESS, fields, [("IFA_LOCAL", address), ("IFA_ADDRESS", address), ("IFA_PROTO", FOLLOWED)])
        self.events.append((ADDRESS if present else ADDRESS + 1, body))

    def dump(self, kind, fields=None, attributes=(), may_be=None):
        """As Network.dump."""
        if kind == LINK:
            made = Model()
            for link in self.links.values():
                made._link_event(LINK, link)
            return [codec.parse_link(body) for _kind, body in made.events]
        if kind == ADDRESS:
            return [codec.Address(2, 32, index, 0, 0, address, FOLLOWED) for index, address in self.addresses]
        family, protocol, where = fields["family"], fields.get("proto"), dict(attributes).get("RTA_TABLE")
        bodies = [
            self._route_body(key, link)
            for key, link in self.routes.items()
            if protocol in (None, key[3]) and where in (None, key[0])
        ]
        bodies = [body for body in bodies if may_be is None or may_be(bytes(16) + body, 16)]
        return [route for route in map(codec.parse_route, bodies) if route.family == family]


INDEXES = st.integers(1, 4)
KEYS = st.tuples(
    st.sampled_from([90, 254]),
    st.sampled_from([packed(address) for address in (*WEB1, *WEB2)]),
    st.sampled_from([100, 101, 102, FIRST_METRIC + 101, FIRST_METRIC + 102]),
    st.sampled_from([BIRD, FOLLOWED]),
)
FLAGS = st.sampled_from([0, codec.IFF_UP, UP])
LINKS = st.fixed_dictionaries(
    {},
    optional={
        "flags": FLAGS,
        "mac": st.sampled_from(list(PORT_MACS.values())),
        "name": st.sampled_from(["tap-web1", "a", "b"]),
        "master": st.sampled_from([0, 1]),
        "kind": st.sampled_from(["tun", "vrf", "bridge"]),
    },
)
OPERATIONS = st.one_of(
    st.tuples(st.just("link"), INDEXES, LINKS),
    st.tuples(st.just("unlink"), INDEXES),
    st.tuples(st.just("route"), KEYS, INDEXES, st.booleans()),
    st.tuples(
        st.just("address"), INDEXES, st.sampled_from([packed("203.0.113.254"), packed("fe80::1")]), st.booleans()
    ),
)


def apply(model, operation):
    name, *arguments = operation
    if name == "link":
        model.link(arguments[0], **arguments[1])
    else:
        getattr(model, name)(*arguments)


def content(found):
    return found.links, found.own, {key: set(value) for key, value in found.others.items()}, found.marked


@settings(max_examples=300, deadline=None)
@given(st.lists(OPERATIONS, max_size=25), st.lists(OPERATIONS, max_size=25), st.booleans())
def test_any_order_of_events_ends_where_reading_everything_does(first, second, overrun):
    model, followed = Model(), Seen(GUESTS.by_destination)
    for operation in first:
        apply(model, operation)
    followed.read(model)
    model.events.clear()
    for operation in second:
        before = {key for key in model.routes if key[3] == FOLLOWED}
        apply(model, operation)
        dropped = {((key[0], key[1]), key[2]) for key in before - set(model.routes) if len(key[1]) == 4}
        silent = operation[0] != "route"
        if overrun:
            continue
        for event in model.events:
            followed.take(*event)
        model.events.clear()
        assert not silent or dropped <= followed.lost, "what the kernel drops silently is announced"
    if overrun:
        followed.read(model)
    fresh = Seen(GUESTS.by_destination)
    fresh.read(model)
    assert content(followed) == content(fresh)
    assert decide(GUESTS, followed, {}) == decide(GUESTS, fresh, {})
    assert not any(metric in followed.own.get(where, ()) for where, metric in followed.lost)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_hosts_agree_on_where_a_guest_is_whatever_the_delays(data):
    """Each host has what it holds and what it last learned; announcements arrive late, in the order of each sender."""
    hosts = data.draw(st.integers(2, 4))
    held = [0] * hosts
    learned = [[0] * hosts for _host in range(hosts)]
    queues = {(one, other): [] for one in range(hosts) for other in range(hosts) if one != other}

    def look(host, heard):
        # the routing daemon shows the best of the others, unless the host's own is better
        best = max(learned[host])
        others = [(WEB1[0], best)] if best and best >= held[host] else []
        own = [(address, held[host], 7) for address in WEB1] if held[host] else []
        decision = decide(GUESTS, seen(port(7), own=own, others=others), {"web1": 7} if heard else {})
        number = decision.held.get("web1", (7, 0))[1]
        if number != held[host]:
            held[host] = number
            for other in range(hosts):
                if other != host:
                    queues[host, other].append(number)

    def deliver(pair):
        sender, receiver = pair
        if queues[pair]:
            learned[receiver][sender] = queues[pair].pop(0)
            look(receiver, False)

    place = 0
    look(place, True)
    for _step in range(data.draw(st.integers(0, 30))):
        if data.draw(st.booleans()):
            place = data.draw(st.integers(0, hosts - 1))
            look(place, True)
        else:
            deliver(data.draw(st.sampled_from(sorted(queues))))
    for _round in range(4 * hosts):
        while any(queues.values()):
            for pair in sorted(queues):
                deliver(pair)
        look(place, True)  # it goes on sending, or replies to the agent's question
    assert [host for host, number in enumerate(held) if number] == [place]


def test_ports_answer_for_all_other_guests_of_the_segment():
    config = ports.config_of(GUESTS, {"tap-web1": GUESTS.all["web1"]}, True)
    [entry] = config["proxy_arp"]
    assert WEB2[1] in entry["entries"] and WEB1[1] not in entry["entries"]
    assert ports.config_of(GUESTS, {"tap-web1": GUESTS.all["web1"]}, False)["proxy_arp"][0]["entries"] == []


def test_the_firewall_gets_ports_sources_and_vrfs():
    found = firewall.wanted(GUESTS, {"tap-web1": GUESTS.all["web1"]})
    assert found["followed_ports"] == found["followed_vrf_ports"] == {("tap-web1",)}
    assert found["followed_vrfs"] == {("public", "tap-web1")}
    assert found["followed_sources_ipv4"] == {("tap-web1", WEB1[0])}
    assert found["followed_sources_ipv6"] == {("tap-web1", WEB1[1])}


LISTING = """table inet routed_hypervisor {
	set guest_ports {
		type ifname
		elements = { "vm1" }
	}

	set followed_ports {
		type ifname%s
	}

	set followed_sources_ipv4 {
		type ifname . ipv4_addr%s
	}

	chain prerouting {
		iifname @followed_ports jump check_source
	}
}
"""


def test_elements_of_followed_sets_are_no_difference_and_are_kept():
    full = LISTING % (
        '\n\t\telements = { "tap-web1", "tap-web2" }',
        '\n\t\telements = { "tap-web1" . 203.0.113.11,\n\t\t\t     "tap-web2" . 203.0.113.12 }',
    )
    assert without_elements(full) == LISTING % ("", "")
    found = {
        "followed_ports": {("tap-web1",)},
        "followed_sources_ipv4": {("tap-web1", WEB1[0])},
        "followed_gone": {("x",)},
    }
    assert kept("t", found, full) == (
        'add element inet t followed_ports { "tap-web1" }\n'
        f'add element inet t followed_sources_ipv4 {{ "tap-web1" . {WEB1[0]} }}\n'
    )


def test_a_table_with_two_families_has_destinations_in_every_table():
    assert set(GUESTS.by_destination) == {
        (where, packed(a)) for where in (90, 254) for name in ADDRESSES for a in ADDRESSES[name]
    }

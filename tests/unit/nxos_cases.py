"""Changes of the intent of a leaf, and for each what is sent to the switch: all of it, in order."""

from __future__ import annotations


def neighbor(values: dict, name: str) -> dict:
    return next(session for session in values["bgp"]["sessions"] if session["name"] == name)


def _without_host3(values):
    for key in ("instances", "sessions", "redistribute"):
        values["bgp"][key] = [one for one in values["bgp"][key] if one["vrf"] is None]


def _authenticated(values):
    values["ospf"]["authentication"] = {"key_id": 7, "password_key": "0.0.0.0"}
    values["ospf_passwords"] = {"0.0.0.0": "an-area-secret"}


CASES = {
    "OSPF gets a password": (
        _authenticated,
        """
        router ospf 500
        area 0.0.0.0 authentication message-digest
        vrf blue
        area 0.0.0.0 authentication message-digest
        interface Ethernet1/49
        ip ospf message-digest-key 7 md5 0 an-area-secret
        interface Ethernet1/50
        ip ospf message-digest-key 7 md5 0 an-area-secret
        interface Ethernet1/51
        ip ospf message-digest-key 7 md5 0 an-area-secret
        """,
    ),
    "nothing": (
        lambda values: None,
        """
        """,
    ),
    "description of a neighbor": (
        lambda values: neighbor(values, "host1_ipv4").update(description="host1b"),
        """
        router bgp 4200000500
        neighbor 50.1.1.1
        description host1b@routed.hypervisor
        """,
    ),
    "a limit goes": (
        lambda values: neighbor(values, "host1_ipv4").update(maximum_prefix=None),
        """
        router bgp 4200000500
        neighbor 50.1.1.1
        address-family ipv4 unicast
        no maximum-prefix 1000
        """,
    ),
    "a neighbor goes": (
        lambda values: values["bgp"]["sessions"].pop(0),
        """
        router bgp 4200000500
        no neighbor 50.1.1.1
        """,
    ),
    "all neighbors of a VRF go": (
        _without_host3,
        """
        router bgp 4200000500
        vrf blue
        no neighbor 10.20.0.11
        no neighbor 2001:db8:20::11
        no neighbor 80.1.2.2
        """,
    ),
    "a password goes": (
        lambda values: neighbor(values, "host1_ipv4").update(password_key=None),
        """
        router bgp 4200000500
        neighbor 50.1.1.1
        no password
        """,
    ),
    "a password comes": (
        lambda values: neighbor(values, "host2_ipv4").update(password_key="hosts"),
        """
        router bgp 4200000500
        neighbor 10.254.0.2
        password 0 first-secret
        """,
    ),
    "another AS": (
        lambda values: neighbor(values, "leaf2_blue_ipv4").update(
            {"neighbor_as": 65009, "update_source": None, "next_hop": "keep"}
        ),
        """
        router bgp 4200000500
        vrf blue
        no neighbor 80.1.2.2
        neighbor 80.1.2.2
        shutdown
        remote-as 65009
        description leaf2@routed.hypervisor
        timers 3 9
        address-family ipv4 unicast
        route-map BLUE-CONTAINERS-IPV4 in
        route-map BLUE-CONTAINERS-IPV4 out
        router bgp 4200000500
        vrf blue
        neighbor 80.1.2.2
        password 0 second-secret
        no shutdown
        """,
    ),
    "an interface's second address": (
        lambda values: values["leaf"]["interfaces"][1]["addresses"].append("2001:db8:51::2/64"),
        """
        interface Vlan10
        ipv6 address 2001:db8:51::2/64
        """,
    ),
    "an interface's other address": (
        lambda values: values["leaf"]["interfaces"][1].update(addresses=["50.1.1.3/24", "2001:db8:50::3/64"]),
        """
        interface Vlan10
        ip address 50.1.1.3/24
        ipv6 address 2001:db8:50::3/64
        no ipv6 address 2001:db8:50::2/64
        """,
    ),
    "an interface leaves its VRF": (
        lambda values: values["leaf"]["interfaces"][2].update(vrf=None),
        """
        interface Vlan20
        no vrf member blue
        description hosts of blue @routed.hypervisor
        no ip redirects
        no ipv6 redirects
        ipv6 nd suppress-ra
        ip address 10.20.0.1/24
        ipv6 address 2001:db8:20::1/64
        no shutdown
        """,
    ),
    "a port goes": (
        lambda values: values["leaf"]["ports"].pop(),
        """
        default interface Ethernet1/3
        """,
    ),
    "a prefix goes": (
        lambda values: values["bgp"]["policies"][1]["permit"].pop(2),
        """
        no ip prefix-list TO-HOSTS-IPV4 seq 30 permit 50.1.1.0/24
        """,
    ),
    "a prefix is another": (
        lambda values: values["bgp"]["policies"][1]["permit"][2].update(prefix="50.1.2.0/24"),
        """
        ip prefix-list TO-HOSTS-IPV4 seq 40 permit 50.1.2.0/24
        no ip prefix-list TO-HOSTS-IPV4 seq 30 permit 50.1.1.0/24
        """,
    ),
    "a rule goes": (
        lambda values: values["leaf"]["acls"][0]["rules"].pop(),
        """
        ip access-list FROM-HOSTS-NEXT
        10 permit tcp 50.1.1.0/24 50.1.1.2/32 eq bgp
        20 permit tcp 50.1.1.0/24 eq bgp 50.1.1.2/32
        30 permit udp 50.1.1.0/24 50.1.1.2/32 eq 3784
        40 permit icmp any any
        50 deny ip any 50.1.1.2/32
        interface Vlan10
        ip access-group FROM-HOSTS-NEXT in
        ip access-list FROM-HOSTS
        no 60
        interface Vlan10
        ip access-group FROM-HOSTS in
        no ip access-list FROM-HOSTS-NEXT
        """,
    ),
    "a rule is another": (
        lambda values: values["leaf"]["acls"][0]["rules"][5].update(action="deny"),
        """
        ip access-list FROM-HOSTS-NEXT
        10 permit tcp 50.1.1.0/24 50.1.1.2/32 eq bgp
        20 permit tcp 50.1.1.0/24 eq bgp 50.1.1.2/32
        30 permit udp 50.1.1.0/24 50.1.1.2/32 eq 3784
        40 permit icmp any any
        50 deny ip any 50.1.1.2/32
        60 deny ip any any
        interface Vlan10
        ip access-group FROM-HOSTS-NEXT in
        ip access-list FROM-HOSTS
        no 60
        60 deny ip any any
        interface Vlan10
        ip access-group FROM-HOSTS in
        no ip access-list FROM-HOSTS-NEXT
        """,
    ),
    "an access list goes": (
        lambda values: values["leaf"]["acls"].pop(),
        """
        interface Vlan10
        no ipv6 traffic-filter FROM-HOSTS-IPV6 in
        """,
    ),
    "a static route goes": (
        lambda values: values["leaf"]["static"].pop(0),
        """
        no ip route 50.1.9.0/24 50.1.1.9 name routed.hypervisor
        """,
    ),
    "a static route of a VRF has another next hop": (
        lambda values: values["leaf"]["static"][2].update(next_hop="10.20.0.8"),
        """
        vrf context blue
        ip route 10.29.0.0/16 10.20.0.8 name routed.hypervisor
        no ip route 10.29.0.0/16 10.20.0.9 name routed.hypervisor
        """,
    ),
    "no redistribution": (
        lambda values: values["bgp"]["redistribute"].pop(0),
        """
        router bgp 4200000500
        address-family ipv4 unicast
        no redistribute direct route-map LEAF-SUBNETS-IPV4
        """,
    ),
    "fewer paths": (
        lambda values: values["bgp"].update(maximum_paths=4),
        """
        router bgp 4200000500
        address-family ipv4 unicast
        maximum-paths 4
        maximum-paths ibgp 4
        address-family ipv6 unicast
        maximum-paths 4
        maximum-paths ibgp 4
        vrf blue
        address-family ipv4 unicast
        maximum-paths 4
        maximum-paths ibgp 4
        address-family ipv6 unicast
        maximum-paths 4
        maximum-paths ibgp 4
        """,
    ),
}

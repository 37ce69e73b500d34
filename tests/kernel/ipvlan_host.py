"""A host with masters and containers, for the tests of ipvlan links."""

from __future__ import annotations

from support.namespace import Namespace

MODES = ("l2", "l3", "l3s")
FLAGS = ("bridge", "private", "vepa")


class Host:
    """A namespace that is the host, with two interfaces, and containers: namespaces of their own."""

    def __init__(self, space):
        self.space = space
        self.ip = space.ip
        for master in ("fabric-left", "fabric-right"):
            space.cable(master)
        self.containers = {}

    def container(self, short):
        """The namespace of a container that someone else created."""
        if short not in self.containers:
            self.containers[short] = Namespace.made(f"{self.space.name}-{short}")
        return self.containers[short]

    def place(self, short=None):
        """A container, or the host."""
        return self.container(short) if short else self.space

    def show(self, command, inside=None):
        return self.place(inside).show(command)

    def link(self, short, name="eth0"):
        [link] = self.show(f"address show dev {name}", short)
        return link

    def full(self, config):
        """A configuration with the real names of containers' namespaces."""
        return [{**e, "namespace": self.container(e["namespace"]).name} if "namespace" in e else e for e in config]

    def changed(self, config, **args):
        """Like `changed` of the namespace, with short names of containers."""
        changes = self.space.changed("ipvlan_links", config=self.full(config), **args)
        return [(op, name.replace(f"{self.space.name}-", "")) for _kind, op, name in changes]

    def mistakes(self, config, **args):
        before = self.space.settled()
        result = self.space.module("ipvlan_links", config=self.full(config), **args)
        assert result["failed"], result
        assert self.space.settled() == before
        return [text.replace(f"{self.space.name}-", "") for text in result.get("mistakes", [result["msg"]])]


def link(container, address, **more):
    entry = {"name": "eth0", "master": "fabric-left", "mode": "l2", "addresses": [{"address": address}], **more}
    return entry if container is None else {**entry, "namespace": container}


CONFIG = [
    link("c1", "10.10.1.2/24", mtu=1400, routes=[{"prefix": "0.0.0.0/0", "gateway": "10.10.1.1"}]),
    link("c2", "2001:DB8::0002/64", sysctls={"ipv4": {"rp_filter": 1}, "ipv6": {"accept_ra": 0}}),
    link("c3", "10.10.1.3", routes=[{"prefix": "10.10.1.0/24"}, {"prefix": "::/0", "gateway": "fe80::1"}]),
    link("c3", "10.20.1.2/24", name="eth1", master="fabric-right", mode="l3", flag="private", state="down"),
    link(None, "10.10.1.1/24", name="host-left"),
]
ALL = ["eth0 in c1", "eth0 in c2", "eth0 in c3", "eth1 in c3", "host-left"]

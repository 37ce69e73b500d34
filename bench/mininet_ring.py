"""Starts and stops a ring of Mininet hosts, for lab_nodes.py. Arguments: their names. Prints seconds by step."""

from __future__ import annotations

import json
import sys
import time

from mininet.net import Mininet

# Mininet would raise limits of the whole machine (file-max, neighbor tables), which are not needed here.
Mininet.inited = True


def main() -> None:
    names = sys.argv[1:]
    started = time.perf_counter()
    net = Mininet(controller=None, build=False)
    for name in names:
        net.addHost(name)
    made = time.perf_counter()
    for a, b in zip(names, names[1:] + names[:1]):  # noqa: B905 - Python of any age
        net.addLink(a, b, intfName1="right", intfName2="left")
    net.start()
    for host in net.hosts:
        for link in ("right", "left"):
            host.intf(link).ifconfig("up")
    up = time.perf_counter()
    net.stop()
    json.dump({"nodes": made - started, "links, up": up - made, "down": time.perf_counter() - up}, sys.stdout)


if __name__ == "__main__":
    main()

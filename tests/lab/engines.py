"""Docker and podman on a lab's hosts, with an image that needs no registry."""

from __future__ import annotations

import re

ROOT = """
mkdir -p /tmp/busybox/bin /tmp/busybox/etc && cp /bin/busybox /tmp/busybox/bin
for program in ping sh sleep; do ln -sf busybox /tmp/busybox/bin/$program; done
tar -C /tmp/busybox -c . | {engine} import - busybox
"""
# An engine starts a container in a few seconds; on a busy machine with a lab's kernel, in more than a minute.
ANSWER_S = 300
RAW = "--cap-add=NET_RAW"  # for ping; podman does not give it


class Engine:
    """`docker` or `podman` on the hosts of a lab."""

    def __init__(self, lab, name, hosts):
        self.lab, self.name = lab, name
        self.containers = {}
        for host in hosts:
            if "busybox" not in self.run(host, "images"):
                lab.run(host, "sh", "-ec", ROOT.format(engine=name), seconds=ANSWER_S)

    def tried(self, host, *words) -> tuple[int, str]:
        code, output, errors = self.lab.tried(host, self.name, *words, seconds=ANSWER_S)
        return code, output + errors

    def run(self, host, *words) -> str:
        code, output = self.tried(host, *words)
        assert code == 0, f"{host}: {self.name} {' '.join(words)}: {output}"
        return output.strip()

    def start(self, host, container, network, family="4", *options) -> str:
        """Its address."""
        self.containers[container] = host
        self.run(
            host,
            "run",
            "--detach",
            f"--name={container}",
            f"--network={network}",
            "--stop-timeout=0",  # sleep ignores the signal that asks it to end
            RAW,
            *options,
            "busybox",
            "sleep",
            "9999",
        )
        return self.address(host, container, family)

    def address(self, host, container, family="4") -> str:
        """As the kernel has it."""
        pid = self.run(host, "inspect", "--format", "{{.State.Pid}}", container)
        shown = self.lab.run(
            host, "nsenter", "-t", pid, "-n", "ip", f"-{family}", "-o", "address", "show", "dev", "eth0"
        )
        return next(one for one in re.findall(r"inet6? (\S+)/", shown) if not one.startswith("fe80"))

    def clear(self):
        for container in list(self.containers):
            self.remove(container)

    def remove(self, container):
        self.run(self.containers.pop(container), "rm", "--force", container)

    def pings(self, container, address) -> str:
        """What ping in a container prints, or nothing without an answer."""
        code, output = self.tried(self.containers[container], "exec", container, "ping", "-c", "1", "-W", "5", address)
        return output if code == 0 else ""

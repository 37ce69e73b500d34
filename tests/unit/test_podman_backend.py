"""Which podman can have networks of CNI, and what is refused, with its reason and a remedy."""

from __future__ import annotations

import json

import pytest

from ansible_collections.routed.hypervisor.plugins.module_utils._daemon import service
from ansible_collections.routed.hypervisor.plugins.module_utils._runtimes import podman

WRONG = "and networks for netavark are not supported: podman 4, or no podman among the runtimes of this host"
# What it prints, by its arguments; a backend of None follows its settings.
PROGRAM = """#!/usr/bin/env python3
import json, os, re, sys
given, words = json.load(open("{given}")), sys.argv[1:]
if words[0] == "version":
    print(given["version"])
elif words[0] == "ps":
    print(*given["containers"], sep="\\n")
else:
    paths = filter(os.path.isfile, [os.environ.get("CONTAINERS_CONF", ""), "{settings}"])
    settings = "".join(open(path).read() for path in paths)
    found = re.search('network_backend = "(.*)"', settings)
    print(given["backend"] or (found[1] if found else "netavark"))
"""


class Podman:
    def __init__(self, directory, monkeypatch):
        self.settings, self.given = directory / "90-routed-hypervisor.conf", directory / "given.json"
        program = directory / "podman"
        program.write_text(PROGRAM.format(given=self.given, settings=self.settings))
        program.chmod(0o755)
        for module in (service, podman):
            monkeypatch.setattr(module, "PATH", f"{directory}:{service.PATH}")
        self.have()

    def have(self, version="4.3.1", backend=None, containers=()):
        self.given.write_text(json.dumps({"version": version, "backend": backend, "containers": containers}))

    def run(self, state="present") -> list[str]:
        made = podman.plan(str(self.settings), state)
        podman.apply(made)
        return [change.op for change in made.changes]

    def refused(self) -> str:
        before = self.settings.read_text() if self.settings.exists() else None
        with pytest.raises(podman.PodmanError) as error:
            self.run()
        assert (self.settings.read_text() if self.settings.exists() else None) == before
        return str(error.value)


@pytest.fixture
def host(tmp_path, monkeypatch):
    return Podman(tmp_path, monkeypatch)


def test_podman_4_is_switched_to_cni_once_and_back(host):
    assert [host.run(), host.run(), host.run("absent"), host.run("absent")] == [["create"], [], ["delete"], []]


def test_podman_5_is_refused(host):
    """As Debian 13 has it."""
    host.have("5.4.2", "netavark")
    assert host.refused() == f"podman 5.4.2 has no CNI, {WRONG}"


def test_a_podman_4_without_cni_is_refused(host):
    host.have("4.9.4", "netavark")
    assert host.refused() == f"podman 4.9.4 has no CNI, only netavark, {WRONG}"


def test_containers_that_would_lose_their_networks_are_named(host):
    host.have(containers=["w1", "w2"])
    wrong = "podman must use CNI, and w1, w2 would lose their networks: remove these containers first"
    assert host.refused() == wrong


def test_another_file_that_has_the_last_word_is_found_by_the_next_run(host):
    host.run()
    host.have(backend="netavark")
    wrong = f"podman still uses netavark, although {host.settings} says otherwise"
    assert host.refused() == f"{wrong}: remove network_backend from the other files"


def test_a_file_of_somebody_else_is_not_replaced(host):
    host.settings.write_text("[network]")
    assert host.refused() == f"{host.settings} is not ours: remove or rename it"

# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls the plugins of a CNI network as a runtime does. Private to this collection.

A probe is a container without a runtime: added, checked and removed, with a name and records of its own. The results of
real containers are those that libcni keeps.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import subprocess
import tempfile
import typing as t

from .._daemon.service import PATH
from .._netlink import named_namespaces
from .._netlink.kernel import namespace_path

DIRECTORIES = ("/usr/lib/cni", "/opt/cni/bin")
RESULTS = "/var/lib/cni/results"
ANSWER_S = 60
PROBE = "routed-probe"  # the name of its network, its container and its namespace
Document = dict[str, t.Any]


class CallError(Exception):
    """What a plugin refuses."""


class Container(t.NamedTuple):
    name: str
    namespace: str
    interface: str


def installed(plugin: str, directories: t.Sequence[str] = DIRECTORIES) -> str | None:
    return next((path for each in directories if os.path.isfile(path := os.path.join(each, plugin))), None)


def call(command: str, network: Document, container: Container, result: Document | None, **given: t.Any) -> Document:
    """ADD, CHECK or DEL through the whole chain; returns the result of ADD. Raises CallError."""
    plugins = network.get("plugins", [network])
    for plugin in reversed(plugins) if command == "DEL" else plugins:
        path = installed(str(plugin["type"]))
        if path is None:
            raise CallError(f"the CNI plugin {plugin['type']} is missing")
        config = {**plugin, "name": network["name"], "cniVersion": network["cniVersion"], **given}
        output = _run(path, command, config if result is None else {**config, "prevResult": result}, container)
        if command == "ADD":
            result = json.loads(output)
    return result or {}


def _run(path: str, command: str, config: Document, container: Container) -> str:
    environment = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": container.name,
        "CNI_NETNS": container.namespace,
        "CNI_IFNAME": container.interface,
        "CNI_PATH": ":".join(DIRECTORIES),
        "PATH": PATH,
    }
    try:
        done = subprocess.run(
            [path],
            input=json.dumps(config),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=ANSWER_S,
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise CallError(f"{command} of {os.path.basename(path)}: {error}") from error
    if done.returncode:
        wrong = done.stdout + done.stderr
        with contextlib.suppress(ValueError, TypeError):
            wrong = json.loads(done.stdout).get("msg", wrong)
        raise CallError(f"{command} of {os.path.basename(path)}: {wrong.strip()}")
    return done.stdout


class Kept(t.NamedTuple):
    """A container that a runtime has added, and what it was given."""

    container: Container
    network: Document
    result: Document


def kept(network: str) -> t.Iterator[Kept]:
    """The containers in a network whose results a runtime has kept, and whose namespaces exist."""
    for name in sorted(os.listdir(RESULTS)) if os.path.isdir(RESULTS) else ():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, StopIteration):
            with open(os.path.join(RESULTS, name), "rb") as file:
                entry = json.load(file)
            sandbox = next(one["sandbox"] for one in entry["result"]["interfaces"] if one.get("sandbox"))
            if entry["networkName"] == network and os.path.exists(sandbox):
                container = Container(entry["containerId"], sandbox, entry["ifName"])
                yield Kept(container, json.loads(base64.b64decode(entry["config"])), entry["result"])


def check_results(network: str, most: int) -> list[str]:
    """What CHECK finds wrong with up to MOST containers in a network whose results a runtime has kept."""
    problems = []
    for each in itertools.islice(kept(network), most):
        try:
            call("CHECK", each.network, each.container, each.result)
        except CallError as error:
            problems.append(f"{each.container.name[:12]}: {error}")
    return problems


def probe(network: Document, addresses: t.Sequence[str]) -> str | None:
    """Adds, checks and removes a container with these ADDRESSES; what went wrong, or None."""
    container = Container(PROBE, namespace_path(PROBE), "eth0")
    document = json.loads(json.dumps(network))
    document["name"] = PROBE
    try:
        with tempfile.TemporaryDirectory() as records, _namespace():
            document["plugins"][0]["ipam"]["dataDir"] = records
            result: Document | None = None
            try:
                result = call("ADD", document, container, None, runtimeConfig={"ips": [*addresses]})
                call("CHECK", document, container, result)
            finally:
                call("DEL", document, container, result)
    except (CallError, OSError) as error:
        return str(error)
    return None


@contextlib.contextmanager
def _namespace() -> t.Iterator[None]:
    with contextlib.suppress(OSError):
        named_namespaces.remove(PROBE)  # of a probe that was killed
    named_namespaces.create(PROBE)
    try:
        yield
    finally:
        named_namespaces.remove(PROBE)

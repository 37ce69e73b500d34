"""Mutated intents of all inventories: each is refused in its place, or accepted by everything that reads it later.

500 cases by default; MUTATIONS=N for more. The seed is fixed, so that a case fails again.
"""

# ruff: noqa: E501 - values in few lines

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.intent_samples import CONTAINERS, OTHER
from support.modules import PROJECT
from support.templates import parser_says, render
from test_frr import PARSER as FRR
from test_gobgp import instances
from test_templates import PARSERS

from ansible_collections.routed.hypervisor.plugins.module_utils._network import network
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import IntentError
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import read
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory

CASES = int(os.environ.get("MUTATIONS", "500"))
SLOW_S = 2  # of processor time
PARSED = 40 if CASES <= 500 else 1000  # distinct texts
INTENTS = [*(yaml.safe_load(path.read_text()) for path in PROJECT.glob("inventories/*/fabric.yml")), OTHER, CONTAINERS]
MARKER = "zqMARKER"
VALUES = [
    None, True, False, 0, -1, 1, 254, 4095, 65535, 65000.0, 2**32, 10**30, "", "x", "-", "none", "slaac", "bird", "gobgp",
    "frr", "nxos", "configured", "automatic", "l2", "l3", "l3s", [], {}, [None], {"x": None}, "192.0.2.1", "192.0.2.0/24",
    "10.0.0.0/8", "2001:db8::1", "2001:db8::/64", "fe80::1", "192.168.10.100-193.168.10.199", "02:00:cb:00:71:01",
    f'{MARKER}"\n', f"{MARKER}'; }}", f"{MARKER}{{{{ 7 * 7 }}}}", f"{MARKER}\x1b[2J", f"{MARKER}\u202e", f"{MARKER} #",
]  # fmt: skip


def places(value, path=()):
    if isinstance(value, dict | list):
        for key, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            yield from places(below, (*path, key))


def near(value, source: random.Random):
    """Another value of the same kind, which is often right, too."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return value + source.choice((-1, 1, 7))
    return re.sub(
        r"\d+$|(?<=\.)\d+(?=/)", lambda found: str(int(found[0]) + source.choice((1, 2, 8))), str(value), count=1
    )


def mutated(source: random.Random) -> str:
    data = yaml.safe_load(yaml.safe_dump(source.choice(INTENTS)))
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        parent, key = source.choice(list(places(data)))
        what = source.random()
        if what < 0.3 and not isinstance(parent[key], dict | list):
            parent[key] = near(parent[key], source)
        elif what < 0.5:
            parent[key] = source.choice(VALUES)
        elif what < 0.7:
            other, at = source.choice(list(places(data)))
            parent[key] = yaml.safe_load(yaml.safe_dump(other[at]))
        elif what < 0.8:
            del parent[key]
        elif isinstance(parent, dict):
            parent[source.choice((f"{key}x", f"{MARKER}\n", "1", "all", "x" * 40))] = parent.pop(key)
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    if source.random() < 0.15:
        at = source.randrange(len(text))
        text = text[:at] + source.choice(("", "\t", "{", "*a", "é\x07", ": ", "!!int ", "\n")) + text[at + 1 :]
    return text


def texts_of(values: dict) -> dict[str, str]:
    """The files of one node, each by its name."""
    values = {**values, "bgp_passwords": Passwords(), "ospf_passwords": Passwords()}
    daemon = values.get("bgp", {}).get("daemon")
    files = [f for f in ("nftables/nftables.conf", "radvd/radvd.conf") if values.get(f.partition("/")[0])]
    if not values.get("radvd", {}).get("interfaces", True):
        files.remove("radvd/radvd.conf")  # the role stops radvd, which refuses a file without interfaces
    if "dnsmasq" in values:
        files += ["dnsmasq/dnsmasq.conf", "dnsmasq/dnsmasq.hosts"]
    if daemon == "bird":
        files += ["bird/bird.conf", "bird/secrets.conf"]
    elif daemon in ("frr", "nxos"):
        files.append("frr/frr.conf" if daemon == "frr" else "nxos/leaf.cfg")
    made = {Path(file).name: render(file, values) for file in files}
    return {**made, **(instances(values) if daemon == "gobgp" else {})}


class Passwords(dict):
    def __missing__(self, _key):
        return "a-password"


def argv_of(name: str) -> list[str] | None:
    if name.endswith(".toml"):
        return ["gobgpd", "--dry-run", f"--config-file=/mnt/{name}", "--api-hosts=127.0.0.1:0", "--pprof-disable"]
    if name == "frr.conf":
        return FRR
    return next((argv for _node, file, argv in PARSERS if Path(file).name == name), None)


def faults_of(values: dict, parsed: set[str], counts: Counter, request) -> Iterator[tuple[str, ...]]:
    """What the readers of one node's variables have against them."""
    if "network" in values:
        for mistake in network.parse(values["network"], "overridden")[1]:
            yield "network", mistake
    try:
        files = texts_of(values)
    except Exception as error:
        yield "template", repr(error)
        return
    for name, text in files.items():
        if MARKER in text:
            yield "marker", name
        argv = argv_of(name)
        if argv is None or text in parsed or len(parsed) >= PARSED:
            continue
        parsed.add(text)
        counts[f"parsed {name if '.toml' not in name else 'gobgpd.toml'}"] += 1
        code, output = parser_says(request.getfixturevalue("lab_image"), files, *argv)
        if code != 0:
            yield "daemon", name, output[-300:]


@pytest.mark.parametrize("seed", [1] if CASES <= 500 else [1, 2])
def test_a_mutated_intent_is_refused_in_its_place_or_accepted_by_every_reader(tmp_path, seed, request):
    source, counts, faults, parsed = random.Random(seed), Counter(), [], set()
    path = tmp_path / "fabric.yml"
    for case in range(CASES):
        path.write_text(mutated(source))
        start = time.process_time()
        try:
            made = inventory(read(str(path)), str(tmp_path))
        except IntentError as error:
            counts["refused"] += 1
            if not str(error).replace("\n", "").isprintable():
                faults.append((case, "unprintable", str(error)))
            for line in error.lines:
                if not re.match(r"line \d+, |\S+: |and ", line):
                    faults.append((case, "no place", line))
            made = None
        except Exception as error:
            faults.append((case, "traceback", repr(error)))
            continue
        if time.process_time() - start > SLOW_S:
            faults.append((case, "slow", f"{time.process_time() - start:.1f} s"))
        if made is None:
            continue
        counts["accepted"] += 1
        for node, values in made.host_vars.items():
            faults += [(case, node, *fault) for fault in faults_of(values, parsed, counts, request)]
    print(dict(counts))
    assert counts["accepted"] > CASES / 40 and counts["refused"] > CASES / 4
    assert not faults, "\n".join(map(str, faults[:20]))

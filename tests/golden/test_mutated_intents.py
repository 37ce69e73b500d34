"""Mutated intents of all inventories: each is refused in its place, or accepted by everything that reads it later.

500 cases by default, MUTATIONS=N for more; 10,000 of two seeds with `tests/run --long`. The seeds are fixed, so that a
case fails again. What was refused and accepted is printed by class of mutation (pytest -s).
"""

# ruff: noqa: E501 - values in few lines

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter, defaultdict
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

from ansible_collections.routed.hypervisor.plugins.module_utils._daemon import ndppd
from ansible_collections.routed.hypervisor.plugins.module_utils._network import network
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.mistakes import IntentError
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import read
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.schema import schema
from ansible_collections.routed.hypervisor.plugins.plugin_utils.inventory import inventory

CASES = int(os.environ.get("MUTATIONS", "500"))
LONG_CASES = 10_000
SLOW_S = 2  # of processor time
INTENTS = [*(yaml.safe_load(path.read_text()) for path in PROJECT.glob("inventories/*/fabric.yml")), OTHER, CONTAINERS]
MARKER = "zqMARKER"
VALUES = [
    None, True, False, 0, -1, 1, 254, 4095, 65535, 65000.0, 2**32, 10**30, "", "x", "-", "none", "slaac", "bird", "gobgp",
    "frr", "nxos", "configured", "automatic", "l2", "l3", "l3s", [], {}, [None], {"x": None}, "192.0.2.1", "192.0.2.0/24",
    "10.0.0.0/8", "2001:db8::1", "2001:db8::/64", "fe80::1", "192.168.10.100-193.168.10.199", "02:00:cb:00:71:01",
    f'{MARKER}"\n', f"{MARKER}'; }}", f"{MARKER}{{{{ 7 * 7 }}}}", f"{MARKER}\x1b[2J", f"{MARKER}\u202e", f"{MARKER} #",
]  # fmt: skip


# A valid value of each format that may be missing in an intent.
FORMS = {
    "interface": ("eth7", "bond0"), "port": ("eth7", "Ethernet1/44"), "package": ("iperf3",), "mac": ("02:00:5e:10:00:01",),
    "ipv4": ("192.0.2.77", "192.0.2.78"), "ipv6": ("2001:db8:77::1", "fe80::2"), "address": ("192.0.2.79", "2001:db8:77::2"),
    "ipv4-prefix": ("192.0.2.0/25", "172.31.8.0/22"), "ipv6-prefix": ("2001:db8:77::/64",), "prefix": ("172.31.12.0/24",),
    "ipv4-range": ("192.0.2.10-192.0.2.20",), "guest-ipv6": ("slaac", "none"),
}  # fmt: skip


def copied(value):
    return yaml.safe_load(yaml.safe_dump(value))


def places(value):
    """Every key and position, as the map or list that has it, and the key or position."""
    for key, below in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(below, dict | list):
            yield from places(below)


def parts(value, part):
    """Every map that the schema describes, with its part of the schema."""
    if isinstance(value, dict) and isinstance(part, dict):
        yield value, part
        for key, below in value.items():
            yield from parts(below, part.get("properties", {}).get(key, part.get("additionalProperties")))


def sample(part: dict, source: random.Random):
    """A value that the schema allows."""
    if "enum" in part:
        return source.choice(part["enum"])
    match part.get("type"):
        case "boolean":
            return source.choice((True, False))
        case "integer":
            low = part["minimum"]
            return source.choice((low, part["maximum"], part.get("default", low + 1), low + source.randrange(1, 3000)))
        case "string":
            return source.choice(FORMS.get(part.get("format"), ("x",)))
        case "array":
            return [sample(part["items"], source) for _ in range(source.choice((0, 1, 2)))]
    known = part.get("properties", {})
    return {key: sample(known[key], source) for key in part.get("required", ())}


def near(value, source: random.Random):
    """Another value of the same kind, which is often right, too."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return value + source.choice((-1, 1, 7))
    return re.sub(
        r"\d+$|(?<=\.)\d+(?=/)", lambda found: str(int(found[0]) + source.choice((1, 2, 8))), str(value), count=1
    )


def scalar(data, source):
    return source.choice([place for place in places(data) if not isinstance(place[0][place[1]], dict | list)])


def change_value(data, source):
    parent, key = scalar(data, source)
    parent[key] = near(parent[key], source)


def change_address(data, source):
    """One address to another one near it, wherever it is."""
    found = [
        parent[key] for parent, key in places(data) if isinstance(parent[key], str) and IPV4.fullmatch(parent[key])
    ]
    if found:
        old = source.choice(found)
        first, last = old.rsplit(".", 1)
        replace(data, old, f"{first}.{(int(last) + source.randrange(1, 100)) % 256}")


def change_name(data, source):
    """A name to another one, wherever it is."""
    named = [value for value, part in parts(data, schema()) if isinstance(part.get("additionalProperties"), dict)]
    names = [key for value in named for key in value if isinstance(key, str) and re.fullmatch(r"[A-Za-z][\w-]*", key)]
    replace(data, old := source.choice(names), source.choice((f"{old}x", f"{old[:1]}9", old.upper(), "a" * len(old))))


def change_order(data, source):
    """The order of a map's keys, which never matters."""
    parent = source.choice(
        [data, *(below for one, key in places(data) if isinstance(below := one[key], dict) and below)]
    )
    items = list(parent.items())
    source.shuffle(items)
    parent.clear()
    parent.update(items)


def add_optional(data, source):
    choices = [
        (value, key, below)
        for value, part in parts(data, schema())
        for key, below in part.get("properties", {}).items()
        if key not in value and isinstance(below, dict)
    ]
    value, key, below = source.choice(choices)
    value[key] = sample(below, source)


def remove_optional(data, source):
    choices = [
        (value, key)
        for value, part in parts(data, schema())
        for key in value
        if key not in part.get("required", ()) and key in part.get("properties", {})
    ]
    value, key = source.choice(choices)
    del value[key]


def remove_entry(data, source):
    """A node, guest, network …: something that has a name."""
    named = [
        value for value, part in parts(data, schema()) if isinstance(part.get("additionalProperties"), dict) and value
    ]
    value = source.choice(named)
    del value[source.choice(list(value))]


def put_wild(data, source):
    parent, key = source.choice(list(places(data)))
    parent[key] = source.choice(VALUES)


def move(data, source):
    parent, key = source.choice(list(places(data)))
    other, at = source.choice(list(places(data)))
    parent[key] = copied(other[at])


def remove(data, source):
    parent, key = source.choice(list(places(data)))
    del parent[key]


def misspell(data, source):
    parent, key = source.choice([place for place in places(data) if isinstance(place[0], dict)])
    parent[source.choice((f"{key}x", f"{MARKER}\n", "1", "all", "x" * 40))] = parent.pop(key)


def replace(value, old, new) -> None:
    for key, below in list(value.items() if isinstance(value, dict) else enumerate(value)):
        if isinstance(below, dict | list):
            replace(below, old, new)
        elif below == old:
            value[key] = new
    if isinstance(value, dict) and old in value:
        value[new] = value.pop(old)


IPV4 = re.compile(r"\d+\.\d+\.\d+\.\d+")
# Those that are often accepted come twice.
OFTEN_RIGHT = [change_value, change_address, change_name, change_order, add_optional, remove_optional, remove_entry]
CLASSES = [*OFTEN_RIGHT, *OFTEN_RIGHT, put_wild, move, remove, misspell]
BYTES = "change text"


def mutated(source: random.Random) -> tuple[str, str]:
    """The class of a mutation, and the text."""
    data = copied(source.choice(INTENTS))
    change = source.choice(CLASSES)
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        change(data, source)
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    if source.random() < 0.06:
        at = source.randrange(len(text))
        return BYTES, text[:at] + source.choice(("", "\t", "{", "*a", "é\x07", ": ", "!!int ", "\n")) + text[at + 1 :]
    return change.__name__.replace("_", " "), text


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


def faults_of(values: dict, parsed: set[tuple[str, str]], counts: Counter, request) -> Iterator[tuple[str, ...]]:
    """What the readers of one node's variables have against them."""
    if "network" in values:
        for mistake in network.parse(values["network"], "overridden")[1]:
            yield "network", mistake
    try:
        files = texts_of(values)
    except Exception as error:
        yield "template", repr(error)
        return
    proxies = values.get("ndppd", {}).get("proxies", [])
    # ndppd itself has no way to check a file: it starts with what it can use of it.
    text = ndppd.render(ndppd.Config({proxy["interface"]: proxy for proxy in proxies}))
    if list(ndppd.parse(text)[0].proxies.values()) != proxies:
        yield "ndppd", text
    for name, text in files.items():
        if MARKER in text:
            yield "marker", name
        argv = argv_of(name)
        if argv is None or (name, text) in parsed:
            continue
        parsed.add((name, text))
        counts[f"parsed {name if '.toml' not in name else 'gobgpd.toml'}"] += 1
        code, output = parser_says(request.getfixturevalue("lab_image"), files, *argv)
        if code != 0:
            yield "daemon", name, output[-300:]


def refusals_of(error: IntentError) -> Iterator[tuple[str, str]]:
    """What a refusal lacks: a place, a remedy."""
    if not str(error).replace("\n", "").isprintable():
        yield "unprintable", str(error)
    for line in error.lines:
        if not re.match(r"line \d+, |\S+: |and ", line):
            yield "no place", line
        if "; " not in line and "invalid YAML: " not in line and not line.startswith("and "):
            yield "no remedy", line


def run(cases: int, seed: int, directory: Path, request) -> tuple[dict[str, Counter], list[tuple]]:
    """Counts by class, and faults."""
    source, parsed, faults = random.Random(seed), set(), []
    counts: dict[str, Counter] = defaultdict(Counter)
    path = directory / "fabric.yml"
    for case in range(cases):
        kind, text = mutated(source)
        path.write_text(text)
        start, found, verdict = time.process_time(), [], "accepted"
        made = None
        try:
            made = inventory(read(str(path)), str(directory))
        except IntentError as error:
            verdict = "refused"
            found = list(refusals_of(error))
        except Exception as error:
            found = [("traceback", repr(error))]
        if time.process_time() - start > SLOW_S:
            found.append(("slow", f"{time.process_time() - start:.1f} s"))
        counts[kind][verdict] += 1
        for node, values in made.host_vars.items() if made else ():
            found += [(node, *fault) for fault in faults_of(values, parsed, counts["texts"], request)]
        counts[kind]["faults"] += bool(found)
        faults += [(case, kind, *fault) for fault in found]
    return counts, faults


def check_mutations(cases: int, seed: int, directory: Path, request) -> None:
    counts, faults = run(cases, seed, directory, request)
    texts = counts.pop("texts", Counter())
    head = ("refused", "accepted", "faults")
    print(f"\n| class, {cases:,} cases of seed {seed} | {' | '.join(head)} |\n| --- | --: | --: | --: |")
    total = sum(counts.values(), Counter())
    for kind, count in [*sorted(counts.items()), ("all", total)]:
        print(f"| {kind} | {' | '.join(f'{count[name]:,}' for name in head)} |")
    print(dict(texts))
    assert not faults, "\n".join(map(str, faults[:40]))
    assert total["accepted"] > cases / 4 and total["refused"] > cases / 4


def test_a_mutated_intent_is_refused_in_its_place_or_accepted_by_every_reader(tmp_path, request):
    check_mutations(CASES, 1, tmp_path, request)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_10000_mutated_intents(seed, tmp_path, request):
    check_mutations(LONG_CASES, seed, tmp_path, request)

"""Intent files that are mistyped, huge or hostile: each is refused quickly, in its place, and on one screen."""

# ruff: noqa: E501 - one case a line

from __future__ import annotations

import time

import pytest
import yaml
from support.intent_samples import CONTAINERS, DEFAULT_FILE, changed, containers, default, many, mistakes_in

from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent import mistakes as mistakes_of
from ansible_collections.routed.hypervisor.plugins.plugin_utils.intent.read import read

TEXT = DEFAULT_FILE.read_text()
SCREEN = 60  # lines
FAST_S = 6  # of processor time, with room for a slow machine; each takes less than 2


def refused(tmp_path, text: str, limit_s: float = FAST_S) -> list[str]:
    (tmp_path / "fabric.yml").write_text(text)
    start = time.process_time()
    with pytest.raises(mistakes_of.IntentError) as caught:
        read(str(tmp_path / "fabric.yml"))
    assert time.process_time() - start < limit_s
    message = str(caught.value)
    assert message.replace("\n", "").isprintable()
    assert len(message) < 20_000
    return message.splitlines()


def dumped(data) -> str:
    return yaml.dump(data, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
FILES = {
    "a template without quotes": ("bgp:\n  as: {{ my_as }}\n", "line 2, column 8: invalid YAML: a map is used as a key; text that begins with { or [ needs quotes"),
    "a list as a key": ("[a]: b\n", "line 1, column 1: invalid YAML: a list is used as a key"),
    "a control character after other text": ("# äöü€😀\nname: é\x07\n", "line 2, column 8: invalid YAML: character U+0007"),
    "a colon after other text": ('name: "äöü€😀": x\n', "line 1, column 14: invalid YAML: mapping values"),
    "a character that reverses text": ("name: x\n# \u202e\n", "line 2, column 3: invalid YAML: character U+202E"),
    "a line break of another kind": ("name: x\u2028lab: {}\n", "line 1, column 8: invalid YAML: character U+2028"),
    "a control character after lines of old Macs": ("# a\r# b\rname: \x07\n", "line 3, column 7: invalid YAML: character U+0007"),
    "a timestamp by tag": ("name: !!timestamp foo\n", "line 1, column 7: invalid YAML: the tag '!!timestamp' has no use"),
    "a truth by tag": ("name: !!bool foo\n", "line 1, column 7: invalid YAML: the tag '!!bool'"),
    "a number by tag": ("name: !!int ''\n", "line 1, column 7: invalid YAML: the tag '!!int'"),
    "a set by tag": ("name: !!set {a}\n", "line 1, column 7: invalid YAML: the tag '!!set'"),
    "400 nested lists": (f"name: {'[' * 400}{']' * 400}\n", "line 1, column 26: invalid YAML: more than 20 levels"),
    "4,000,000 nested lists": (f"name: {'[' * 4_000_000}\n", "line 1, column 1006: invalid YAML: exceeded maximum nesting depth"),
    "5,000 digits": (f"bgp: {{as: {'1' * 5000}}}\n", "line 1, column 11: invalid YAML: a number of 5000 digits; 20 are the most"),
    "aliases of aliases": (f"{BOMB}name: *i\n", "column 8: invalid YAML: aliases repeat more than 100,000 values"),
    "two documents": ("name: a\n---\nname: b\n", "line 2, column 1: invalid YAML: a second document"),
    "an alias as a key": ("name: &a x\n*a : y\n", "line 2, column 1: invalid YAML: an alias is used as a key"),
    "a merge of text": ("<<: x\n", "line 1, column 5: invalid YAML: << takes a map or a list of maps"),
    "more than 10 MB": (f"# {'x' * 10_000_000}\n", "the file is larger than 10 MB"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_a_file_is_refused_with_line_and_column(case, tmp_path):
    text, expected = FILES[case]
    first, line = refused(tmp_path, text)
    assert first.startswith("1 mistake in ")
    assert expected in line


def test_an_alias_and_a_merge_are_read_as_if_written_out(tmp_path):
    text = TEXT.replace("vm1: {ipv4: 203.0.113.1}", "vm1: &a {ipv4: 203.0.113.1}")
    assert text != TEXT
    text = text.replace("vm3: {ipv4: 203.0.113.3}", "vm3: {<<: *a, ipv4: 203.0.113.3}")
    (tmp_path / "fabric.yml").write_text(text)
    [guest] = read(str(tmp_path / "fabric.yml")).hypervisors["hv2"].guests
    assert str(guest.address["ipv4"]) == "203.0.113.3"


FRACTIONS = {
    "bgp.as": (default, "bgp.as"),
    "table": (default, "vrfs.public.table"),
    "vlan": (default, "vrfs.public.vlan"),
    "mtu": (default, "fabrics.A.mtu"),
    "lease": (default, "segments.guests.dhcp.lease_s"),
    "metric": (default, "segments.guests.metric"),
    "id": (default, "hypervisors.hv1.id"),
    "containers' mtu": (containers, "container_networks.own.mtu"),
    "a leaf's AS": (containers, "leaves.spur.as"),
    "maximum_prefix": (containers, "leaves.spur.maximum_prefix"),
    "ospf.process": (containers, "ospf.process"),
}


@pytest.mark.parametrize("value", [1500.0, 1e3, True], ids=str)
@pytest.mark.parametrize("case", FRACTIONS)
def test_only_whole_numbers_are_numbers(case, value):
    start, path = FRACTIONS[case]
    [found] = [line for line in mistakes_in(changed((path, value), start=start)) if line.startswith(path)]
    assert "where a whole number is expected" in found


def test_a_number_in_place_of_a_secret_is_not_shown():
    [found] = mistakes_in(changed(("vrfs.public.password", 271828)))
    assert "a secret in clear text" in found and "271828" not in found


@pytest.mark.parametrize("pool", ["10.20.0.100-192.168.0.1", "0.0.0.0-255.255.255.255", "10.19.0.0-10.200.0.9"])
def test_a_mistyped_pool_is_not_enumerated(pool):
    start = time.process_time()
    found = mistakes_in(changed(("container_networks.span.pool", pool), start=containers))
    assert time.process_time() - start < FAST_S
    assert [line for line in found if line.startswith("container_networks.span.pool: ")]
    assert CONTAINERS["container_networks"]["span"]["pool"] == "10.20.0.100-10.20.0.109"


def many_keys() -> str:
    return TEXT + "".join(f"key{number}: 1\n" for number in range(300_000))


def wrong_guests() -> str:
    guests = {f"g{number}": {"ipv4": f"9.9.{number // 250}.{number % 250}"} for number in range(6000)}
    return dumped(changed(("hypervisors.hv1.guests", guests)))


def wrong_names() -> str:
    guests = {f"vm_{number}": {"ipv4": "203.0.113.9"} for number in range(6000)}
    return dumped(changed(("hypervisors.hv1.guests", guests)))


def wrong_segments() -> str:
    guests = {f"g{number}": {"segment": f"guest{number}"} for number in range(6000)}
    return dumped(changed(("hypervisors.hv1.guests", guests)))


@pytest.mark.parametrize(
    ("make", "least"), [(many_keys, 300_000), (wrong_guests, 6000), (wrong_names, 6000), (wrong_segments, 6000)]
)
def test_thousands_of_mistakes_fit_on_a_screen(make, least, tmp_path):
    lines = refused(tmp_path, make())
    assert int(lines[0].split()[0].replace(",", "")) >= least
    assert len(lines) < SCREEN
    assert any("more" in line for line in lines)


def test_one_mistake_in_2_mb_is_found(tmp_path):
    intent = many(2200, 20)
    intent["hypervisors"]["hv2200"]["guests"]["vm2200-20"]["ipv4"] = "9.9.9.9"
    text = dumped(intent)
    assert 1_900_000 < len(text) < 2_100_000
    [_first, line] = refused(tmp_path, text, 30)  # 3 s; that it grows linearly is tested in test_intent_scale.py
    assert "9.9.9.9 is not in 100.64.0.0/10" in line


NAMES = ["a", "an-app", "the-web-srv", "b", "middle-app"]


@pytest.mark.parametrize(
    "name", [lambda number: NAMES[number % len(NAMES)], lambda number: "abcdefghij"[number // 100]]
)
def test_mistakes_of_one_kind_are_counted_whatever_the_names_are(name, tmp_path):
    guests = {f"{name(number)}{number}": {"ipv4": "203.0.113.0", "port": f"t{number}"} for number in range(1000)}
    lines = refused(tmp_path, dumped(changed(("hypervisors.hv1.guests", guests))))
    assert lines[0].startswith("1,000 mistakes in ") and len(lines) == 5
    assert "and 997 more like it" in lines[-1]


def test_more_kinds_of_mistakes_than_lines_are_still_one_screen(tmp_path):
    words = [f"{a}{b}{c}" for a in "abcdefgh" for b in "aeiou" for c in "lmnr"]
    text = TEXT + "".join(
        f"  {word}: {{ipv4: 'no {word} {word[::-1]}', mac: 1, port: [], id: {{}}}}\n" for word in words
    )
    lines = refused(tmp_path, text)
    shown = [line for line in lines[1:] if not line.strip().startswith("and ")]
    counted = [int(line.split()[1].replace(",", "")) for line in lines[1:] if line.strip().startswith("and ")]
    assert int(lines[0].split()[0].replace(",", "")) == len(shown) + sum(counted)
    assert len(lines) < SCREEN


def test_a_scalar_of_10_mb_is_shown_shortened(tmp_path):
    lines = refused(tmp_path, TEXT.replace("name: ", f"name: {'x' * 9_900_000}", 1))
    assert len(lines) == 2 and len(lines[1]) < 400
    assert "characters in all) is not a name" in lines[1]


def test_the_cause_of_thousands_of_mistakes_is_named(tmp_path):
    intent = many(100, 20)
    intent["segments"]["guests"]["ipv4"] = "100.164.0.0/16"
    lines = refused(tmp_path, dumped(intent))
    assert lines[0].startswith("2,001 mistakes in ")
    assert "segments.guests.gateway4: 100.64.0.1 cannot be a host in 100.164.0.0/16" in lines[1]
    assert "and 1,997 more like it" in lines[-1]
    assert "check their common cause: line" in lines[-1] and lines[-1].endswith("segments.guests.ipv4")


def test_text_of_the_file_cannot_control_the_terminal(tmp_path):
    name = '"A\\x1b[2J\\n  line 3, name: \\u202e"'
    lines = refused(tmp_path, TEXT.replace("  A:", f"  {name}:", 1))
    assert "A\\x1b[2J\\n  line 3, name: \\u202e" in "\n".join(lines)


def test_keys_that_are_not_text_are_shown_as_written(tmp_path):
    text = dumped(changed(("hypervisors", {"KEY1": {"id": 1}, "KEY2": {"id": 2}})))
    lines = refused(tmp_path, text.replace("KEY1", "1").replace("KEY2", "on"))
    assert [line.split(", ")[1] for line in lines[1:]] == [
        "hypervisors.1: the key 1 is not text; put it in quotes",
        "hypervisors.on: the key on is not text; put it in quotes",
    ]


def test_a_mac_given_twice_is_reported_where_it_is_written():
    twice = changed(("hypervisors.hv2.guests.vm3.mac", "02:00:cb:00:71:01"))
    assert mistakes_in(twice) == [
        "hypervisors.hv2.guests.vm3.mac: the MAC 02:00:cb:00:71:01 is also given to hypervisors.hv1.guests.vm1.ipv4; each guest needs its own"
    ]

"""The text that the templates make, byte for byte, and what the daemons' own parsers say to it.

After a wanted change of a template: UPDATE_GOLDEN=1 pytest tests/golden, then look at the difference in git.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import jinja2
import pytest
from support.templates import GOLDEN, parser_says, render, variables

from ansible_collections.routed.hypervisor.plugins.module_utils._daemon import ndppd

FILES = {
    "hypervisor": [
        "bird/bird.conf",
        "bird/secrets.conf",
        "nftables/nftables.conf",
        "dnsmasq/dnsmasq.conf",
        "dnsmasq/dnsmasq.hosts",
        "radvd/radvd.conf",
    ],
    "hypervisor_following": ["bird/bird.conf", "bird/secrets.conf", "nftables/nftables.conf"],
    "reflector": ["bird/bird.conf", "bird/secrets.conf"],
    "border": ["bird/bird.conf", "bird/secrets.conf"],
    "guest": ["dhcpcd/dhcpcd.conf"],
}
ALL = [(node, file) for node, files in FILES.items() for file in files]


@pytest.mark.parametrize(("node", "file"), ALL)
def test_the_text_is_the_same_as_ever(node, file):
    golden = GOLDEN / "templates" / node / Path(file).name
    text = render(file, variables(node))
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize(("node", "file"), ALL)
def test_every_file_says_on_its_first_line_who_manages_it(node, file):
    first = render(file, variables(node)).splitlines()[0]
    assert first == f"# Managed by Routed Hypervisor (templates/{file}.j2): changes made here are overwritten."


def test_a_variable_that_is_missing_is_an_error():
    values = variables("hypervisor")
    del values["bgp"]["sessions"][0]["neighbor"]
    with pytest.raises(jinja2.UndefinedError):
        render("bird/bird.conf", values)


def test_passwords_are_in_the_secrets_file_only():
    values = variables("hypervisor")
    for file in FILES["hypervisor"]:
        assert ("first secret" in render(file, values)) == (file == "bird/secrets.conf")


PARSERS = [
    ("hypervisor", "bird/bird.conf", ["bird", "-p", "-c", "/mnt/bird.conf"]),
    ("hypervisor_following", "bird/bird.conf", ["bird", "-p", "-c", "/mnt/bird.conf"]),
    (
        "hypervisor_following",
        "nftables/nftables.conf",
        ["unshare", "--net", "nft", "--check", "--file", "/mnt/nftables.conf"],
    ),
    ("reflector", "bird/bird.conf", ["bird", "-p", "-c", "/mnt/bird.conf"]),
    ("border", "bird/bird.conf", ["bird", "-p", "-c", "/mnt/bird.conf"]),
    ("hypervisor", "dnsmasq/dnsmasq.conf", ["dnsmasq", "--test", "-C", "/mnt/dnsmasq.conf"]),
    ("hypervisor", "radvd/radvd.conf", ["radvd", "-c", "-C", "/mnt/radvd.conf"]),
    # nft asks the kernel: in a namespace of its own, with none of the machine's tables.
    ("hypervisor", "nftables/nftables.conf", ["unshare", "--net", "nft", "--check", "--file", "/mnt/nftables.conf"]),
]


@pytest.mark.parametrize(("node", "file", "argv"), PARSERS, ids=lambda value: value if isinstance(value, str) else None)
def test_the_daemon_accepts_the_text_and_refuses_a_planted_mistake(lab_image, node, file, argv):
    files = {Path(name).name: render(name, variables(node)) for name in FILES[node]}
    code, output = parser_says(lab_image, files, *argv)
    assert code == 0, output
    files[Path(file).name] += "\nplanted mistake\n"
    code, output = parser_says(lab_image, files, *argv)
    assert code not in (0, 127), output


@pytest.mark.parametrize(
    ("value", "text"), [("rx", "add paths rx;"), ("tx", "add paths tx;"), ("rx tx", "add paths on;")]
)
def test_bird_accepts_every_direction_of_additional_paths(lab_image, value, text):
    values = variables("reflector")
    for session in values["bgp"]["sessions"]:
        session["add_path"] = value
    files = {Path(name).name: render(name, values) for name in FILES["reflector"]}
    assert text in files["bird.conf"]
    code, output = parser_says(lab_image, files, "bird", "-p", "-c", "/mnt/bird.conf")
    assert code == 0, output


def test_bird_accepts_to_listen_on_single_addresses(lab_image):
    values = variables("hypervisor")
    values["bgp"]["strict_bind"] = True
    files = {Path(name).name: render(name, values) for name in FILES["hypervisor"]}
    assert files["bird.conf"].count("strict bind yes;") == len(values["bgp"]["sessions"])
    code, output = parser_says(lab_image, files, "bird", "-p", "-c", "/mnt/bird.conf")
    assert code == 0, output


@pytest.mark.parametrize("host", sorted((GOLDEN / "l3_hypervisor").glob("*.json")), ids=lambda path: path.stem)
def test_what_the_inventory_plugin_resolves_is_what_the_templates_read(lab_image, host):
    values = json.loads(host.read_text())
    keys = {session["password_key"] for session in values.get("bgp", {}).get("sessions", [])}
    values["bgp_passwords"] = {key: "a password" for key in keys if key}
    texts = {}
    for name in ("dnsmasq", "nftables", "radvd", "bird"):
        if ("bgp" if name == "bird" else name) in values:
            files = [file for file in FILES["hypervisor"] if file.startswith(f"{name}/")]
            texts.update({Path(file).name: render(file, values) for file in files})
    if "guest" in values:
        render("dhcpcd/dhcpcd.conf", values)
    for node, file, argv in PARSERS:
        if node == "hypervisor" and Path(file).name in texts:
            code, output = parser_says(lab_image, texts, *argv)
            assert code == 0, output
    proxies = values.get("ndppd", {}).get("proxies", [])
    text = ndppd.render(ndppd.Config({proxy["interface"]: proxy for proxy in proxies}))
    assert list(ndppd.parse(text)[0].proxies.values()) == proxies

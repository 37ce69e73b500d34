"""The text of FRR's files, byte for byte, what FRR's own parser says to it, and what that parser overlooks."""

from __future__ import annotations

import os
import re

import jinja2
import pytest
from support.leaf_values import BY_HAND, RESOLVED, values_of
from support.templates import GOLDEN, parser_says, render, variables

NODES = [*BY_HAND, *RESOLVED]
FILES = ["frr/frr.conf", "frr/daemons", "frr/vtysh.conf"]
PARSER = ["vtysh", "-C", "-f", "/mnt/frr.conf"]


def conf(values: dict) -> str:
    return render("frr/frr.conf", values)


def undefined(text: str) -> set[str]:
    """Route-maps, prefix-lists and BFD profiles that are used and not defined, or defined and not used."""
    words = {
        "route-map": (r"^route-map (\S+)", r"route-map (\S+)(?: in| out)?$"),
        "prefix-list": (r"^(ip(?:v6)? prefix-list \S+)", r"match (ip(?:v6)?) address (prefix-list \S+)"),
        "bfd profile": (r"^ profile (\S+)", r"bfd profile (\S+)"),
    }
    found = set()
    for what, (defined, used) in words.items():
        there = set(re.findall(defined, text, re.MULTILINE))
        asked = [re.search(used, line) for line in text.splitlines() if line.startswith(" ")]
        wanted = {" ".join(hit.groups()) for hit in asked if hit}
        found |= {f"{what} {name}" for name in there ^ wanted}
    return found


@pytest.mark.parametrize("node", NODES)
def test_the_text_is_the_same_as_ever(node):
    place = GOLDEN / "templates" / node
    for file in FILES if node in BY_HAND else FILES[:1]:  # the others are the same on every leaf
        text, golden = render(file, values_of(node, "frr")), place / file.partition("/")[2]
        if os.environ.get("UPDATE_GOLDEN"):
            place.mkdir(parents=True, exist_ok=True)
            golden.write_text(text)
        assert text == golden.read_text()
        assert "Managed by Routed Hypervisor" in text.splitlines()[0]


@pytest.mark.parametrize("node", NODES)
def test_frr_accepts_the_text_and_refuses_a_planted_mistake(lab_image, node):
    text = conf(values_of(node, "frr"))
    code, output = parser_says(lab_image, {"frr.conf": text}, *PARSER)
    assert code == 0, output
    wrong = text.replace(" timers connect ", " timers connekt ", 1)
    code, output = parser_says(lab_image, {"frr.conf": wrong}, *PARSER)
    assert code not in (0, 127) and "connekt" in output, output


@pytest.mark.parametrize("node", NODES)
def test_what_is_used_is_defined_and_what_is_defined_is_used(node):
    text = conf(values_of(node, "frr"))
    assert undefined(text) == set()
    assert undefined(re.sub(r"route-map \S+ out", "route-map ELSE out", text)) >= {"route-map ELSE"}
    assert undefined(text.replace("match ip address prefix-list", "match ipv6 address prefix-list", 1))


def test_nothing_goes_in_or_out_without_a_policy():
    for session in variables("leaf_full")["bgp"]["sessions"]:
        text = conf(variables("leaf_full"))
        (family,) = session["families"]
        for key, way in (("import_policy", "in"), ("export_policy", "out")):
            name = f"{session[key]}-{family.upper()}"
            assert f"  neighbor {session['neighbor']} route-map {name} {way}\n" in text


def test_a_policy_that_permits_nothing_denies():
    values = variables("leaf_contiv")
    values["bgp"]["policies"][1]["permit"] = []
    text = conf(values)
    assert "route-map TO-HOSTS-IPV4 deny 10\n" in text and "TO-HOSTS-IPV4 permit" not in text


def test_a_variable_that_is_missing_is_an_error():
    values = variables("leaf_contiv")
    del values["bgp"]["sessions"][0]["neighbor"]
    with pytest.raises(jinja2.UndefinedError):
        conf(values)
    values = variables("leaf_full")
    del values["bgp_passwords"]["hosts"]
    with pytest.raises(jinja2.UndefinedError):
        conf(values)


def test_timers_of_ospf_and_point_to_point_links_are_written_where_given():
    values = variables("leaf_contiv")
    assert "hello-interval" not in conf(values) and "point-to-point" not in conf(values)
    values["ospf"]["timers"] = {"hello_s": 1, "dead_s": 4}
    values["ospf"]["interfaces"][1]["network"] = "point-to-point"
    assert conf(values).count(" ip ospf hello-interval 1\n") == conf(values).count(" ip ospf dead-interval 4\n") == 2
    assert conf(values).count(" ip ospf network point-to-point\n") == 1


def test_the_password_of_an_area_is_on_every_interface_with_neighbors(lab_image):
    values = {**variables("leaf_full"), "ospf_passwords": {"0.0.0.0": "an-area-secret"}}
    assert "authentication" not in conf(values)
    values["ospf"]["authentication"] = {"key_id": 7, "password_key": "0.0.0.0"}
    text = conf(values)
    assert text.count(" ip ospf message-digest-key 7 md5 an-area-secret\n") == 3
    assert text.count(" ipv6 ospf6 authentication key-id 7 hash-algo hmac-sha-256 key an-area-secret\n") == 3
    assert text.count(" area 0.0.0.0 authentication message-digest\n") == 2, "in no VRF, and in blue"
    code, output = parser_says(lab_image, {"frr.conf": text}, *PARSER)
    assert code == 0, output
    del values["ospf_passwords"]
    with pytest.raises(jinja2.UndefinedError):
        conf(values)


def test_hosts_of_several_as_get_updates_of_their_own():
    """In one update group FRR would replace the AS of one of them for all."""
    values = values_of("leaf_full", "frr")
    assert " solo\n" not in conf(values)
    one = next(one for one in values["bgp"]["sessions"] if one["name"] == "host2_ipv4")
    one["as_override"] = True
    text = conf(values)
    assert " neighbor 10.254.0.2 solo\n" in text and " neighbor 50.1.1.1 solo\n" in text
    assert " neighbor 10.20.0.11 solo\n" not in text, "the only AS of its VRF"

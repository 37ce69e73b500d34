"""The configuration language of ndppd: what is accepted, and what is refused at which line."""

from __future__ import annotations

import ipaddress

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.routed.hypervisor.plugins.module_utils._daemon.ndppd import (
    Config,
    combine,
    interfaces,
    parse,
    render,
)

GOOD = """\
# Managed by Routed Hypervisor
route-ttl 1000
proxy vm1 {   // a guest
  router no
  timeout = 200
  /* two
     lines */
  rule 2001:db8::/64 {
    static
  }
  rule 2001:db8:1::1 { iface eth0 }
}
proxy vm2 { rule 2001:db8::/64 { auto } }
"""


def mistakes(text: str) -> list[str]:
    return parse(text)[1]


def test_a_valid_file_is_parsed():
    config, wrong = parse(GOOD)
    assert wrong == []
    assert config.route_ttl == 1000
    assert list(config.proxies) == ["vm1", "vm2"]
    assert config.proxies["vm1"] == {
        "interface": "vm1",
        "router": False,
        "timeout": 200,
        "ttl": 30000,
        "rules": [
            {"prefix": "2001:db8::/64", "method": "static", "interface": None},
            {"prefix": "2001:db8:1::1/128", "method": "iface", "interface": "eth0"},
        ],
    }
    assert interfaces(config.proxies.values()) == ["vm1", "eth0", "vm2"]


def test_all_mistakes_are_reported_together_with_their_lines():
    wrong = mistakes(
        "proxy vm1 {\n  timeuot 5\n  ttl soon\n  router maybe\n  rule 2001:db8::1/64 { static }\n}\nprxoy x\n"
    )
    assert [line.split(":")[0] for line in wrong] == ["line 2", "line 3", "line 4", "line 5", "line 7"]
    assert "timeuot" in wrong[0] and "router, timeout, ttl, rule" in wrong[0]
    assert "the prefix is 2001:db8::/64" in wrong[3]


def test_a_brace_on_the_next_line_is_refused_because_ndppd_drops_the_block():
    wrong = mistakes("proxy vm1\n{\n  rule 2001:db8::/64 { statick }\n}\n")
    assert any(line.startswith("line 2: the opening brace") for line in wrong)
    assert any("statick" in line for line in wrong)


def test_missing_braces_are_found():
    assert mistakes("proxy vm1 {\n rule 2001:db8::/64 {\n static\n }\n") == ["line 1: this block is not closed"]
    assert mistakes("}\n") == ["line 1: this closing brace matches no block"]


def test_two_proxies_for_one_interface_are_refused():
    rule = "{ rule 2001:db8::/64 { static } }"
    assert mistakes(f"proxy a {rule}\nproxy a {rule}\n") == ["line 2: there is already a proxy for a in line 1"]


def test_a_rule_needs_exactly_one_method_and_iface_needs_an_interface():
    def rule(body):
        return mistakes(f"proxy a {{\nrule 2001:db8::/64 {{ {body} }}\n}}\n")

    assert "no method" in rule("")[0]
    assert "already has the method static" in rule("static\n auto")[0]
    assert "needs an interface" in rule("iface")[0]
    assert "takes no value" in rule("static auto")[0]


def test_overlapping_rules_are_refused():
    wrong = mistakes("proxy a {\nrule 2001:db8::/32 { static }\nrule 2001:db8:1::/64 { auto }\n}\n")
    assert wrong == ["line 3: rule 2001:db8:1::/64 overlaps rule 2001:db8::/32 (line 2) of the same proxy"]


def test_prefixes_that_ndppd_reads_as_the_unspecified_address_are_refused():
    for prefix in ("10.0.0.0/8", "2001:db8::/129", "::ffff:10.0.0.1", "fe80::1%eth0", "2001:db8::/+64", "vm1", ""):
        assert "is not an IPv6 prefix" in " ".join(mistakes(f"proxy a {{ rule {prefix} {{ static }} }}")), prefix


def test_an_invalid_interface_name_is_refused():
    assert "1 to 15" in mistakes("proxy an-interface-too-long { rule 2001:db8::/64 { static } }")[0]


def test_quotes_are_refused_because_ndppd_misreads_the_closing_one():
    assert "quotes" in mistakes('proxy "vm1" { rule 2001:db8::/64 { static } }')[0]


RULE = {"prefix": "2001:db8::/64", "method": "static", "interface": None}
OTHER = {"prefix": "2001:db8:1::/64", "method": "auto", "interface": None}
HAVE = {name: {"interface": name, "router": False, "timeout": 1, "ttl": 2, "rules": [RULE]} for name in ("vm1", "vm2")}


def want_proxy(**values):
    return {"interface": "vm1", "router": None, "timeout": None, "ttl": None, "rules": None, **values}


def test_merged_changes_only_what_is_given():
    after = combine(HAVE, [want_proxy(timeout=9, rules=[OTHER])], "merged")
    assert after["vm1"] == {**HAVE["vm1"], "timeout": 9, "rules": [RULE, OTHER]}
    assert after["vm2"] == HAVE["vm2"]


def test_replaced_resets_options_that_are_not_given_and_leaves_other_proxies_alone():
    after = combine(HAVE, [want_proxy(rules=[OTHER])], "replaced")
    assert after["vm1"] == {"interface": "vm1", "router": True, "timeout": 500, "ttl": 30000, "rules": [OTHER]}
    assert after["vm2"] == HAVE["vm2"]


def test_overridden_leaves_nothing_else():
    assert list(combine(HAVE, [want_proxy(rules=[OTHER])], "overridden")) == ["vm1"]


def test_deleted_removes_the_named_proxies_or_all():
    assert list(combine(HAVE, [want_proxy()], "deleted")) == ["vm2"]
    assert combine(HAVE, [], "deleted") == {}


names = st.text("abcdefghijklmnopqrstuvwxyz0123456789._-", min_size=1, max_size=15).filter(
    lambda n: n not in (".", "..")
)
milliseconds = st.integers(0, 2**31 - 1)


@st.composite
def proxies(draw):
    # Different prefixes of the same length do not overlap.
    length = draw(st.integers(1, 128))
    space = min(2**length, 2**32)
    networks = draw(st.lists(st.integers(0, space - 1), min_size=1, max_size=4, unique=True))
    rules = []
    for number in networks:
        prefix = str(ipaddress.IPv6Network((number << (128 - length), length)))
        method = draw(st.sampled_from(["static", "auto", "iface"]))
        rules.append({"prefix": prefix, "method": method, "interface": draw(names) if method == "iface" else None})
    return {
        "interface": draw(names),
        "router": draw(st.booleans()),
        "timeout": draw(milliseconds),
        "ttl": draw(milliseconds),
        "rules": rules,
    }


@settings(deadline=None)
@given(st.lists(proxies(), max_size=4, unique_by=lambda proxy: proxy["interface"]), st.none() | milliseconds)
def test_a_rendered_file_is_parsed_back_unchanged(wanted, route_ttl):
    config = Config({proxy["interface"]: proxy for proxy in wanted}, route_ttl)
    assert parse(render(config)) == (config, [])


@settings(deadline=None)
@given(st.text())
def test_no_text_crashes_the_parser(text):
    parse(text)

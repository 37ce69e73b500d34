"""Everything on a host that a run may change, read with an administrator's programs."""

from __future__ import annotations

import json

from support.waiting import until

# systemctl removes directories of links that it has emptied.
OTHERS = r"! \( -name '*.wants' -empty \) ! -name '*.leases' ! -path '*/dpkg/*' ! -path '*/lib/systemd/*'"
FILES = rf"find /etc /usr/local /var/lib -xdev {OTHERS} -printf '%p %m %u %g %l\n' | sort"
SERVICES = """
for s in bird dnsmasq radvd ndppd frr; do
  ls /etc/rc?.d | grep $s; pgrep -x $s >/dev/null && echo $s runs
  if [ -d /run/systemd/system ]; then echo $s $(systemctl is-enabled $s) $(systemctl is-active $s); fi
done; true
"""

# Any write to a file, restart of a daemon or new object of nftables shows here, even if the text is the same again.
WRITES = rf"""
find /etc /usr/local /var/lib -xdev {OTHERS} -printf '%p %i %C@\n' | sort
for pid in $(pgrep -x 'bird|dnsmasq|radvd|ndppd|bgpd|zebra|gobgpd'); do cut -d' ' -f1,2,22 /proc/$pid/stat; done
nft -j list ruleset 2>/dev/null | sed -E 's/"(packets|bytes)": [0-9]+//g'
ip -oneline link | cut -d: -f1,2
"""


def state(lab, host) -> dict[str, list[str]]:
    def text(command: str) -> list[str]:
        return lab.run(host, "sh", "-c", command).splitlines()

    def shown(*words: str) -> list[str]:
        found = [entry for entry in json.loads(lab.run(host, "ip", "-d", "-json", *words) or "[]") if entry]
        for entry in found:
            for address in entry.get("addr_info", []):
                address.pop("valid_life_time", None), address.pop("preferred_life_time", None)
        return sorted(json.dumps(entry, sort_keys=True) for entry in found)

    return {
        "links": shown("link"),
        "addresses": shown("address"),
        "routes": shown("route", "show", "table", "all"),
        "IPv6 routes": shown("-6", "route", "show", "table", "all"),
        "rules": shown("rule"),
        "IPv6 rules": shown("-6", "rule"),
        "proxies": shown("neighbor", "show", "proxy"),
        "sysctls": text("sysctl -a 2>/dev/null | grep '^net' | grep -v 'nf_conntrack_count\\|stable_secret'"),
        # Without counters, which packets of the network itself increase.
        "nftables": text("nft -j list ruleset 2>/dev/null | sed -E 's/\"(handle|packets|bytes)\": [0-9]+//g' || true"),
        "files": text(FILES),
        "contents": text(
            "cd /etc; cat bird/bird.conf radvd.conf dnsmasq.conf ndppd.conf frr/* gobgp/* 2>/dev/null; true"
        ),
        "services": text(SERVICES),
    }


def settled(lab, hosts) -> dict[str, dict[str, list[str]]]:
    """The state of each host, once its addresses are usable: those of IPv6 come after the state follows the carrier."""

    def late(host) -> list[str]:
        links = lab.run(host, "ip", "-oneline", "link").splitlines()
        return [link for link in links if "NO-CARRIER" in link and "LOWER_UP" in link]

    for host in hosts:
        until(lambda host=host: not late(host), what="links follow their carriers")
        until(lambda host=host: "tentative" not in lab.run(host, "ip", "-6", "address"), 20, "addresses are settled")
    return {host: state(lab, host) for host in hosts}


def writes(lab, hosts) -> dict[str, dict[str, list[str]]]:
    """What differs once anything was written to a host, for hosts that must not be touched at all."""
    return {host: {"writes": lab.run(host, "sh", "-c", WRITES).splitlines()} for host in hosts}


def changes(run) -> dict[str, list[str]]:
    """What each host has changed, or would change."""
    found: dict[str, list[str]] = {}
    for task in run.tasks:
        found.setdefault(task["host"], []).extend(f"{c['kind']}: {c['op']} {c['name']}" for c in task["changes"])
    return {host: sorted(lines) for host, lines in found.items() if lines}


def differences(before, after) -> dict[str, tuple[list[str], list[str]]]:
    """What is gone and what is new, by host and kind."""
    return {
        f"{host}: {kind}": (sorted(set(was) - set(after[host][kind])), sorted(set(after[host][kind]) - set(was)))
        for host, kinds in before.items()
        for kind, was in kinds.items()
        if sorted(was) != sorted(after[host][kind])
    }


def mispredicted(predicted, done) -> dict[str, tuple[list[str], list[str]]]:
    """What was predicted and not done, and what was done and not predicted, by host."""
    foreseen, made = changes(predicted), changes(done)
    return {
        host: (sorted(set(one) - set(other)), sorted(set(other) - set(one)))
        for host in foreseen.keys() | made.keys()
        if (one := foreseen.get(host, [])) != (other := made.get(host, []))
    }

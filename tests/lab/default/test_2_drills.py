"""Drills break the lab under traffic, restore it, and report what an independent capture of the same packets shows."""

from __future__ import annotations

import json
import re
import signal
from collections import defaultdict

import pytest
from support.waiting import until

LINE = re.compile(r"IP6? (\S+) > (\S+): ICMP6?,? echo (request|reply), id (\d+), seq (\d+)")


def lost_in(text: str) -> dict[str, int]:
    """By destination: the requests without a reply, up to the last one that was answered."""
    sent, answered = defaultdict(set), defaultdict(set)
    for source, target, kind, _id, number in LINE.findall(text):
        (sent[target] if kind == "request" else answered[source]).add(int(number))
    return {to: len({one for one in sent[to] if one <= max(answered[to])} - answered[to]) for to in answered}


def test_a_drill_reports_what_a_capture_shows_and_leaves_the_lab_as_it_was(lab):
    # To a file: tcpdump drops packets while it waits for a reader of its output.
    tcpdump = "exec tcpdump -n -i eth0 'icmp or icmp6' >/tmp/captured"
    capture = lab.spawn("vm1", "sh", "-c", tcpdump)
    assert any("listening on" in line for line in capture.stdout)
    run = lab.play("-e", "drill=cut_uplink", playbook="playbooks/drill.yml")
    assert run.code == 0 and run.changed == set(), run.output
    capture.send_signal(signal.SIGINT)
    ended, _ = capture.communicate(timeout=60)
    assert "\n0 packets dropped by kernel" in ended, ended
    captured = lab.run("vm1", "cat", "/tmp/captured")
    (result,) = json.loads(lab.report.with_name("drills.json").read_text())["drills"]
    assert result["title"] == "the uplink of hv1 to fabric A is cut"
    pairs = [pair for pair in result["runs"][0]["pairs"] if pair["from"] == "vm1"]
    assert {pair["to"]: pair["lost"] for pair in pairs} == {pair["to"]: lost_in(captured)[pair["to"]] for pair in pairs}
    print("cut_uplink, longest loss of each pair in ms:", [pair["longest_ms"] for pair in result["runs"][0]["pairs"]])
    (port,) = lab.json("switch-A", "link", "show", "hv1")
    assert "UP" in port["flags"]
    until(lambda: len(lab.established("hv1")) == 6, 60, "all sessions are established again")


def test_a_drill_that_exceeds_its_budget_fails(lab):
    before = lab.intent.read_text()
    lab.intent.write_text(before.replace("\nlab: {}\n", "\nlab: {drills: {kill_daemon: {lost_ms: 100}}}\n"))
    try:
        run = lab.play("-e", "drill=kill_daemon", playbook="playbooks/drill.yml")
    finally:
        lab.intent.write_text(before)
    assert run.code != 0
    assert "and the intent allows 100 ms" in run.output
    until(lambda: len(lab.established("hv1")) == 6, 60, "all sessions are established again")


def impaired(lab, node, interface):
    """What our netem at an end of a cable does, as tc shows it."""
    found = json.loads(lab.run(node, "tc", "-json", "qdisc", "show", "dev", interface, "root"))
    return [one["options"] for one in found if one["handle"] == "52:"]


def test_cables_are_impaired_as_the_intent_says_and_no_longer(lab):
    before = lab.intent.read_text()

    def run(given):
        lab.intent.write_text(before.replace("\nlab: {}\n", f"\nlab: {given}\n"))
        done = lab.play("--tags", "nodes")
        assert done.code == 0, done.output
        return done.changed

    cables = {("lab_host", "lab_cables")}
    lab.run("hv2", "tc", "qdisc", "replace", "dev", "fabric-A", "root", "netem", "delay", "1ms")
    try:
        slow = "{impair: {B: {delay_ms: 5}}, nodes: {hv1: {impair: {B: {delay_ms: 20, loss_percent: 1}}}}}"
        assert run(slow) == cables
        for node, interface in (("hv1", "fabric-B"), ("switch-B", "hv1")):
            [options] = impaired(lab, node, interface)
            assert options["delay"]["delay"] == pytest.approx(0.02)
            assert options["loss-random"]["loss"] == pytest.approx(0.01, rel=0.01)
        [options] = impaired(lab, "switch-B", "hv2")
        assert options["delay"]["delay"] == pytest.approx(0.005)
        assert impaired(lab, "hv1", "fabric-A") == []
        delayed = "{impair: {B: {delay_ms: 5}}}"
        lab.run("hv1", "tc", "qdisc", "del", "dev", "fabric-B", "root")
        assert run(delayed) == cables
        drill = lab.play("-e", "drill=silence_uplink", "-e", "drill_fabric=B", playbook="playbooks/drill.yml")
        assert drill.code == 0, drill.output
        assert run(delayed) == set(), "the drill has restored what the intent says"
    finally:
        ended = run("{}")
    assert ended == cables
    assert [impaired(lab, *end) for end in (("hv1", "fabric-B"), ("switch-B", "hv1"), ("switch-B", "hv2"))] == [[]] * 3
    assert "delay 1ms" in lab.run("hv2", "tc", "qdisc", "show", "dev", "fabric-A"), "not ours, so it stays"
    lab.run("hv2", "tc", "qdisc", "del", "dev", "fabric-A", "root")

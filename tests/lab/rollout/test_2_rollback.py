"""playbooks/rollback.yml brings a fleet back to an earlier revision, and forward again."""

from __future__ import annotations

import re

import pytest
from support.host_state import differences, settled
from support.waiting import until
from test_1_rollout import HOSTS, edit, flat, is_armed, plain, sessions_are_up

pytestmark = pytest.mark.long
APPLIED = "/var/lib/routed-hypervisor/applied"
# Each changes something else: files alone, files and the kernel, services.
CHANGES = (
    ("lease_s: 3600", "lease_s: 5000"),
    ("private: {ipv4: 172.22.2.0/24}", "private: {ipv4: 172.22.3.0/24}"),
    ("    dhcp: {lease_s: 5000}\n", ""),
    ("172.22.0.0/16]", "172.22.0.0/15]"),
)
OTHER_FABRIC = f"""
import glob, gzip, json
for path in glob.glob("{APPLIED}/*"):
    revision = json.loads(gzip.open(path).read())
    gzip.open(path, "w").write(json.dumps({{**revision, "fabric": "other"}}).encode())
"""
AT_ONCE = ("-e", "confirm_s=120", "-e", "rollout_serial=100%", "--skip-tags", "verify")


def revisions(lab, host: str) -> list[str]:
    return [name.partition("-")[0] for name in lab.run(host, "ls", APPLIED).split()]


def rolled_back(lab, revision: str):
    return lab.play("-e", f"to={revision}", *AT_ONCE, playbook="playbooks/rollback.yml")


def state(lab) -> dict:
    """Without what tells one run from another: earlier states, and times."""
    until(lambda: sessions_are_up(lab), 60, "sessions are up", 0.5)
    found = plain(settled(lab, HOSTS))
    for kinds in found.values():
        kinds["files"] = [line for line in kinds["files"] if "/var/lib/routed-hypervisor/" not in line]
    return found


def test_three_revisions_back_and_forward_again(lab):
    names, states = [], []
    for old, new in CHANGES:
        edit(lab, old, new)
        run = lab.play(*AT_ONCE, playbook="playbooks/rollout.yml")
        assert run.code == 0, run.output[-8000:]
        states.append(state(lab))
        found = {host: revisions(lab, host)[-1] for host in HOSTS}
        assert len(set(found.values())) == 1, found
        names.append(found["hv1"])
    assert differences(states[0], states[1]) and differences(states[1], states[2])
    for index in (0, 3):
        run = rolled_back(lab, names[index])
        assert run.code == 0, run.output[-8000:]
        assert differences(states[index], state(lab)) == {}
    again = rolled_back(lab, names[3])
    assert again.code == 0 and again.changed == set(), again.output[-8000:]


def test_a_host_that_a_run_did_not_change_goes_to_its_newest_revision_before_it(lab):
    if lab.tried("hv1", "test", "-d", APPLIED)[0]:  # this test alone
        edit(lab, *CHANGES[0])
        assert lab.play(*AT_ONCE, playbook="playbooks/rollout.yml").code == 0
    before = {host: revisions(lab, host)[-1] for host in HOSTS}
    lab.intent.write_text(re.sub(r"172\.22\.0\.0/1[56]\]", "172.20.0.0/14]", lab.intent.read_text()))
    run = lab.play(*AT_ONCE, "--limit", "hv1", playbook="playbooks/rollout.yml")
    assert run.code == 0, run.output[-8000:]
    after = {host: revisions(lab, host)[-1] for host in HOSTS}
    assert after["hv1"] > before["hv1"] and {**after, "hv1": before["hv1"]} == before
    run = rolled_back(lab, after["hv1"])
    assert run.code == 0 and run.changed == set(), run.output[-8000:]


def test_what_cannot_be_gone_back_to_is_refused(lab):
    known = revisions(lab, "hv1")
    run = rolled_back(lab, "29990101T000000Z")
    assert run.code != 0 and "there is no revision 29990101T000000Z. Nothing was touched" in flat(run), run.output
    assert known[-1] in run.output
    run = rolled_back(lab, "20000101T000000Z")
    assert run.code != 0 and "no revision 20000101T000000Z, and none before it" in flat(run), run.output
    run = rolled_back(lab, "yesterday")
    assert run.code != 0 and "to: give the revision to go back to" in flat(run), run.output
    lab.run("hv2", "sh", "-c", "cp /etc/machine-id /root && tr 0-8 1-9 </root/machine-id >/etc/machine-id")
    run = rolled_back(lab, known[-1])
    lab.run("hv2", "mv", "/root/machine-id", "/etc/machine-id")
    assert run.code != 0 and "the revision is for another machine (hv2, hostname hv2)" in flat(run), run.output
    lab.run("hv2", "python3", "-c", OTHER_FABRIC)
    run = rolled_back(lab, known[-1])
    assert run.code != 0 and f"is a revision of the fabric other, not of {lab.name}" in flat(run), run.output
    lab.run("hv2", "sh", "-c", f"for f in {APPLIED}/*; do cp /var/lib/routed-hypervisor/state $f; done")
    run = rolled_back(lab, known[-1])
    assert run.code != 0 and "has an old format" in flat(run), run.output
    assert not any(is_armed(lab, host) for host in HOSTS)

"""playbooks/render.yml: what it writes is what the templates make, and it touches nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.leaf_values import LABS, RESOLVED, intent_of
from support.modules import PROJECT
from support.templates import GOLDEN, TEMPLATES, render, variables

BY_OTHERS = "notes.txt"


def run_playbook(inventory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ansible.cli.playbook", "-i", str(inventory), "playbooks/render.yml", *options],
        check=False,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={**os.environ, "ANSIBLE_INVENTORY_ENABLED": "routed.hypervisor.source,yaml", "ANSIBLE_NOCOLOR": "1"},
    )


def play(inventory: Path, out: Path, *options: str) -> str:
    """What the playbook prints. The files of node N go to out/N, with their passwords."""
    done = run_playbook(inventory, "-e", json.dumps({"render_secrets": str(out)}), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files_of(directory: Path) -> dict[str, tuple[str, int, int]]:
    """Path to text, mode and time of every file."""
    return {
        str(path.relative_to(directory)): (path.read_text(), path.stat().st_mode & 0o777, path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def leaves(tmp_path) -> Path:
    """An inventory with the two leaves of the golden data, which cannot be reached."""
    hosts = {name: {**variables(name), "fabric_name": "leaves"} for name in ("leaf_contiv", "leaf_full")}
    inventory = tmp_path / "leaves.yml"
    inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts, "children": {"lab": {}}}}))
    return inventory


def test_every_daemon_of_a_lab_is_rendered_and_a_second_run_touches_nothing(tmp_path):
    out = tmp_path / "out"
    inventory = PROJECT / "inventories" / "l3_hypervisor"
    play(inventory, out)
    first = files_of(out)
    resolved = json.loads((GOLDEN / "l3_hypervisor" / "hv1.json").read_text())
    assert first["hv1/etc/bird/bird.conf"][0] == render("bird/bird.conf", resolved)
    assert first["hv1/etc/dnsmasq.hosts"][0] == render("dnsmasq/dnsmasq.hosts", resolved)
    daemons = {"bird/bird.conf", "bird/secrets.conf", "radvd.conf", "dnsmasq.conf", "dnsmasq.hosts"}
    assert {path.removeprefix("hv1/etc/") for path in first if path.startswith("hv1/etc/")} == daemons
    assert {path.removeprefix("hv3/etc/") for path in first if path.startswith("hv3/etc/")} == {*daemons, "ndppd.conf"}
    assert first["hv1/nftables.conf"][0] == render("nftables/nftables.conf", resolved)
    assert {path for path in first if path.startswith("vm1/")} == {"vm1/etc/dhcpcd.conf"}
    assert {path for path, (_text, mode, _time) in first.items() if mode != 0o644} == {
        path for path in first if path.endswith("secrets.conf")
    }
    assert first["hv1/etc/bird/secrets.conf"][1] == 0o600
    assert "changed=0" in play(inventory, out)
    assert files_of(out) == first


def test_passwords_are_written_only_on_request_and_never_into_the_project(tmp_path, leaves):
    out = tmp_path / "out"
    lab = PROJECT / "inventories" / "l3_hypervisor"
    for inventory in (leaves, lab):
        done = run_playbook(inventory, "-e", json.dumps({"render_directory": str(out)}), "--diff", "-vvv")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "first-secret" not in done.stdout + done.stderr
    made = files_of(out)
    assert 'define bgp_password_public = "<bgp_passwords.public>";' in made["hv1/etc/bird/secrets.conf"][0]
    assert "password 0 <bgp_passwords." in made["leaf_full/secrets.cfg"][0]
    secrets = [*leaf_passwords(leaves), *vaulted_passwords(lab)]
    assert len(secrets) > 3
    assert not [path for path, (text, *_) in made.items() if any(secret in text for secret in secrets)]
    for inside in (PROJECT / "artifacts" / "x", PROJECT / "docs" / ".." / "x", Path("relative")):
        done = run_playbook(leaves, "-e", json.dumps({"render_secrets": str(inside)}))
        assert done.returncode != 0 and "is not an absolute path outside" in done.stdout
        assert not (PROJECT / inside).exists()


def test_passwords_are_not_needed_to_render_without_them(tmp_path, leaves):
    inventory = yaml.safe_load(leaves.read_text())
    for host in inventory["all"]["hosts"].values():
        host.pop("bgp_passwords", None)
        host.pop("ospf_passwords", None)
    leaves.write_text(yaml.safe_dump(inventory))
    done = run_playbook(leaves, "-e", json.dumps({"render_directory": str(tmp_path / "out")}))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out" / "leaf_full" / "secrets.cfg").exists()


def leaf_passwords(inventory: Path) -> list[str]:
    hosts = yaml.safe_load(inventory.read_text())["all"]["hosts"].values()
    return [
        secret
        for host in hosts
        for kind in ("bgp_passwords", "ospf_passwords")
        for secret in host.get(kind, {}).values()
    ]


def vaulted_passwords(inventory: Path) -> list[str]:
    command = [sys.executable, "-m", "ansible.cli.vault", "view", str(inventory / "group_vars/all/vault")]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT).stdout
    return list(yaml.safe_load(shown)["bgp_passwords"].values())


def test_leaves_are_rendered_as_ever_and_what_is_gone_is_removed(tmp_path, leaves):
    out = tmp_path / "out"
    old = out / "leaf_full" / "etc" / "bird.conf"
    old.parent.mkdir(parents=True)
    old.write_text("# Managed by Routed Hypervisor (templates/bird/bird.conf.j2): changes made here are overwritten.\n")
    (old.parent / BY_OTHERS).write_text("of a person\n")
    would = play(leaves, out, "--check", "--diff")
    assert set(files_of(out)) == {"leaf_full/etc/bird.conf", f"leaf_full/etc/{BY_OTHERS}"}
    assert "+hostname leaf1" in would and "first-secret" not in would
    play(leaves, out)
    made = files_of(out)
    golden = {
        f"{leaf}/{file}": (GOLDEN / "templates" / leaf / file).read_text()
        for leaf in ("leaf_contiv", "leaf_full")
        for file in ("leaf.cfg", "secrets.cfg")
    }
    assert {path: text for path, (text, _mode, _time) in made.items() if BY_OTHERS not in path} == golden
    assert f"leaf_full/etc/{BY_OTHERS}" in made
    (out / "leaf_full" / "leaf.cfg").write_text("changed by hand\n")
    (out / "leaf_full" / "secrets.cfg").chmod(0o644)
    play(leaves, out)
    again = files_of(out)
    assert again["leaf_full/leaf.cfg"][0] == golden["leaf_full/leaf.cfg"]
    assert again["leaf_full/secrets.cfg"] == made["leaf_full/secrets.cfg"]
    assert again["leaf_contiv/leaf.cfg"] == made["leaf_contiv/leaf.cfg"]


@pytest.mark.parametrize("lab", LABS)
def test_a_lab_of_leaves_is_rendered_for_switches_by_one_word(tmp_path, lab):
    (tmp_path / lab).mkdir()
    (tmp_path / lab / "fabric.yml").write_text(intent_of(lab, "nxos"))
    play(tmp_path / lab, tmp_path / "out", "--limit", "nxos_leaves")
    made = {path: text for path, (text, _mode, _time) in files_of(tmp_path / "out").items()}
    leaves = [name.partition("/")[2] for name in RESOLVED if name.startswith(f"{lab}/")]
    assert set(made) == {f"{leaf}/{file}" for leaf in leaves for file in ("leaf.cfg", "secrets.cfg")}
    for path, text in made.items():
        assert text == (GOLDEN / "templates" / lab / path).read_text()


@pytest.mark.skipif(not (TEMPLATES / "frr" / "frr.conf.j2").exists(), reason="no FRR on leaves yet")
def test_a_leaf_on_frr_has_other_files(tmp_path, leaves):
    inventory = yaml.safe_load(leaves.read_text())
    for host in inventory["all"]["hosts"].values():
        host["bgp"]["daemon"] = "frr"
    leaves.write_text(yaml.safe_dump(inventory))
    play(leaves, tmp_path / "out")
    modes = {path: mode for path, (_text, mode, _time) in files_of(tmp_path / "out").items()}
    assert modes == {
        **{
            f"{leaf}/etc/frr/{file}": 0o644
            for leaf in ("leaf_contiv", "leaf_full")
            for file in ("daemons", "vtysh.conf")
        },
        "leaf_contiv/etc/frr/frr.conf": 0o644,
        "leaf_full/etc/frr/frr.conf": 0o600,
    }


def test_every_template_is_a_file_of_a_role_and_every_role_with_files_is_rendered():
    lists = [yaml.safe_load(path.read_text().replace("!unsafe", "")) for path in PROJECT.glob("roles/*/vars/main.yml")]
    files = {name: entries for made in lists for name, entries in made.items() if name.endswith("_files")}
    templates = {entry["template"] for entries in files.values() for entry in entries if "template" in entry}
    for template in TEMPLATES.glob("*/*.j2"):
        included = any(f"'{template.name}'" in other.read_text() for other in template.parent.glob("*.j2"))
        assert included or str(template.relative_to(TEMPLATES)) in templates, template
    [rendered] = [made["render_roles"] for made in lists if "render_roles" in made]
    assert {f"{role}_files" for role in [*rendered, "render"]} == set(files)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([{"path": "../x"}], "h: ../x: must be a path below the directory"),
        ([{"path": "/etc/../../x"}], "h: etc/../../x: must be a path below the directory"),
        ([{"path": "/x"}, {"path": "x"}], "h: x: there are two files with this path"),
        ([{"path": "x"}, {"path": "x"}], "h: x: there are two files with this path"),
        ([{"path": "x", "when": "nothing > 3"}], "h: x cannot be rendered: 'nothing' is undefined"),
        ([{"path": "x", "loop": "1 +"}], "h: x cannot be rendered: "),
        ([{"path": "x", "loop": "3"}], "h: x cannot be rendered: 'int' object is not iterable"),
        (
            [{"path": "x"}, {"path": "y", "template": "bird/bird.conf.j2"}],
            "h: y cannot be rendered: 'bgp' is undefined",
        ),
        ([{"path": "x", "template": "nowhere.j2"}], "h: x cannot be rendered: "),
        (
            [{"path": "x", "proxies": "[{'interface': 'a', 'rules': []}]"}],
            "h: x cannot be rendered: line 3: proxy a has no ",
        ),
        ([{"path": "x", "proxies": "[]", "template": "x"}], "parameters are mutually exclusive: template|proxies"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(tmp_path, files, told):
    files = [file if "proxies" in file else {"template": "frr/daemons.j2", **file} for file in files]
    arguments = json.dumps({"directory": str(tmp_path / "out"), "files": files})
    argv = [
        sys.executable,
        "-m",
        "ansible.cli.adhoc",
        "-i",
        "h,",
        "h",
        "-m",
        "routed.hypervisor.render",
        "-a",
        arguments,
    ]
    environment = {**os.environ, "ANSIBLE_INVENTORY_ENABLED": "host_list"}
    done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=PROJECT, env=environment)
    assert done.returncode != 0 and told in done.stdout, done.stdout + done.stderr
    assert not (tmp_path / "out").exists()

"""routed.hypervisor.render for many nodes at once: the texts of the template lookup, from each node's own variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.leaf_values import intent_of
from test_render import PROJECT, files_of

# One node of each kind is enough.
LABS = [
    ("l3_hypervisor", "frr", ["hv1", "rr1", "internet", "vm1"]),
    ("ipvlan_gobgp", "frr", ["host1", "router"]),
    ("contiv_leaf_ha", "frr", ["leaf1", "contiv1"]),
    ("contiv_leaf_ha", "nxos", ["leaf1"]),
]
# Each by the name of its file; first what Jinja does alone, then what is left to Ansible.
PLAIN = {
    "nothing.j2": "a {{ none_at_all }} b {{ 1 }} {{ true }} {{ ['x', 2] }}{{ none_at_all }}\n",
    "block.j2": "{% for n in [1, 2] %}\n{{ n }}\n{% endfor %}\n",
    "empty.j2": "a\n{% if not yes %}\nb\n{% endif %}\n",
    "one_line.j2": "{% if yes %}a{% else %}b{% endif %}\n",
    "no_newline.j2": "{{ inventory_hostname }}",
    "newlines.j2": "a\n\n\n",
    "includes.j2": "<{% include 'no_newline.j2' %}> <{% include 'newlines.j2' %}>\n",
    "with.j2": "{% with n = 3 %}{% include 'n.j2' %}{% endwith %}\n",
    "n.j2": "{% if n is defined %}\n{{ n }}\n{% endif %}n\n",
    "nested.j2": "{{ of_group.words | join(' ') }} {{ of_group.number }} {{ of_group.text }}\n",
    "play.j2": "{{ of_play }} {{ secret_word }}\n",
}
ANSIBLE = {
    "nothing_at_all.j2": "{% if yes and not yes %}a{% endif %}\n",
    "empty_text.j2": "{{ '' }}\n",
    "filter.j2": "{{ of_group | to_json }} {{ [3, 1] | max }}\n",
    "lookup.j2": "{{ lookup('ansible.builtin.pipe', 'echo ' ~ inventory_hostname) }}\n",
    "settings.j2": "#jinja2: lstrip_blocks: True\n    {% if yes %}\n  {{ inventory_hostname }}\n    {% endif %}\n",
    "computed.j2": "{% include 'no_' ~ 'newline.j2' %}\n",
    "default.j2": "{{ there_is.none.such | default('x') }}\n",
    "others.j2": "{{ hostvars['b'].own }} {{ groups['all'] | sort | join(',') }}\n",
}


def ansible(*options: str, name: str = "ansible.cli.playbook") -> subprocess.CompletedProcess:
    settings = {
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        "ANSIBLE_INVENTORY_ENABLED": "routed.hypervisor.source,yaml",
        "ANSIBLE_NOCOLOR": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", name, *options],
        check=False,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={**os.environ, **settings},
    )


def vaulted(text: str) -> str:
    done = ansible("encrypt_string", "--encrypt-vault-id", "lab", text, name="ansible.cli.vault")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def two(tmp_path) -> Path:
    """Two hosts that differ, and a playbook that renders templates at once for both, and for each by itself."""
    (tmp_path / "templates").mkdir()
    for name, text in (PLAIN | ANSIBLE).items():
        (tmp_path / "templates" / name).write_text(text)
    (tmp_path / "hosts.yml").write_text(
        yaml.safe_dump({"all": {"hosts": {"a": {"own": "A", "yes": True}, "b": {"own": "B", "yes": False}}}})
    )
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(
        "of_group: {words: ['{{ own }}', of, '{{ inventory_hostname }}'], number: 3, text: '{{ of_group2 ~ 1 }}'}\n"
        "of_group2: '{{ own * 2 }}'\nnone_at_all: null\nansible_connection: local\n"
        "ansible_python_interpreter: '{{ ansible_playbook_python }}'\n"
        f"secret_word: {vaulted('of ours')}"
    )
    names = sorted(PLAIN | ANSIBLE)
    entry = [{"path": name, "template": name} for name in names]
    play = {
        "hosts": "all",
        "gather_facts": False,
        "vars": {"of_play": "{{ own ~ own }}"},
        "tasks": [
            {
                "name": "At once",
                "routed.hypervisor.render": {
                    "directory": f"{tmp_path}/out",
                    "nodes": "{{ ansible_play_batch }}",
                    "files": entry,
                },
                "run_once": True,
            },
            {
                "name": "One by one",
                "ansible.builtin.template": {
                    "src": "{{ item }}",
                    "dest": f"{tmp_path}/each/{{{{ inventory_hostname }}}}/{{{{ item }}}}",
                },
                "loop": names,
            },
        ],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    for host in "ab":
        (tmp_path / "each" / host).mkdir(parents=True)
    return tmp_path


def test_texts_are_those_of_ansible_whatever_a_template_takes(two):
    done = ansible("-i", str(two / "hosts.yml"), str(two / "play.yml"), "-vvv")
    assert done.returncode == 0, done.stdout + done.stderr
    at_once, each = ({path: made[0] for path, made in files_of(two / name).items()} for name in ("out", "each"))
    assert at_once == each
    assert (at_once["b/nested.j2"], at_once["b/play.j2"]) == ("B of b 3 BB1\n", "BB of ours\n")
    left = {line.split(" is left")[0] for line in done.stdout.splitlines() if "is left to the template lookup" in line}
    assert left == set(ANSIBLE)


@pytest.mark.parametrize(("lab", "platform", "nodes"), LABS)
def test_a_node_s_own_roles_and_this_one_make_the_same_texts_of_our_templates(tmp_path, lab, platform, nodes):
    def looked_up(file: dict) -> dict:
        task = {
            "name": "By the lookup",
            "ansible.builtin.copy": {
                "content": f"{{{{ lookup('ansible.builtin.template', '{file['template']}') }}}}",
                "dest": f"{tmp_path}/each/{{{{ inventory_hostname }}}}/{file['path']}",
                "mode": "0600",
            },
            "delegate_to": "localhost",
            "become": False,
            "vars": {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"},
            "when": file.get("when", True),
        }
        if "loop" in file:
            task |= {"loop": f"{{{{ {file['loop']} }}}}", "loop_control": {"loop_var": file["loop_var"]}}
        return task

    texts = [path.read_text().replace("!unsafe", "") for path in PROJECT.glob("roles/*/vars/main.yml")]
    lists = [made for text in texts for name, made in yaml.safe_load(text).items() if name.endswith("_files")]
    files = [{**file, "path": file["path"].lstrip("/")} for made in lists for file in made if "template" in file]
    for directory in {Path(node, file["path"]).parent for node in nodes for file in files}:
        (tmp_path / "each" / directory).mkdir(parents=True, exist_ok=True)
    render = {"ansible.builtin.import_role": {"name": "render"}, "vars": {"render_secrets": f"{tmp_path}/out"}}
    tasks = [{"name": "At once", **render}, *map(looked_up, files)]
    (tmp_path / "templates").symlink_to(PROJECT / "templates")
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": nodes, "gather_facts": False, "tasks": tasks}]))
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory" / "fabric.yml").write_text(intent_of(lab, platform))
    (tmp_path / "inventory" / "group_vars").symlink_to(PROJECT / "inventories" / lab / "group_vars")
    done = ansible("-i", str(tmp_path / "inventory"), str(tmp_path / "play.yml"), "-vvv")
    assert done.returncode == 0, done.stdout + done.stderr
    at_once, each = ({path: made[0] for path, made in files_of(tmp_path / name).items()} for name in ("out", "each"))
    # ndppd.conf has no template: the module ndppd writes it.
    at_once = {path: text for path, text in at_once.items() if not path.endswith("/etc/ndppd.conf")}
    assert at_once and at_once == each
    assert "is left to the template lookup" not in done.stdout


def fabric(directory: Path, passwords: str, **host_vars: str) -> Path:
    """The inventory of the default lab with other passwords."""
    (directory / "group_vars").mkdir(parents=True)
    (directory / "host_vars").mkdir()
    (directory / "fabric.yml").write_text((PROJECT / "inventories/l3_hypervisor/fabric.yml").read_text())
    (directory / "group_vars" / "all.yml").write_text(passwords)
    for name, text in host_vars.items():
        (directory / "host_vars" / f"{name}.yml").write_text(text)
    return directory


def rendered(inventory: Path, out: Path, *options: str) -> subprocess.CompletedProcess:
    where = json.dumps({"render_secrets": str(out)})
    return ansible("-i", str(inventory), "playbooks/render.yml", "-e", where, *options)


def test_passwords_are_each_node_s_own_vaulted_or_by_another_variable_and_not_shown(tmp_path):
    passwords = f"bgp_passwords:\n  public: {vaulted('from-vault').replace(chr(10), chr(10) + '  ')}\n"
    inventory = fabric(
        tmp_path / "inventory",
        passwords + "  private: '{{ word_of_node }}'\nword_of_node: of-everyone\n",
        hv2="word_of_node: of-hv2\n",
    )
    done = rendered(inventory, tmp_path / "out", "--limit", "hv1,hv2", "--diff")
    assert done.returncode == 0, done.stdout + done.stderr
    files = files_of(tmp_path / "out")
    assert {path.partition("/")[0] for path in files} == {"hv1", "hv2"}
    for node, word in (("hv1", "of-everyone"), ("hv2", "of-hv2")):
        text, mode, _time = files[f"{node}/etc/bird/secrets.conf"]
        assert f'"{word}"' in text and '"from-vault"' in text and mode == 0o600
    assert "hv1/etc/bird/secrets.conf: differs; not shown, because it contains passwords" in done.stdout
    assert "from-vault" not in done.stdout and "of-hv2" not in done.stdout


@pytest.mark.parametrize(
    ("passwords", "hv3", "told"),
    [
        ("{}", "{}", "bgp_passwords has no usable entry for"),
        (
            "bgp_passwords: {public: a-word, private: a-word}",
            "bgp_passwords: {public: a-word}",
            "hv3: /etc/bird/secrets.conf cannot be rendered",
        ),
    ],
)
def test_a_password_that_is_missing_anywhere_leaves_everything_unwritten(tmp_path, passwords, hv3, told):
    done = rendered(fabric(tmp_path / "inventory", passwords, hv3=hv3), tmp_path / "out")
    assert done.returncode != 0 and told in done.stdout + done.stderr, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "out").exists()

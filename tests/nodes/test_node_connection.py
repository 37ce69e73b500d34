"""The connection plugin routed.hypervisor.node, with playbooks: what is true of any connection, warm and cold."""

from __future__ import annotations

import base64
import os
import re
import shutil

import pytest
from supervised_runs import CONNECTION, ansible

# What differs between two nodes, or two runs on one.
VOLATILE = {
    "start",
    "end",
    "delta",
    "ansible_job_id",
    "results_file",
    "invocation",
    "mtime",
    "ctime",
    "atime",
    "elapsed",
    "inode",
    "dev",
}
VOLATILE_FACTS = re.compile(
    r"date_time|uptime|memfree|memory|loadavg|ssh_host|machine_id|processor|swap|fibre|python$|env$"
)


@pytest.fixture(scope="module")
def run(supervised, tmp_path_factory):
    """The broad playbook, run once: n1 is warm, `twin` is cold."""
    directory = tmp_path_factory.mktemp("broad")
    shutil.copytree(CONNECTION, directory, dirs_exist_ok=True)
    (directory / "binary").write_bytes(bytes(range(256)) * 20_000)
    done, found = ansible(supervised.lab, directory, "ansible-playbook", "broad.playbook")
    assert "fatal" not in re.sub(r"fatal:.*\n(.*\n)?\.\.\.ignoring", "", done.stdout), done.stdout + done.stderr
    return directory, done, found


@pytest.fixture
def warm(run):
    return run[2]["n1"]


def normal(value, host: str):
    if isinstance(value, dict):
        return {
            key: normal(below, host)
            for key, below in value.items()
            if key not in VOLATILE and not VOLATILE_FACTS.search(key)
        }
    if isinstance(value, list):
        return [normal(below, host) for below in value]
    if isinstance(value, str):
        value = re.sub(r"/root/\.ansible/tmp/[^/'\" ]+", "TMP", value)
        value = re.sub(r"/tmp\w{8}/", "/TMP/", value)
        value = re.sub(r"ansible-(module)?tmp-[\w.-]+", "TMP", value)
        value = re.sub(r"/tmp/ansible_\w+_payload_\w+", "PAYLOAD", value)
        return value.replace(host, "HOST").replace("n2" if host == "twin" else host, "HOST")
    return value


def test_warm_and_cold_give_the_same_results(run):
    _directory, _done, found = run
    assert list(found["n1"]) == list(found["twin"]) and len(found["n1"]) > 50
    differing = {}
    for task, result in found["n1"].items():
        # They name other nodes: see test_delegation and test_a_node_that_is_not_up_is_unreachable.
        if task.startswith(("delegated to a node", "delegated to what is not up")):
            continue
        one, other = normal(result, "n1"), normal(found["twin"][task], "twin")
        if one != other:
            differing[task] = one, other
    assert not differing


def test_exit_code_and_both_streams(warm):
    for task in ("exit code and streams", "streams of raw"):
        assert (warm[task]["rc"], warm[task]["stdout"].strip(), warm[task]["stderr"].strip()) == (3, "out", "err")
    assert warm["raw in another shell"]["stdout"] == "bash\n"
    assert warm["signal"]["rc"] == 137 and warm["signal of a module's command"]["rc"] == -9
    script = warm["script"]
    assert (script["rc"], script["stdout"], script["stderr"]) == (4, "script argument on n1\n", "oops\n")


def test_input_and_environment(warm):
    assert warm["stdin"]["stdout"] == "in\nput" and warm["no stdin"]["stdout"] == "end\n"
    lines = warm["directory and environment"]["stdout_lines"]
    assert lines[0] == "/usr" and "COLOUR=blue" in lines
    plain = warm["plain environment"]["stdout_lines"]
    assert plain[0] == "/root" and plain[-2] == "0022" and "HOME=/root" in plain and "LANG=C.UTF-8" in plain
    assert not [line for line in plain if line.startswith("PYTHON")]


def test_long_output_is_complete(warm):
    assert warm["lengths"]["msg"] == "10000000 10000000"


def test_files_arrive_as_they_are(run, warm):
    directory, _done, _found = run
    binary = (directory / "binary").read_bytes()
    assert (directory / "fetched-n1").read_bytes() == binary == (directory / "fetched-twin").read_bytes()
    assert not (directory / "missing").exists()
    assert warm["copied text"]["changed"] and not warm["copied text again"]["changed"]
    assert warm["copied text in check mode"]["diff"][0]["after"] == "other\n"
    assert base64.b64decode(warm["template was written"]["content"]) == b"answer: 42\n"
    assert warm["file stat"]["stat"]["size"] == len(binary)


def test_a_timeout_ends_the_command_in_the_node(warm):
    for task in ("timeout", "timeout of raw"):
        assert warm[task]["failed"] and "Timed out after 1 second" in warm[task]["msg"]
    assert warm["after timeouts"]["stdout"] == ""


def test_background_jobs(warm):
    assert warm["async"]["stdout"] == "done"
    assert warm["fire and forget finished"]["finished"] and warm["what was forgotten"]["stdout"] == "42"


def test_become(warm):
    assert warm["become"]["stdout_lines"][0] == "nobody"
    assert warm["become made the file"]["stdout"] == "nobody"
    # root does not become root: that would be a new interpreter for nothing.
    assert warm["become root"]["stdout_lines"] == ["root", "0"]
    wrong = warm["become a user that is missing"]
    assert wrong["failed"] and "unknown user stranger" in str(wrong)


def test_modules_of_all_kinds(warm):
    assert warm["module in another language"]["language"] == "shell"
    assert warm["old-style module"]["hostname"] == "n1" and "word=hello" in warm["old-style module"]["given"]
    third = warm["third-party module"]
    assert third["seen"] == {"hostname": "n1", "directory": "/root", "umask": 0o22, "user": 0}
    assert third["imported_on"] == "n1" and third["archive"]
    assert "word" in warm["third-party module refused"]["msg"]
    assert warm["respawning module"]["respawned"] is True


def test_facts_are_the_nodes(run, warm):
    facts = warm["some facts"]["ansible_facts"]
    assert (facts["ansible_hostname"], facts["ansible_interfaces"]) == ("n1", ["lo"])
    assert warm["Gathering Facts"]["ansible_facts"]["ansible_distribution"] == "Debian"
    assert run[2]["twin"]["some facts"]["ansible_facts"]["ansible_hostname"] == "n2"


def test_delegation(run, warm, supervised):
    for host in ("n1", "twin"):
        assert run[2][host]["delegated to a node"]["stdout"] == "n2"
        assert run[2][host]["delegated to a node by its own name"]["stdout"] == "n1"
    hostname, _directory, *labs = warm["delegated to the machine"]["stdout_lines"]
    assert hostname == os.uname().nodename and supervised.name in labs


def test_a_node_that_is_not_up_is_unreachable(run, warm, supervised):
    for result in (
        warm["delegated to what is not up"],
        run[2]["gone"]["unreachable"],
        run[2]["gone"]["unreachable for a command"],
    ):
        assert result["unreachable"]
        assert f"node gone of lab {supervised.name} is not up. The lab's nodes: n1, n2" in result["msg"]


def test_the_machines_jobs_have_its_directory_and_environment(run):
    machine = run[2]["machine"]
    lines = machine["the machine warm"]["stdout_lines"]
    assert lines == machine["the machine cold"]["stdout_lines"]
    assert lines[:2] == [os.uname().nodename, str(run[0])] and f"PATH={os.environ['PATH']}" in lines


def test_nothing_is_left_in_nodes(run, supervised):
    for node in ("n1", "n2"):
        listing = supervised.run(node, "ls -A /tmp /root/.ansible/tmp")[1].decode().split()
        # What was ended half way can remove nothing.
        assert not [name for name in listing if name.startswith("ansible") and "command_payload_" not in name]


def test_kept_files_and_many_words(supervised, tmp_path):
    done, _ = ansible(supervised.lab, tmp_path, "ansible", "n1", "-m", "ping", "-vvv", ANSIBLE_KEEP_REMOTE_FILES="1")
    assert '"ping": "pong"' in done.stdout and "<n1> EXEC /bin/sh -c" in done.stdout and "<n1> PUT " in done.stdout
    path = re.search(r"TO (/root/\S+AnsiballZ_ping.py)", done.stdout)[1]
    assert supervised.run("n1", ["test", "-s", path])[0] == 0


def test_console_and_python_settings_of_the_user(supervised, tmp_path):
    done, _ = ansible(
        supervised.lab,
        tmp_path,
        "ansible-console",
        "n1",
        input="ping\ncommand env\nexit\n",
        PYTHONUNBUFFERED="1",
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert '"ping": "pong"' in done.stdout and "LOGNAME=root" in done.stdout, done.stdout + done.stderr
    assert "PYTHON" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("-e", "ansible_node_lab=nothing-here"),
            "lab nothing-here is not up. Bring it up with make lab INVENTORY=/srv/inventories/test",
        ),
        (
            ("-e", "lab_owner=/elsewhere"),
            "belongs to /srv/inventories/test, not to /elsewhere: take it down first (make down "
            "INVENTORY=/srv/inventories/test), give this lab another name, or set the variable lab_owner to",
        ),
        (("-u", "nobody"), "ansible_user is nobody: tasks in a lab run as root; use become_user for others"),
    ],
)
def test_mistakes_in_one_sentence(supervised, tmp_path, arguments, sentence):
    done, _ = ansible(supervised.lab, tmp_path, "ansible", "n1", "-m", "ping", *arguments)
    assert done.returncode and sentence in done.stdout + done.stderr and "Traceback" not in done.stdout + done.stderr

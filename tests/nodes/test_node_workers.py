"""Modules in interpreters that are up: what one leaves behind, what ends them, and what is then reported."""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from supervised_runs import HOSTS
from support import ansible_runs
from support.supervised import COMMAND, children, repacked
from support.waiting import until, until_equal

from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_client
from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_frames as frames
from ansible_collections.routed.hypervisor.plugins.plugin_utils.payload import read_payload

# What a module does, and an expression that a later one in the same worker would see it by.
RESTORED = {
    "environment": ("os.environ['COLOUR'] = 'blue'; del os.environ['HOME']", "sorted(os.environ.items())"),
    "directory": ("os.chdir('/usr')", "os.getcwd()"),
    "umask": ("os.umask(0o077)", "(old := os.umask(0), os.umask(old))[0]"),
    "signal handlers": (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGUSR1, print)",
        "[str(__import__('signal').getsignal(number)) for number in (10, 13, 15)]",
    ),
    "signal mask": (
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])",
        "str(__import__('signal').pthread_sigmask(0, []))",
    ),
    "timers": (
        "import signal; signal.setitimer(signal.ITIMER_REAL, 600)",
        "__import__('signal').getitimer(__import__('signal').ITIMER_REAL)",
    ),
    "descriptors": (
        "os.dup2(os.open('/etc/passwd', 0), 77); os.close(0)",
        "[os.readlink(f'/proc/self/fd/{fd}') for fd in (0, 77) if os.path.exists(f'/proc/self/fd/{fd}')]",
    ),
    "limits": (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (99, resource.getrlimit(7)[1]))",
        "__import__('resource').getrlimit(7)",
    ),
    "warnings": ("module.warn('a warning'); module.deprecate('old', version='9')", "None"),
    "filters of warnings": ("import warnings; warnings.simplefilter('error')", "len(__import__('warnings').filters)"),
    "search path": ("sys.path.insert(0, '/nowhere'); sys.path = sys.path[:]", "sys.path"),
    "finders": ("sys.meta_path.insert(0, object())", "len(sys.meta_path)"),
    "main": ("sys.modules['__main__'] = None", "bool(sys.modules['__main__'])"),
    "arguments": ("sys.argv[:] = ['x', 'y']", "sys.argv"),
    "streams": ("sys.stdout = sys.stdin = None", "sys.stdin.read()"),
    "logging": (
        "import logging; logging.basicConfig(level=1, filename='/root/log'); logging.disable(50)",
        "(lambda log: (len(log.root.handlers), log.root.level, log.root.manager.disable))(__import__('logging'))",
    ),
    "locale": (
        "import locale; locale.setlocale(locale.LC_ALL, 'POSIX')",
        "__import__('locale').setlocale(__import__('locale').LC_ALL)",
    ),
    "hooks": ("sys.excepthook = None; sys.settrace(lambda *_: None)", "(sys.excepthook is None, sys.gettrace())"),
    "collector": ("import gc; gc.enable()", "__import__('gc').isenabled()"),
    "timeout of sockets": ("import socket; socket.setdefaulttimeout(1)", "__import__('socket').getdefaulttimeout()"),
    "zombies": (
        "import subprocess; os.waitid(os.P_PID, subprocess.Popen(['true']).pid, os.WEXITED | os.WNOWAIT)",
        "os.popen('ps -o stat= --ppid %d' % os.getpid()).read().count('Z')",
    ),
    "variables of Ansible's": (
        "from ansible.module_utils import basic; basic.PERM_BITS = 1; basic.FILE_COMMON_ARGUMENTS.clear(); "
        "basic.NEW = 1",
        "(lambda m: (m.PERM_BITS, len(m.FILE_COMMON_ARGUMENTS), hasattr(m, 'NEW')))("
        "__import__('ansible.module_utils.basic', fromlist=['x']))",
    ),
    "variables of this collection's": (
        "from ansible_collections.routed.hypervisor.plugins.module_utils._kinds import vrf as m; "
        "m.RESERVED_TABLES.clear(); m.RESERVED_TABLES = {}; m.extra = 1",
        "(lambda m: (m.RESERVED_TABLES, hasattr(m, 'extra')))("
        "__import__('ansible_collections.routed.hypervisor.plugins.module_utils._kinds.vrf', fromlist=['x']))",
    ),
    "variables of classes": (
        "from ansible.module_utils.basic import AnsibleModule as m; m.extra = 1; m.fail_json = None",
        "(lambda m: (hasattr(m, 'extra'), callable(m.fail_json)))("
        "__import__('ansible.module_utils.basic', fromlist=['x']).AnsibleModule)",
    ),
    "tracebacks wanted": (
        "from ansible.module_utils._internal import _traceback as m; m._module_tracebacks_enabled_events = {1}",
        "__import__('ansible.module_utils._internal._traceback', fromlist=['x'])._module_tracebacks_enabled_events",
    ),
    "exception": ("raise ValueError('x' * 1000)", "None"),
    "exit": ("sys.exit(-1)", "None"),
    "output without an end": ("print('x' * 300_000)", "None"),
}
# What cannot be put back: the worker ends.
RETIRING = {
    "namespace": ("import ctypes; ctypes.CDLL(None).unshare(0x40000000)", "os.stat('/proc/self/ns/net').st_ino"),
    "root": ("os.mkdir('/root/prison'); os.chroot('/root/prison')", "os.listdir('/')"),
    "user": ("os.setgid(65534); os.setuid(65534)", "os.getuid()"),
    "session": ("os.setpriority(os.PRIO_PROCESS, 0, 5)", "os.getpriority(os.PRIO_PROCESS, 0)"),
    "threads": (
        "import threading; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
        "__import__('threading').active_count()",
    ),
}


@pytest.mark.parametrize("what", RESTORED)
def test_a_module_finds_what_the_first_one_found(supervised, what):
    leave, look = RESTORED[what]
    look = f"result['seen'] = {look}"
    before = supervised.mischief("n1", look)
    supervised.mischief("n1", leave)
    after = supervised.mischief("n1", look)
    assert "seen" in before, before.output + before.errors
    assert after == before  # in the same process, too


@pytest.mark.parametrize("what", RETIRING)
def test_a_worker_ends_that_cannot_be_put_back(supervised, what):
    leave, look = RETIRING[what]
    look = f"result['seen'] = {look}"
    before = supervised.mischief("n1", look)
    left = supervised.mischief("n1", leave)
    after = supervised.mischief("n1", look)
    assert left["worker"] == before["worker"] != after["worker"] and after["seen"] == before["seen"]
    until(lambda: not is_in_node(supervised, "n1", left["worker"]), what="the old worker has ended")


def is_in_node(supervised, node: str, process: int) -> bool:
    return supervised.run(node, ["test", "-d", f"/proc/{process}"])[0] == 0


def test_what_python_does_at_the_end_is_done_once(supervised):
    leave = """
        import atexit, threading
        atexit.register(lambda: open('/root/at-exit', 'a').write('x'))
        threading.Thread(target=lambda: (time.sleep(0.2), open('/root/thread', 'w'))).start()
    """
    supervised.mischief("n1", leave)
    supervised.mischief("n1")
    assert supervised.run("n1", "rm /root/thread; cat /root/at-exit; rm /root/at-exit")[:2] == (0, b"x")


@pytest.fixture(scope="module")
def programs(supervised):
    """Modules of this collection, with and without mistakes."""
    found = [
        supervised.program(f"routed.hypervisor.{name}", state="gathered")
        for name in (
            "network",
            "interfaces",
            "rules",
            "routes",
            "sysctls",
            "vrfs",
            "ipvlan_links",
            "namespaces",
            "proxy_arp",
        )
    ]
    rule = {"priority": 100, "to_table": 100, "src": "192.0.2.0/24"}
    wrong = {"priority": "many", "to_table": 100}
    found += [
        supervised.program("routed.hypervisor.rules", config=[rule], _ansible_check_mode=True, _ansible_diff=True),
        supervised.program("routed.hypervisor.rules", config=[wrong]),
        supervised.program("routed.hypervisor.rules", colour="blue"),
        supervised.program("routed.hypervisor.network", config={"rules": [rule, rule]}, _ansible_check_mode=True),
        supervised.program("routed.hypervisor.interfaces", config=[{"name": "lo", "mtu": 1}], _ansible_check_mode=True),
        supervised.program("routed.hypervisor.daemon", name="bird", state="stopped", _ansible_check_mode=True),
        supervised.program("routed.hypervisor.bgp_info", daemon="bird"),
        supervised.program("routed.hypervisor.verify", config=[]),
    ]
    return found


def normal(result: dict) -> dict:
    """A result without the call stack of its process."""
    return {key: value for key, value in result.items() if key != "exception"}


def test_results_are_those_of_new_interpreters_in_any_order(supervised, programs):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        cold = list(pool.map(lambda text: supervised.cold("n2", text), programs))
    assert sum(not result.get("failed") for result in cold) > len(cold) / 2
    worker = supervised.mischief("n2")["worker"]
    for seed in range(3):
        order = list(range(len(programs)))
        random.Random(seed).shuffle(order)
        for number in order:
            warm = supervised.warm("n2", programs[number])
            assert (normal(warm), warm.code, warm.errors) == (
                normal(cold[number]),
                cold[number].code,
                cold[number].errors,
            )
    assert supervised.mischief("n2")["worker"] == worker


def test_a_changed_file_takes_effect_at_once(supervised):
    utilities = "ansible_collections.routed.hypervisor.plugins.module_utils"
    code = f"from {utilities} import _changing; result['seen'] = _changing.VALUE"
    # As from another copy of the collection, and back.
    seen = [supervised.mischief("n1", code, _changing=f"VALUE = {version}\n")["seen"] for version in (1, 1, 2, 1)]
    assert seen == [1, 1, 2, 1]
    sources = [f"""print('{{"version": {number}}}'); exit()\n""" for number in (1, 2, 1)]
    programs = [supervised.mischief_program("", source=source) for source in sources]
    assert [supervised.warm("n1", text)["version"] for text in programs] == [1, 2, 1]


def test_a_file_that_is_new_reaches_a_worker(supervised):
    utilities = "ansible_collections.routed.hypervisor.plugins.module_utils"
    worker = supervised.mischief("n1")["worker"]
    code = f"from {utilities} import _later; result['seen'] = _later.VALUE"
    for _ in range(2):
        found = supervised.mischief("n1", code, _later="VALUE = 1\n")
        assert (found["seen"], found["worker"]) == (1, worker)


def in_background(call, *arguments):
    """Starts a call in a thread. Returns what gives its result, or raises what it raised."""
    return concurrent.futures.ThreadPoolExecutor(1).submit(call, *arguments)


def started(supervised, node: str, mark: str):
    until(lambda: supervised.run(node, ["test", "-e", f"/root/{mark}"])[0] == 0, what="the module has begun")
    supervised.run(node, ["rm", f"/root/{mark}"])


def host_process(supervised, process: int) -> int:
    """The number that a process of a node has on the machine."""
    for interpreter in supervised.interpreters():
        for child in children(interpreter):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                status = Path(f"/proc/{child}/status").read_text()
                if re.search(rf"NSpid:\t{child}\t{process}$", status, re.MULTILINE):
                    return child
    raise AssertionError(process)


WAITING = "open('/root/begun', 'w'); time.sleep(60)"


def test_a_worker_that_is_killed_while_idle_is_replaced(supervised):
    first = supervised.mischief("n1")["worker"]
    process = host_process(supervised, first)
    os.kill(process, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{process}").exists(), what="its interpreter has noticed")
    assert supervised.mischief("n1")["worker"] != first


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_is_killed_fails_its_task_with_the_reason(supervised, number):
    first = supervised.mischief("n1")["worker"]
    task = in_background(supervised.mischief, "n1", WAITING)
    started(supervised, "n1", "begun")
    os.kill(host_process(supervised, first), number)
    with pytest.raises(lab_client.JobFailed, match=f"the module's process on n1 was killed by {number.name}"):
        task.result(20)
    assert supervised.mischief("n1")["worker"] != first


def test_a_module_that_leaves_without_a_word_says_how(supervised):
    with pytest.raises(lab_client.JobFailed, match="the module's process on n1 ended with 7"):
        supervised.mischief("n1", "os._exit(7)")
    with pytest.raises(lab_client.JobFailed, match="the module's process on n1 was killed"):
        supervised.mischief("n1", "os.closerange(3, 99); time.sleep(60)")
    assert supervised.mischief("n1")["worker"]


def test_a_killed_interpreter_fails_its_tasks_and_is_replaced(supervised):
    task = in_background(supervised.mischief, "n1", WAITING)
    started(supervised, "n1", "begun")
    for interpreter in supervised.interpreters():
        os.kill(interpreter, signal.SIGKILL)
    with pytest.raises(
        lab_client.JobFailed, match="the interpreter that runs modules was killed; the next task starts"
    ):
        task.result(20)
    assert supervised.mischief("n1")["worker"]
    until_equal(lambda: supervised.run("n1", ["pgrep", "-fc", "python3 -B -E"])[1], b"1\n")


def test_a_busy_worker_leaves_the_second_task_to_a_fork(supervised):
    first = supervised.mischief("n1")["worker"]
    wait = "open('/root/begun', 'w')\nwhile not os.path.exists('/root/go'): time.sleep(0.02)\nos.remove('/root/go')"
    task = in_background(supervised.mischief, "n1", wait)
    started(supervised, "n1", "begun")
    second = supervised.mischief("n1")
    assert second["worker"] != first and not task.done()
    supervised.run("n1", ["touch", "/root/go"])
    assert task.result(60)["worker"] == first == supervised.mischief("n1")["worker"]


def test_a_node_that_is_replaced_gets_another_worker(supervised):
    lab = supervised.lab
    code = "open('/root/of-the-first', 'w')"
    supervised.mischief("n2", code)
    task = in_background(supervised.mischief, "n2", WAITING)
    started(supervised, "n2", "begun")
    lab.nodes("n2", state="deleted")
    with pytest.raises(
        lab_client.JobFailed, match=r"the module's process on n2 was killed by SIGKILL.*was the node stopped"
    ):
        task.result(20)
    with pytest.raises(lab_client.JobFailed, match=f"node n2 of lab {lab.name} is not up. The lab's nodes: n1"):
        supervised.mischief("n2")
    lab.nodes("n2")
    assert supervised.mischief("n2", "result['seen'] = os.path.exists('/root/of-the-first')")["seen"] is False


def test_a_library_that_is_installed_in_the_node_is_found(supervised):
    install = "d=/usr/local/lib/python3.11/dist-packages; mkdir -p $d; echo 'VALUE = 7' >$d/newly_installed.py"
    assert supervised.run("n1", install)[0] == 0
    text = supervised.program("ansible.builtin.ping", data="x")
    source = "import newly_installed, json; print(json.dumps({'seen': newly_installed.VALUE})); exit()"
    found = repacked(text, "ansible.modules.newly", {"ansible/modules/newly.py": source})
    assert supervised.warm("n1", found)["seen"] == 7


def test_many_tasks_at_once(supervised):
    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        results = list(pool.map(lambda _: supervised.mischief("n1", "time.sleep(0.05)"), range(60)))
    assert all(result["worker"] for result in results)


def test_limits_of_descriptors_are_high_inside_and_usual_for_modules(supervised):
    usual = supervised.run("n1", "ulimit -n; ls /proc/self/fd")[1].split()
    assert usual[1:4] == [b"0", b"1", b"2"]
    for ours in (True, False):
        seen = supervised.mischief(
            "n1",
            "import resource; result['seen'] = resource.getrlimit(7)[0], sorted(map(int, os.listdir('/proc/self/fd')))",
            ours,
        )["seen"]
        assert seen[0] == int(usual[0]) and max(seen[1]) < 10
    for interpreter in supervised.interpreters():
        limits = re.search(r"Max open files +(\w+) +(\w+)", Path(f"/proc/{interpreter}/limits").read_text())
        assert limits[1] == limits[2]


def submit(supervised, head: dict, text: bytes = b"") -> socket.socket:
    """Start a job, of a module if `text` is its program, and leave its end to others."""
    connection = lab_client.connect(supervised.name)
    head = {"lab": supervised.name, "node": "n1", "directory": "/root", **head}
    payload = read_payload(COMMAND, text)
    if payload:
        head |= {"kind": "module", "persistent": True, **payload.request}
    connection.sendall(frames.pack(0, frames.OPEN, json.dumps(head).encode() + b"\n"))
    if payload:
        next(frames.frames_of(connection))
        connection.sendall(frames.pack(0, frames.PAYLOAD, payload.data()))
    return connection


@pytest.mark.parametrize("kind", ["exec", "module"])
def test_when_its_client_is_gone_a_job_ends(supervised, kind):
    head = {"kind": "exec", "command": ["sleep", "91"]}
    source = "import subprocess; subprocess.call(['sleep', '91'])"
    text = supervised.mischief_program("", source=source) if kind == "module" else b""
    connection = submit(supervised, head, text)
    until(lambda: supervised.run("n1", ["pgrep", "-x", "sleep"])[0] == 0, what="it runs")
    connection.close()
    until(lambda: supervised.run("n1", ["pgrep", "-x", "sleep"])[0] == 1, what="it has ended")
    assert supervised.mischief("n1")["worker"]


def test_a_killed_playbook_leaves_nothing_and_the_next_one_works(supervised, tmp_path):
    ansible_runs.write_inventory(supervised.lab, tmp_path, {"hosts": HOSTS})
    wait = "sh -c 'touch /root/begun; until [ -e /root/go ]; do sleep 0.1; done'"
    process = ansible_runs.start(tmp_path, "ansible", "n1,twin", "-m", "command", "-a", wait, start_new_session=True)
    for node in ("n1", "n2"):
        until(lambda node=node: supervised.run(node, ["rm", "/root/begun"])[0] == 0, 60, "it runs")
    process.kill()
    for node in ("n1", "n2"):
        supervised.run(node, ["touch", "/root/go"])
    process.communicate()
    for node in ("n1", "n2"):
        until(lambda node=node: supervised.run(node, ["pgrep", "-f", "/root/go"])[0] == 1, what="it has ended")
        supervised.run(node, ["rm", "/root/go"])
    until_equal(lambda: supervised.run("n1", "ps -eo stat= | grep -c Z")[1], b"0\n")
    assert supervised.cold("n1", supervised.program("ansible.builtin.ping"))["ping"] == "pong"


@contextlib.contextmanager
def stopped(process: int):
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_supervisor_that_hangs_is_reported(supervised, monkeypatch):
    process = lab_client.ask(supervised.name, "status")["process"]
    monkeypatch.setattr(lab_client, "PATIENCE_S", 0.3)
    with stopped(process), pytest.raises(lab_client.LabDown, match="does not answer: take the lab down with make down"):
        supervised.run("n1", ["true"])
    # One that is slow to end a job does not hang.
    assert supervised.run("n1", ["sleep", "1"])[0] == 0


def test_a_lab_of_roots_is_reported_to_others(supervised):
    code = f"""
        import os, sys
        sys.path[:] = {sys.path!r}
        from ansible_collections.routed.hypervisor.plugins.plugin_utils import lab_client
        os.setgid(65534); os.setuid(65534)
        try:
            lab_client.ask({supervised.name!r}, "status")
        except lab_client.LabDown as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout == f"lab {supervised.name} belongs to root: run this as root (sudo -E)\n"


def test_an_interpreter_that_cannot_run_is_named(supervised):
    text = supervised.program("ansible.builtin.ping")
    payload = read_payload(COMMAND, text)
    for program, reason in (("/usr/bin/python9", "No such file"), ("/usr/bin/false", "must be Python 3.9 or later")):
        head = {"kind": "module", "lab": supervised.name, "node": "n1", "persistent": True, **payload.request}
        with pytest.raises(lab_client.JobFailed, match=f"{program}.*{reason}"):
            lab_client.run(supervised.name, head | {"interpreter": program}, payload=payload.data)


def test_a_full_disk_is_reported(supervised, monkeypatch):
    requests = f"{lab_client.directory(supervised.name)}/requests"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", requests], check=True)
    try:
        with pytest.raises(
            lab_client.JobFailed, match=r"could not be written.*: No space left on device.*Free space in"
        ):
            supervised.run("n1", ["true"], b"x" * 100_000)
        with pytest.raises(lab_client.JobFailed, match=r"could not (take the job's input|be written)"):
            supervised.run("n1", ["sleep", "20"], source=io.BytesIO(b"x" * 1_000_000))
    finally:
        subprocess.run(["umount", requests], check=True)
    assert supervised.run("n1", ["true"])[0] == 0


def test_a_lab_whose_program_was_killed_is_down_with_the_reason(supervised):
    """Last: it ends the lab."""
    supervisor = lab_client.ask(supervised.name, "status")["process"]
    task = in_background(supervised.mischief, "n1", WAITING)
    started(supervised, "n1", "begun")
    (guest,) = children(supervisor)
    os.kill(guest, signal.SIGKILL)
    with pytest.raises(lab_client.LabDown):
        task.result(20)
    until(lambda: not Path(f"/proc/{supervisor}").exists(), what="the supervisor has ended")
    with pytest.raises(
        lab_client.LabDown, match=f"lab {supervised.name} is not up: it ended at .*Bring it up with make lab"
    ):
        supervised.run("n1", ["true"])

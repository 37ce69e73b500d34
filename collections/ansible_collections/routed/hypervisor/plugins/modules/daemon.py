#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: daemon
short_description: Configuration files of a daemon and the daemon that has loaded them
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Writes all files of one daemon and makes sure that it runs with exactly these.
  - The daemon's own parser checks the new files together before any of them replaces an old one. What it refuses is
    not written, and the running daemon is not touched.
  - The daemon is reloaded or restarted only if what it has loaded differs. What it has loaded is written down under
    C(/run/routed-hypervisor-daemon), so that a run that was killed between writing and reloading is completed by the
    next one. A daemon that somebody else has restarted since is recognised.
  - With O(command) it also makes the service itself, for programs whose package has none, or several instances of one.
attributes:
  check_mode:
    support: full
    description: Tells exactly what a run would do. The parser is asked in check mode, too.
  diff_mode:
    support: full
    description: Shows the files that change, but never the content of secret ones.
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  name:
    description: What messages and the record of what is loaded call this daemon.
    type: str
    required: true
  files:
    description:
      - Files that everybody may know.
      - The base names of all files of a daemon must differ, because the parser sees them in one directory.
      - The first line of each must contain C(Managed by Routed Hypervisor). A file that does not have it is somebody
        else's, and is kept as C(PATH.before-routed-hypervisor).
    type: list
    elements: dict
    default: []
    suboptions: &file
      path:
        description: Absolute path. Its directory must exist, unless there is a O(command), with which it is made.
        type: path
        required: true
      content:
        description: The whole content. Not needed if O(state=absent).
        type: str
      mode:
        description: Permissions, in octal digits. Default V(0644) in O(files), V(0640) in O(secret_files).
        type: str
      owner:
        description: Name or number.
        type: str
        default: root
      group:
        description: Name or number.
        type: str
        default: root
      secret_part:
        description:
          - Regular expression whose one group matches what is secret in a file, such as C(password (\S+)).
            Differences are shown with this masked, of the old content, too.
          - Without it nothing of a file in O(secret_files) is shown.
        type: str
  secret_files:
    description: Files whose content is neither shown nor returned, and taken out of messages of the daemon.
    type: list
    elements: dict
    default: []
    suboptions: *file
  check:
    description:
      - The command of the daemon's parser; it ends with 0 if the files are good.
      - C({BASENAME}) is replaced by the path of the candidate for the file of this base name.
      - Relative includes between the files work, as candidates lie side by side under their base names.
    type: list
    elements: str
  command:
    description:
      - The program of the service and its arguments. It must stay in the foreground.
      - The module writes the unit C(/etc/systemd/system/SERVICE.service), which starts the program again whenever it
        ends, or on a host without systemd the script C(/etc/init.d/SERVICE), which knows C(start), C(stop),
        C(restart), C(status), and C(reload) if O(reload) is given. A change of either restarts the service.
      - Without systemd the output of the program goes to C(/var/log/SERVICE.log), the pid is in C(/run/SERVICE.pid),
        and nothing starts a program again that has ended. O(pid_file) and O(executable) are not used.
    type: list
    elements: str
  description:
    description:
      - One line for the unit. Only with O(command).
      - As its change restarts the service, it is the place to name what a reload does not load.
    type: str
  environment:
    description: Variables of the program's environment. Only with O(command).
    type: dict
    default: {}
  runtime_directory:
    description:
      - Directory under C(/run) that is there before the program starts, for root only. It is kept when the service
        stops, so several services may have the same. Only with O(command).
    type: str
  vrf:
    description:
      - Name of the VRF that all sockets of the program are bound to, with C(ip vrf exec), those that it listens on,
        too. It must exist; if it is replaced by another of this name, the program is restarted. Only with
        O(command).
    type: str
  restart_signal:
    description:
      - What ends the program when it is restarted; when it is stopped it is always V(TERM). With V(KILL) a routing
        daemon cannot take leave of its neighbours, which keep its routes if they know graceful restart. Only with
        O(command).
    type: str
    choices: [TERM, KILL]
    default: TERM
  prepare:
    description:
      - A command that is run before every start of the program, also when systemd starts it again. Only with
        O(command).
    type: list
    elements: str
  cleanup:
    description:
      - A command that undoes what the program leaves behind when it ends. It is run after the service was stopped to be
        removed, by O(state=absent) or by O(stops) of another service. Only with O(command).
    type: list
    elements: str
  stops:
    description:
      - Patterns of the names of services that must not run beside this one. Those that match are stopped and no longer
        started at boot, before this one starts. Those that were made with O(command) are removed with all that
        belongs to them.
      - A pattern that begins with V(!) names those that may. This service itself is never meant.
    type: list
    elements: str
    default: []
  service:
    description: Name of the service. Default is O(name).
    type: str
  executable:
    description: The program of the service's main process. Default is the name of the service.
    type: str
  pid_file:
    description:
      - Where the service writes its pid. Needed without systemd if other instances of the same program may run on
        the same host, and for a daemon that does not tell otherwise that it has really started.
    type: path
  reload:
    description:
      - The command that makes the running daemon load its files; C({pid}) is replaced by the pid of the main process.
      - Without it the daemon is restarted.
    type: list
    elements: str
  reload_expect:
    description: Regular expression that must be found in the output of O(reload). For clients that end with 0 anyway.
    type: str
  restart_on:
    description: Paths of files that a reload does not load, so that their change restarts the daemon.
    type: list
    elements: path
    default: []
  depends_on_interfaces:
    description:
      - Interfaces that the daemon binds to when it starts. They must exist. A daemon that is bound to an interface
        that was replaced is restarted.
    type: list
    elements: str
    default: []
  ready:
    description: A command that succeeds as soon as the started daemon does its work.
    type: list
    elements: str
  state:
    description:
      - V(started) is as described above.
      - V(stopped) writes the files, and the daemon does not run.
      - V(absent) stops the daemon, removes those of the files that bear our mark, and brings back what was kept. Of a
        service that was made with O(command) the name is enough.
    type: str
    choices: [started, stopped, absent]
    default: started
  enabled:
    description: Whether the service starts when the host boots. Left alone if not given.
    type: bool
  timeout:
    description: For how many seconds a start, a stop or the parser is waited for.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: Run BIRD with its configuration
  routed.hypervisor.daemon:
    name: bird
    files:
      - path: /etc/bird/bird.conf
        owner: bird
        group: bird
        mode: "0640"
        content: |
          # Managed by Routed Hypervisor
          include "secrets.conf";
          router id 192.0.2.1;
          protocol device { }
    secret_files:
      - path: /etc/bird/secrets.conf
        owner: bird
        group: bird
        content: |
          # Managed by Routed Hypervisor
          define bgp_password_public = "{{ bgp_passwords.public }}";
    check: [bird, -p, -c, "{bird.conf}"]
    reload: [birdc, configure]
    reload_expect: "Reconfigured|Reconfiguration in progress"
    ready: [birdc, show, status]
    stops: ["gobgpd-*"]

- name: Run an instance of GoBGP as a service of its own
  routed.hypervisor.daemon:
    name: gobgpd-main
    command: [gobgpd, -f, /etc/gobgp/main.toml, --pprof-disable, "--api-hosts=unix:///run/gobgp/main.sock"]
    description: GoBGP of the main table
    runtime_directory: gobgp
    # A gobgpd that was killed leaves its socket behind, and the next one cannot listen on it.
    prepare: [rm, -f, /run/gobgp/main.sock]
    files:
      - path: /etc/gobgp/main.toml
        content: |
          # Managed by Routed Hypervisor
          [global.config]
            as = 64512
            router-id = "192.0.2.1"
    reload: [kill, -HUP, "{pid}"]
    enabled: true
    stops: [bird]

- name: Remove it again
  routed.hypervisor.daemon:
    name: gobgpd-main
    state: absent
"""

RETURN = r"""
changes:
  description: What was done, or would be in check mode, in order.
  type: list
  elements: dict
  returned: success
  contains:
    kind: {description: V(files) or V(services)., type: str}
    op:
      description: V(create), V(change), V(delete), V(restore), V(start), V(stop), V(restart), V(reload), V(enable),
        V(disable) or V(clean up).
      type: str
    name: {description: Path or name., type: str}
    before: {description: Owner and mode of a file if they change; what is in it is in the difference., type: dict}
    after: {description: Owner and mode of a file if they change., type: dict}
    why: {description: The reason., type: str}
  sample:
    - {kind: services, op: reload, name: bird, before: {}, after: {}, why: bird.conf changes}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._daemon.options import ARGUMENTS, daemon
from ..module_utils._daemon.run import DaemonError, converge


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = converge(daemon(module.params), module.check_mode, module.tmpdir)
    except DaemonError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: daemon
short_description: A daemon and its configuration files
version_added: 0.1.0
author:
  - Routed Hypervisor maintainers (@routed-hypervisor)
description:
  - Writes all configuration files of a daemon and makes sure that it runs with exactly these.
  - The daemon's own parser checks the new files together before any of them replaces an old one. Files that it
    refuses are not written, and the running daemon is not touched.
  - The daemon is reloaded or restarted only if it has loaded something else. What it has loaded is recorded under
    C(/run/routed-hypervisor-daemon), so that a run that was killed between writing and reloading is completed by the
    next one. A restart by others in the meantime is detected.
  - With O(command) the module also creates the service itself, for a program whose package has none, or for several
    instances of a program.
attributes:
  check_mode:
    support: full
    description: Reports exactly what a run would do. The parser runs in check mode, too.
  diff_mode:
    support: full
    description: Shows the changed files, but never the content of secret ones.
  idempotent:
    support: full
    description: A second run changes nothing.
options:
  name:
    description: The name of the daemon in messages and in the record of what it has loaded.
    type: str
    required: true
  files:
    description:
      - Files without secrets.
      - The base names of all files of a daemon must differ, because the parser reads them from one directory.
      - The first line of each must contain C(Managed by Routed Hypervisor). A file without it is somebody
        else's, and is kept as C(PATH.before-routed-hypervisor).
    type: list
    elements: dict
    default: []
    suboptions: &file
      path:
        description: Absolute path. Its directory must exist, except with O(command), which creates it.
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
          - Regular expression whose only group matches the secrets in a file, such as C(password (\S+)).
            They are masked when differences are shown, in the old content, too.
          - Without it, nothing of a file in O(secret_files) is shown.
        type: str
  secret_files:
    description: Files with secrets. Their content is neither shown nor returned, and is masked in messages.
    type: list
    elements: dict
    default: []
    suboptions: *file
  check:
    description:
      - The command that runs the daemon's parser; it exits with 0 if the files are valid.
      - C({BASENAME}) is replaced by the path of the new file with this base name.
      - Relative includes between the files work, because the new files are in one directory under their base names.
    type: list
    elements: str
  command:
    description:
      - The program of the service and its arguments. It must stay in the foreground.
      - The module writes the unit C(/etc/systemd/system/SERVICE.service), which restarts the program whenever it
        ends, or on a host without systemd the script C(/etc/init.d/SERVICE), which supports C(start), C(stop),
        C(restart), C(status), and C(reload) if O(reload) is given. A change of either restarts the service.
      - Without systemd the output of the program goes to C(/var/log/SERVICE.log), the pid is in C(/run/SERVICE.pid),
        and nothing restarts a program that has ended. O(pid_file) and O(executable) are not used.
    type: list
    elements: str
  description:
    description:
      - One line for the unit. Only with O(command).
      - Changing it restarts the service, so it can contain a value that a reload does not load.
    type: str
  environment:
    description: Variables of the program's environment. Only with O(command).
    type: dict
    default: {}
  runtime_directory:
    description:
      - Directory under C(/run) that is created before the program starts, for root only. It is kept when the service
        stops, so several services may share it. Only with O(command).
    type: str
  vrf:
    description:
      - Name of the VRF to which all sockets of the program are bound with C(ip vrf exec), including listening ones. It
        must exist; if it is replaced by another one of the same name, the program is restarted. Only with O(command).
    type: str
  restart_signal:
    description:
      - The signal that ends the program for a restart; a stop always uses V(TERM). With V(KILL) a routing daemon cannot
        close its sessions, and neighbours that support graceful restart keep its routes. Only with O(command).
    type: str
    choices: [TERM, KILL]
    default: TERM
  prepare:
    description:
      - A command that runs before every start of the program, including restarts by systemd. Only with O(command).
    type: list
    elements: str
  cleanup:
    description:
      - A command that cleans up what the program leaves behind. It runs after the service was stopped for removal, by
        O(state=absent) or by O(stops) of another service. Only with O(command).
    type: list
    elements: str
  stops:
    description:
      - Name patterns of services that must not run alongside this one. Matching services are stopped, and disabled at
        boot, before this one starts. Those created with O(command) are removed with everything that belongs to them.
      - A pattern that begins with V(!) exempts services. This service itself never matches.
      - With O(state=absent), those created with O(command) are removed, and others are left alone.
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
      - The file to which the service writes its pid. Needed without systemd if other instances of the program may run
        on the host, or if nothing else shows that the daemon has started.
    type: path
  reload:
    description:
      - The command that makes the running daemon load its files; C({pid}) is replaced by the pid of the main process.
      - Without it, the daemon is restarted.
    type: list
    elements: str
  reload_expect:
    description: Regular expression that must be found in the output of O(reload). For clients that always exit with 0.
    type: str
  restart_on:
    description: Paths of files that a reload does not read, so that changing them restarts the daemon.
    type: list
    elements: path
    default: []
  depends_on_interfaces:
    description:
      - Interfaces that the daemon binds to when it starts. They must exist. If one was replaced, the daemon is
        restarted.
    type: list
    elements: str
    default: []
  uses_interfaces:
    description:
      - Interfaces that the daemon refers to by name while the kernel binds it to them by index, such as the VRFs of
        its sessions. They may be absent.
      - If one was created or replaced after the daemon loaded its configuration, the daemon is reloaded, or restarted
        if it has no O(reload).
    type: list
    elements: str
    default: []
  rebind:
    description:
      - A command that follows such a reload, for what a reload leaves bound to the previous interface.
      - It runs once for each of these interfaces; C({interface}) is replaced by its name, C({pid}) by the pid of the
        main process.
    type: list
    elements: str
    default: []
  session_interfaces:
    description:
      - Interfaces on which the daemon receives routes. If one came up, or changed its VRF, after the daemon started or
        was refreshed, O(refresh) runs.
    type: list
    elements: str
    default: []
  session_addresses:
    description:
      - Addresses on O(session_interfaces) that the daemon's sessions use. If one was added after the daemon started or
        was refreshed, O(refresh) runs.
    type: list
    elements: str
    default: []
  refresh:
    description:
      - A command that requests all routes from the neighbours again. Only with O(session_interfaces) and
        O(session_addresses).
    type: list
    elements: str
    default: []
  ready:
    description: A command that succeeds once the started daemon is working.
    type: list
    elements: str
  state:
    description:
      - V(started) is as described above.
      - V(stopped) writes the files and stops the daemon.
      - V(absent) stops the daemon, removes the files that carry our mark, and restores backups. For a service created
        with O(command) the name suffices.
    type: str
    choices: [started, stopped, absent]
    default: started
  enabled:
    description: Whether the service starts when the host boots. Left alone if not given.
    type: bool
  former:
    description:
      - A file on the host, readable by root only, in which the state of services of others is recorded before it is
        first changed, running or not and enabled at boot or not. M(routed.hypervisor.network) uses the same file.
      - With O(state=absent), a service that is recorded there is put back into that state once its files were restored,
        and so are those that O(stops) matches. A service of which nothing is ours and nothing recorded is left alone.
    type: path
  timeout:
    description: Time limit for a start, a stop or the parser, in seconds.
    type: int
    default: 30
extends_documentation_fragment:
  - routed.hypervisor.daemon.renewed
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
    # A killed gobgpd leaves its socket behind, and the next one could not listen on it.
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
  description: The changes made, or predicted in check mode, in order.
  type: list
  elements: dict
  returned: success
  contains:
    kind: {description: V(files) or V(services)., type: str}
    op:
      description: V(create), V(change), V(delete), V(restore), V(start), V(stop), V(restart), V(reload),
        V(resume), V(refresh), V(enable), V(disable) or V(clean up).
      type: str
    name: {description: Path or name., type: str}
    before: {description: Owner and mode of a file if they change. Its content is in the difference., type: dict}
    after: {description: Owner and mode of a file if they change., type: dict}
    why: {description: The reason., type: str}
  sample:
    - {kind: services, op: reload, name: bird, before: {}, after: {}, why: bird.conf changes}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._daemon.daemon import DaemonError
from ..module_utils._daemon.options import ARGUMENTS, daemon
from ..module_utils._daemon.run import converge
from ..module_utils._engine.lock import Held, refuse_after_rollback


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        if not module.check_mode:
            refuse_after_rollback()
        result = converge(daemon(module.params), module.check_mode, module.tmpdir, module.warn)
    except (DaemonError, Held) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

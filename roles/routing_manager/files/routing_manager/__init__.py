# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps GoBGP and the kernel's routing tables in step, both ways.

config      the configuration; all mistakes are reported together
model       routes, in a form that both sides are compared in
plan        which routes to write and to remove (no kernel, no BGP)
resolve     how a BGP next hop is reached (no kernel)
_netlink    rtnetlink messages and sockets: files of the collection's package of that name (a namespace package here)
kernel      the host's links, addresses and routes, kept up to date
containers  the addresses inside network namespaces, kept up to date
rib         parses GoBGP's output (no processes)
gobgp       GoBGP's command line: the stream of changes, tables, announcements
instance    one GoBGP and one routing table
follow      one gobgpd over its restarts
daemon      the service: all instances, notifications, signals
once        the same without a service: --once, --dry-run, status
"""

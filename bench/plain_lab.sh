#!/bin/bash
# The default lab (inventories/l3_hypervisor) with plain commands, as written by someone who needs only this lab:
#   plain_lab.sh up FILES IMAGE     FILES: a directory of rendered files for each node; IMAGE: an image of lab nodes
#   plain_lab.sh down
# A node is a network namespace plain-NODE and, for its daemons, a root directory over the image. Ends when every route
# and address is present and every guest reaches all others and the outside world.
set -Eeuo pipefail
command=$1 files=${2:-} image=${3:-}
state=/run/plain-lab
switches="switch-A switch-B"
machines="rr1 rr2 internet hv1 hv2 hv3 vm1 vm2 vm3 vm4"
declare -A home=([vm1]=hv1 [vm2]=hv1 [vm3]=hv2 [vm4]=hv3)
unreachable="metric 4278198272 proto 82"

batch() { ip -n "plain-$1" -batch -; }
in_net() { local node=$1; shift; nsenter --net="/run/netns/plain-$node" "$@"; }
in_root() { local node=$1; shift; in_net "$node" chroot "$state/$node/root" "$@"; }

nodes() {
  for node in $switches $machines; do echo "netns add plain-$node"; done | ip -batch -
  for node in $switches $machines; do echo "link set lo up" | batch "$node"; done
  for node in $machines; do
    local place=$state/$node
    mkdir -p "$place"/{upper,work,root}
    mount -t overlay overlay -o "lowerdir=$image,upperdir=$place/upper,workdir=$place/work" "$place/root"
    mount -t proc proc "$place/root/proc"
    mount -t tmpfs tmpfs "$place/root/dev"
    mknod -m 666 "$place/root/dev/null" c 1 3
    mknod -m 666 "$place/root/dev/random" c 1 8
    mknod -m 666 "$place/root/dev/urandom" c 1 9
    mount -t tmpfs tmpfs "$place/root/run"
    mkdir -p "$place"/root/run/{bird,radvd,dnsmasq}
    cp -r "$files/$node/." "$place/root/"
  done
}

cables() {
  local node guest number
  {
    for node in rr1 hv1 hv2 hv3 internet; do
      echo "link add fabric-A netns plain-$node type veth peer name $node netns plain-switch-A"
    done
    for node in rr2 hv1 hv2 hv3 internet; do
      echo "link add fabric-B netns plain-$node type veth peer name $node netns plain-switch-B"
    done
    for guest in vm1 vm2 vm3 vm4; do
      number=${guest#vm}
      echo "link add $guest netns plain-${home[$guest]} address 02:01:cb:00:71:0$number type veth" \
        "peer name eth0 netns plain-$guest address 02:00:cb:00:71:0$number"
    done
  } | ip -batch -
}

switch() { # NODE PORT…
  local node=$1 port; shift
  in_net "$node" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
  { echo "link add bridge up type bridge"; for port; do echo "link set $port master bridge up"; done; } | batch "$node"
}

vlan() { # FABRIC VLAN VRF ADDRESS…: lines that create it, with the interface down
  echo "link add link fabric-$1 name fabric-$1.$2 type vlan id $2"
  [ -z "$3" ] || echo "link set fabric-$1.$2 master $3"
  local link=fabric-$1.$2 address; shift 3
  for address; do echo "address add $address dev $link$([[ $address != *:* ]] || echo ' nodad')"; done
}

vrfs() {
  local vrf
  for vrf in "private 20" "public 90"; do
    echo "link add ${vrf% *} up type vrf table ${vrf#* }"
    echo "route add unreachable 0.0.0.0/0 table ${vrf#* } $unreachable"
    echo "route add unreachable ::/0 table ${vrf#* } $unreachable"
  done
}

# Settings for redirects, router advertisements and filters, before an interface is up.
settings() { # NODE FORWARDED INTERFACE…
  local node=$1 forwarded=$2 link all=net/ipv4/conf/all; shift 2
  local values=("$all/rp_filter=0" "$all/send_redirects=0" "$all/accept_redirects=0"
    net/ipv6/conf/all/accept_redirects=0)
  for link; do
    values+=("net/ipv6/conf/$link/accept_ra=0")
    [[ $link = *.* ]] || continue
    values+=("net/ipv6/conf/$link/accept_redirects=0" "net/ipv6/conf/$link/keep_addr_on_down=1")
    values+=("net/ipv4/conf/$link/accept_redirects=0" "net/ipv4/conf/$link/send_redirects=0")
    values+=("net/ipv4/conf/$link/rp_filter=0" "net/ipv4/conf/$link/forwarding=$([[ $link != $forwarded ]]; echo $?)")
  done
  in_net "$node" sysctl -qw "${values[@]}"
}

up() { # NODE INTERFACE…
  local node=$1 link; shift
  for link; do echo "link set $link up"; done | batch "$node"
}

reflector() { # NODE FABRIC PRIVATE PUBLIC PUBLIC6
  local links=("fabric-$2" "fabric-$2.20" "fabric-$2.90")
  { vrfs; vlan "$2" 20 private "$3"; vlan "$2" 90 public "$4" "$5"; } | batch "$1"
  settings "$1" none "${links[@]}"
  up "$1" "${links[@]}"
}

border() {
  local links=(fabric-A fabric-A.90 fabric-B fabric-B.90)
  {
    vlan A 90 "" 198.51.100.1/25 2001:db8:c633:6400::ff/120
    vlan B 90 "" 198.51.100.254/25 2001:db8:c633:6401::ff/120
    echo "link add world up type dummy"
    echo "address add 192.0.2.1/32 dev world"
    echo "address add 2001:db8:ffff::1/128 dev world"
  } | batch internet
  settings internet none "${links[@]}"
  up internet "${links[@]}"
}

hypervisor() { # NUMBER GUEST…
  local node=hv$1 number=$1 guest values; shift
  local links=(fabric-A fabric-A.20 fabric-A.90 fabric-B fabric-B.20 fabric-B.90)
  {
    vrfs
    vlan A 20 private "172.22.15.10$number/25"
    vlan A 90 public "198.51.100.10$number/25" "2001:db8:c633:6400::$number/120"
    vlan B 20 private "172.22.15.20$number/25"
    vlan B 90 public "198.51.100.20$number/25" "2001:db8:c633:6401::$number/120"
    echo "link add loopback up master private type dummy"
    echo "address add 172.22.2.$number/32 dev loopback"
    echo "rule add to 172.22.0.0/16 lookup 20 priority 2000 proto 82"
    for guest; do echo "link set $guest master public"; done
  } | batch "$node"
  values=(net/ipv4/tcp_l3mdev_accept=1 net/ipv4/udp_l3mdev_accept=1 net/ipv6/conf/all/forwarding=1)
  for guest; do
    values+=("net/ipv4/conf/$guest/accept_redirects=0" "net/ipv4/conf/$guest/send_redirects=0")
    values+=("net/ipv4/conf/$guest/forwarding=1" "net/ipv4/conf/$guest/rp_filter=1")
    values+=("net/ipv4/conf/$guest/proxy_arp=1" "net/ipv4/neigh/$guest/proxy_delay=0")
    values+=("net/ipv6/conf/$guest/accept_redirects=0" "net/ipv6/conf/$guest/addr_gen_mode=1")
  done
  in_net "$node" sysctl -qw "${values[@]}"
  settings "$node" "*.90" "${links[@]}" "$@"
  up "$node" "${links[@]}" "$@"
  for guest; do
    local table routed6=2001:db8:cb00:7100:0:cbff:fe00:710${guest#vm}/128
    echo "address add 203.0.113.254/32 dev $guest scope link"
    echo "address add fe80::1/64 dev $guest nodad"
    for table in 90 254; do
      echo "route add 203.0.113.${guest#vm}/32 dev $guest scope link table $table proto 82"
      echo "route add $routed6 dev $guest table $table proto 82"
    done
  done | batch "$node"
}

network() {
  switch switch-A rr1 hv1 hv2 hv3 internet
  switch switch-B rr2 hv1 hv2 hv3 internet
  reflector rr1 A 172.22.15.126/25 198.51.100.126/25 2001:db8:c633:6400::26/120
  reflector rr2 B 172.22.15.226/25 198.51.100.226/25 2001:db8:c633:6401::26/120
  border
  hypervisor 1 vm1 vm2
  hypervisor 2 vm3
  hypervisor 3 vm4
  for guest in vm1 vm2 vm3 vm4; do
    in_net "$guest" sysctl -qw net.ipv6.conf.eth0.accept_ra=1 net.ipv6.conf.eth0.autoconf=1 net.ipv6.conf.eth0.use_tempaddr=0
    up "$guest" eth0
  done
}

# Background daemons must not keep the caller's output open.
daemons() {
  local node
  {
    # Not every user-mode Linux supports such tables.
    for node in hv1 hv2 hv3; do in_root "$node" nft -f /nftables.conf || true; done
    for node in rr1 rr2 internet hv1 hv2 hv3; do in_root "$node" bird -c /etc/bird/bird.conf; done
    for node in hv1 hv2 hv3; do
      in_root "$node" ndppd -d -c /etc/ndppd.conf -p /run/ndppd.pid
      in_root "$node" radvd -C /etc/radvd.conf -p /run/radvd/radvd.pid
      in_root "$node" dnsmasq -C /etc/dnsmasq.conf -x /run/dnsmasq/dnsmasq.pid
    done
    for node in vm1 vm2 vm3 vm4; do in_root "$node" dhcpcd -q; done
  } >>"$state/log" 2>&1
}

two_hops() { # NODE COMMAND…: whether the route has two next hops; prints a message if not
  local node=$1 hops; shift
  hops=$(ip -n "plain-$node" "$@" | grep -c via)
  [ "$hops" = 2 ] || { echo "$node: $hops next hops: ip $*"; return 1; }
}

complete() { # whether all routes and addresses from daemons are present; if not, prints the first missing one
  local node guest other
  for node in hv1 hv2 hv3; do
    for guest in vm1 vm2 vm3 vm4; do
      [ "${home[$guest]}" != "$node" ] || continue
      two_hops "$node" -4 route show table 90 "203.0.113.${guest#vm}" || return 1
      two_hops "$node" -6 route show table 90 "2001:db8:cb00:7100:0:cbff:fe00:710${guest#vm}" || return 1
    done
    for family in -4 -6; do two_hops "$node" $family route show table 90 default proto bird || return 1; done
    for other in 1 2 3; do
      [ "hv$other" = "$node" ] || two_hops "$node" -4 route show table 20 "172.22.2.$other" || return 1
    done
  done
  for guest in vm1 vm2 vm3 vm4; do
    [ "$(ip -n "plain-$guest" address show dev eth0 scope global -tentative | grep -c inet)" = 2 ] ||
      { echo "$guest: no two addresses"; return 1; }
  done
}

settled() {
  local end=$((SECONDS + 60)) missing
  until missing=$(complete); do
    [ $SECONDS -lt $end ] || { echo "after 60 s: $missing"; exit 1; }
    sleep 0.1
  done
}

packets() {
  local guest target pids=()
  for guest in vm1 vm2 vm3 vm4; do
    for target in 192.0.2.1 2001:db8:ffff::1 203.0.113.{1..4} 2001:db8:cb00:7100:0:cbff:fe00:710{1..4}; do
      in_root "$guest" ping -q -n -c 1 -w 10 "$target" >/dev/null &
      pids+=($!)
    done
  done
  for pid in "${pids[@]}"; do wait "$pid" || { echo "a ping was not answered"; exit 1; }; done
}

down() {
  local node pids
  for node in $switches $machines; do
    [ -e "/run/netns/plain-$node" ] || continue
    pids=$(ip netns pids "plain-$node")
    # shellcheck disable=SC2086
    [ -z "$pids" ] || kill -KILL $pids 2>/dev/null || true
    if [ -d "$state/$node/root/proc" ]; then umount --recursive --lazy "$state/$node/root"; fi
    ip netns delete "plain-$node"
  done
  rm -rf --one-file-system "$state"
}

part() { # prints its name and microseconds
  local start=${EPOCHREALTIME/[.,]/}
  "$1"
  echo "$1 $((${EPOCHREALTIME/[.,]/} - start))"
}

trap 'tail -n 5 "$state/log" 2>/dev/null' ERR
case $command in
  up) for step in nodes cables network daemons settled packets; do part $step; done ;;
  down) down ;;
esac

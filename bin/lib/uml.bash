# shellcheck shell=bash
# User-mode Linux in the cache: one directory per kernel, tools/uml/KIND, described by kernel.json (see uml_kernels.py).
# To be sourced after packages.bash, with here, cache, tools and python set, and the functions say and refuse.
# shellcheck disable=SC2154 # those

# Debian's suite with user-mode Linux 7.2, which boots and runs programs more than twice as fast as 6.1.
newer_suite=forky
newer_kernel=debian-7.2
newer_kernel_package=${ROUTED_HYPERVISOR_UML_PACKAGE:-user-mode-linux=7.2um1}

# The mirrors of Debian to try, best first: the machine's own, in any format of its sources, then the default one. With
# package lists, apt prints their origin; without, as in a new container, there are only the addresses.
debian_mirrors() {
  if [ -n "${ROUTED_HYPERVISOR_DEBIAN_MIRROR:-}" ]; then
    echo "$ROUTED_HYPERVISOR_DEBIAN_MIRROR"
    return
  fi
  # shellcheck disable=SC2016 # these are names of apt's
  {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' |
      awk '$2 !~ /security/ && $3 == "main" && $4 == "Debian" { print $1; exit }'
    apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' |
      awk '$1 ~ /\/debian\/?$/ && $3 == "main" { print $1; exit }'
    # The default of mmdebstrap, which builds the image
    sed -n "s/^ *my \$mirror *= '\(http[^']*\)';.*/\1/p" "$(command -v mmdebstrap || echo "$tools/usr/bin/mmdebstrap")" | head -n1
  } 2>/dev/null | sed 's,/$,,' | awk '!seen[$0]++'
}

# Sets the array newer to an apt-get with only that suite, and mirror to its address: the machine's lists and packages
# are not used. The signature is verified with the keyring of the machine's own Debian.
use_newer_suite() {
  local place=$cache/apt/$newer_suite keyring=usr/share/keyrings/debian-archive-keyring.gpg
  [ -z "${newer_lists:-}" ] || return 0
  if [ -e "/$keyring" ]; then keyring=/$keyring; else keyring=$tools/$keyring; fi
  mkdir -p "$place"/{lists,cache/archives}/partial || exit 1
  newer=(apt-get -q -o APT::Sandbox::User=root -o APT::Architecture=amd64 -o Acquire::Retries=2 -o Acquire::Languages=none
    -o "Dir::State::Lists=$place/lists" -o "Dir::Cache=$place/cache" -o Dir::State::status=/dev/null
    -o "Dir::Etc::sourcelist=$place/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null)
  say "fetching the package list of Debian $newer_suite (10 MB)"
  while read -r mirror; do
    printf 'deb [arch=amd64 signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$newer_suite" >"$place/sources.list"
    # For apt, an unreachable list is only a warning.
    if "${newer[@]}" update >"$place/log" 2>&1 </dev/null && ! grep -q '^[WE]:' "$place/log"; then
      newer_lists=yes
      return 0
    fi
    apt_says "$place/log"
  done < <(debian_mirrors)
  return 1
}

# apt_says LOG: sets reason
apt_says() { reason=$(grep -m1 '^[EW]:' "$1" || tail -n1 "$1"); }

# newer_versions PACKAGE: the versions in the suite, in one line
newer_versions() {
  apt-cache "${newer[@]:2}" madison "$1" 2>/dev/null | awk -F ' *\\| *' '{ print $2 }' | sort -u | paste -sd ' '
}

# download_newer DIRECTORY PACKAGE[=VERSION]...: prints progress every few seconds, and the duration at the end; sets
# reason if that fails.
download_newer() {
  local directory=$1 total done_so_far=0 began=$SECONDS job size
  shift
  total=$(cd "$directory" && "${newer[@]}" download --print-uris "$@" 2>/dev/null | awk '{ sum += $3 } END { print int(sum / 1e6 + .5) }')
  say "downloading $* from Debian $newer_suite (${total:-?} MB)"
  (cd "$directory" && exec "${newer[@]}" download "$@") >"$directory/log" 2>&1 &
  job=$!
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.2
    if [ $((SECONDS - began)) -ge $((done_so_far + 5)) ]; then
      done_so_far=$((SECONDS - began))
      size=$(du -cb "$directory" "$cache/apt/$newer_suite/cache" 2>/dev/null | awk 'END { print int($1 / 1e6) }')
      say "  $size of ${total:-?} MB after $done_so_far s"
    fi
  done
  wait "$job" || { apt_says "$directory/log"; return 1; }
  say "  ${total:-?} MB in $((SECONDS - began)) s"
}

# Directories of a kernel being prepared: $work/uml/KIND, and beside it the files that uml_boot.py needs.
new_work() {
  mkdir -p "$tools/uml" || exit 1
  work=$(mktemp -d "$tools/uml/.work-XXXXXX") && mkdir "$work/uml" && ln -s "$tools/uml/bin" "$tools/uml/lib" "$work/uml/" || exit 1
}

# keep_kernel KIND: moves $work/uml/KIND into place. Running lab kernels keep the previous one open.
keep_kernel() {
  [ ! -e "$tools/uml/$1" ] || mv "$tools/uml/$1" "$work/old" || exit 1
  mv "$work/uml/$1" "$tools/uml/$1" || exit 1
  rm -rf "$work"
}

# describe_kernel DIRECTORY KEY=JSON...
describe_kernel() {
  local file=$1/kernel.json pair separator="{"
  shift
  for pair; do
    printf '%s\n  "%s": %s' "$separator" "${pair%%=*}" "${pair#*=}"
    separator=,
  done >"$file"
  printf '\n}\n' >>"$file"
}

# try_kernel KIND KEY=JSON...: describes $work/uml/KIND and boots it once; sets reason if the lab cannot run there.
try_kernel() {
  local kind=$1 kernel=$work/uml/$1 inet
  shift
  describe_kernel "$kernel" "$@" nftables_inet=false
  if ! inet=$(ROUTED_HYPERVISOR_UML=$kind ROUTED_HYPERVISOR_KERNEL_MEMORY=512 \
    "$python" -EsB "$here/lib/lab_kernel.py" uml "$work" "$python" -I -S "$here/lib/try_uml.py" "$here/lab-kernel" 2>&1 </dev/null); then
    reason="it was booted, and failed: $inet"
    return 1
  fi
  describe_kernel "$kernel" "$@" "nftables_inet=$inet"
}

# Makes sure that the cache has a user-mode Linux, the newest available.
prepare_uml() {
  [ ! -s "$tools/uml/built/kernel.json" ] || return 0
  prepare_newer_kernel || prepare_release_kernel
}

# modprobe and depmod of the machine, or unpacked ones, with their libraries: tools/uml/bin, tools/uml/lib.
prepare_modprobe() {
  local kmod library
  kmod=$(readlink -f "$(command -v kmod || command -v modprobe)")
  [ -x "$kmod" ] || kmod=$(unpacked_kmod)
  if [ ! -x "$kmod" ]; then
    unpack kmod
    unpack libkmod2
    kmod=$(unpacked_kmod)
  fi
  mkdir -p "$tools/uml/bin" "$tools/uml/lib" || exit 1
  ln -sfn "$kmod" "$tools/uml/bin/modprobe"
  ln -sfn "$kmod" "$tools/uml/bin/depmod"
  for library in "$tools"/usr/lib/*/libkmod.so.2; do [ ! -e "$library" ] || ln -sfn "$library" "$tools/uml/lib/"; done
}

# /bin in Debian 12, /usr/bin later
unpacked_kmod() {
  local kmod
  for kmod in "$tools/bin/kmod" "$tools/usr/bin/kmod"; do [ ! -x "$kmod" ] || echo "$kmod"; done | head -n1
}

# index_modules DIRECTORY: indexes modules for modprobe -d DIRECTORY; prints the version of the kernel.
index_modules() {
  local version
  version=$(basename "$1"/lib/modules/*)
  LD_LIBRARY_PATH=$tools/uml/lib "$tools/uml/bin/depmod" -b "$1" "$version" && echo "$version"
}

# User-mode Linux of the newer suite. Fails, with one sentence, if it is not available or does not run.
prepare_newer_kernel() {
  local work reason refused=$tools/uml/refused
  [ "$(cat "$tools/uml/$newer_kernel/package" 2>/dev/null)" != "$newer_kernel_package" ] || return 0
  [ "$(cat "$refused" 2>/dev/null)" != "$newer_kernel_package" ] || return 1
  [ "$(dpkg --print-architecture)" = amd64 ] || return 1
  say "this machine's kernel cannot run the lab: preparing user-mode Linux 7.2"
  prepare_modprobe
  new_work
  if fetch_newer_kernel; then
    keep_kernel "$newer_kernel"
    rm -f "$refused"
  else
    say "no user-mode Linux 7.2, so this continues with the release's own, which is slower: $reason"
    rm -rf "$work"
    return 1
  fi
}

# Puts the kernel in $work/uml/KIND; sets reason if that fails.
fetch_newer_kernel() {
  local kernel=$work/uml/$newer_kernel package=${newer_kernel_package%%=*} wanted=${newer_kernel_package#*=} versions
  use_newer_suite || return 1
  versions=$(newer_versions "$package")
  if [[ " $versions " != *" $wanted "* ]]; then
    reason="Debian $newer_suite has ${versions:-no version} of $package, and $wanted no longer."
    echo "$newer_kernel_package" >"$refused"
    return 1
  fi
  mkdir "$work/debs" "$kernel" || return 1
  download_newer "$work/debs" "$newer_kernel_package" libc6 &&
    unpack_newer_kernel "$work"/debs/"$package"_*.deb "$work"/debs/libc6_*.deb
}

# unpack_newer_kernel KERNEL.deb LIBC.deb
unpack_newer_kernel() {
  local needed own version loader=null libraries=null
  mkdir "$kernel/lib"
  if ! dpkg-deb -x "$1" "$work/unpacked" || ! mv "$work/unpacked/usr/bin/linux.uml" "$kernel/linux" ||
    ! mv "$work/unpacked/usr/lib/uml/modules" "$kernel/lib/modules" || ! version=$(index_modules "$kernel"); then
    reason="$(basename "$1") could not be unpacked."
    return 1
  fi
  needed=$(dpkg-deb -f "$1" Depends | sed -n 's/.*libc6 (>= \([^)]*\)).*/\1/p')
  own=$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d' ' -f2)
  if ! dpkg --compare-versions "${own:-0}" ge "${needed:-0}"; then
    mkdir "$kernel/libc"
    if ! dpkg-deb -x "$2" "$work/unpacked" ||
      ! mv "$work"/unpacked/usr/lib/x86_64-linux-gnu/{ld-linux-x86-64.so.2,libc.so.6} "$kernel/libc"; then
      reason="$(basename "$2") could not be unpacked."
      return 1
    fi
    loader='"libc/ld-linux-x86-64.so.2"' libraries='"libc"'
    use_own_loader "$kernel/linux" || return 1
  fi
  echo "$newer_kernel_package" >"$kernel/package"
  try_kernel "$newer_kernel" "version=\"$version\"" "origin=\"Debian $newer_suite\"" 'linux="linux"' \
    'parameters=["seccomp=auto"]' "loader=$loader" "libraries=$libraries" 'modules="."'
}

# Replaces the path of the loader, which occurs once in the program, by /dev/shm/ld.so, where uml_boot.py links the loader
# that matches the libraries. The loader on the command line would not suffice: the kernel executes /proc/self/exe again.
use_own_loader() {
  # shellcheck disable=SC2016 # these are Perl's variables
  perl -0777 -i -pe '
    $new = "/dev/shm/ld.so";
    $count = s{/lib64/ld-linux-x86-64\.so\.2\0}{$new . "\0" x (length($&) - length($new))}ge;
    END { $? = $count == 1 ? 0 : 1 }' "$1" || { reason="its program interpreter is not where it is expected."; return 1; }
}

# User-mode Linux of the machine's own release, which caches of earlier versions also contain. It stays where it was
# unpacked, so that such a cache remains usable for the version that created it.
prepare_release_kernel() {
  local work reason version kind kernel
  ! grep -qs '"origin": "this Debian release"' "$tools"/uml/*/kernel.json || return 0
  prepare_modprobe
  [ -x "$tools/usr/bin/linux.uml" ] || unpack user-mode-linux
  version=$(basename "$tools"/usr/lib/uml/modules/*)
  kind=debian-$(cut -d. -f1-2 <<<"$version")
  new_work
  kernel=$work/uml/$kind
  mkdir -p "$kernel/lib" || exit 1
  ln -s "$tools/usr" "$work/usr"
  ln -s ../../usr/bin/linux.uml "$kernel/linux"
  ln -s ../../../usr/lib/uml/modules "$kernel/lib/modules"
  index_modules "$kernel" >/dev/null || reason="depmod failed for its modules."
  if [ -n "${reason:-}" ] || ! try_kernel "$kind" "version=\"$version\"" 'origin="this Debian release"' 'linux="linux"' \
    'parameters=[]' loader=null libraries=null 'modules="."'; then
    rm -rf "$work"
    refuse "user-mode Linux $version does not work here: $reason"
  fi
  keep_kernel "$kind"
}

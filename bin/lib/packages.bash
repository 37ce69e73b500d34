# shellcheck shell=bash
# Unpacks packages in the cache or installs them in a virtual environment, never on the machine. To be sourced, with
# cache, tools and venv set, and the functions say and refuse defined.

# follow WHAT PLACES MEGABYTES COMMAND…: runs the command without showing its output, prints its progress every few
# seconds by the size of its files (of MEGABYTES, 0: unknown), and its duration. Shows the output if it fails.
follow() {
  local what=$1 places=$2 total=$3 began=$SECONDS said=0 log job size
  shift 3
  say "$what"
  mkdir -p "$cache" && log=$(mktemp "$cache/.log-XXXXXX") || exit 1
  "$@" >"$log" 2>&1 </dev/null &
  job=$!
  while kill -0 "$job" 2>/dev/null; do
    sleep 0.2
    [ $((SECONDS - began)) -ge $((said + 5)) ] || continue
    said=$((SECONDS - began))
    # shellcheck disable=SC2086 # a pattern
    size=$(du -cxsm $places 2>/dev/null | awk 'END { print $1 }')
    say "  ${size:-0}$([ "$total" = 0 ] || echo " of about $total") MB after $said s"
  done
  if ! wait "$job"; then
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
  say "  done in $((SECONDS - began)) s"
}

# unpack PACKAGE [DIRECTORY]: unpacks a Debian package in the cache, by default in $tools. Uses the machine's package
# lists; if they are missing or old, separate ones are fetched to the cache, and the machine's are left unchanged.
unpack() {
  local package=$1 target=${2:-$tools} work own=(-o "Dir::State::Lists=$cache/apt/lists" -o "Dir::Cache=$cache/apt/cache")
  local apt=(apt-get -qq -o APT::Sandbox::User=root -o Acquire::Retries=2)
  say "unpacking the Debian package $package in $target"
  mkdir -p "$target" "$cache/apt/lists/partial" "$cache/apt/cache/archives/partial" || exit 1
  work=$(mktemp -d "$cache/apt/download-XXXXXX") || exit 1
  if ! (cd "$work" && "${apt[@]}" download "$package") >"$work/log" 2>&1; then
    [ -n "${fetched_lists:-}" ] || "${apt[@]}" "${own[@]}" update >>"$work/log" 2>&1
    fetched_lists=yes
    if ! (cd "$work" && "${apt[@]}" "${own[@]}" download "$package") >>"$work/log" 2>&1; then
      local reason
      reason=$(grep -m1 '^E:' "$work/log" || tail -n1 "$work/log")
      rm -rf "$work"
      refuse "the Debian package $package could not be downloaded; is there a network? apt-get says: $reason"
    fi
  fi
  dpkg-deb -x "$work"/*.deb "$target" || { rm -rf "$work"; refuse "$package could not be unpacked in $target."; }
  rm -rf "$work"
}

# pip of the environment, of this Python, or of Debian's python3-pip-whl, because Debian's Python has none. Uses the real
# path of the environment: pip writes the path of its Python into every program that it installs.
find_pip() {
  local own
  own=$(readlink -f "$venv")/bin/python
  if "$own" -m pip --version >/dev/null 2>&1; then
    pip=("$own" -m pip)
  elif "$own" -m ensurepip >/dev/null 2>&1; then
    pip=("$own" -m pip)
  else
    ls "$tools"/usr/share/python-wheels/pip-*.whl >/dev/null 2>&1 || unpack python3-pip-whl
    pip=(env "PYTHONPATH=$(echo "$tools"/usr/share/python-wheels/pip-*.whl)" "$own" -m pip)
  fi
}

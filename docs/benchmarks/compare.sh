#!/usr/bin/env bash
# haul beside its peers, and the page about it: docs/benchmarks/DATE.md.
#   docs/benchmarks/compare.sh [--synced] RUNNER [ARGS…]
# RUNNER compares downloaders: `RUNNER --ours 'haul … {url} -o {out}' --ours-list … --json FILE ARGS` leaves its measurements
# in FILE, and `RUNNER --report --json FILE` prints them. Its results stay in target/peers, so that scenarios can be measured
# one after the other; the page has all of the day's.
# HAUL=PATH names a haul that is built already. --synced: haul as it is by default, and each peer followed by a sync of what it wrote.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

synced=
if [[ ${1-} == --synced ]]; then
  synced=-synced
  shift
fi
if (($# == 0)) || [[ -z $1 ]]; then
  echo "name the program that compares downloaders: just bench-peers PATH/OF/RUNNER [its options]" >&2
  exit 2
fi
runner=$(realpath -- "$1")
shift
export PATH="$PATH:/usr/sbin"

missing=()
for need in aria2c:aria2 axel:axel wget2:wget2 lftp:lftp rclone:rclone curl:curl nginx:nginx-light ip:iproute2; do
  command -v "${need%:*}" >/dev/null || missing+=("${need#*:}")
done
if ((${#missing[@]} > 0)); then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -qq -y --no-install-recommends "${missing[@]}"
fi

if [[ -z ${HAUL-} ]]; then
  cargo build --release --locked
fi
haul=$(realpath "${HAUL:-${CARGO_TARGET_DIR:-target}/release/haul}")
results=target/peers
mkdir -p "$results"
date=$(date -u +%F)
data=$results/$date$synced.json

sync_option=--no-sync
if [[ -n $synced ]]; then
  sync_option=
  # Each peer under its own name, with a sync of what is in its folder after it.
  wrappers=$(mktemp -d)
  trap 'rm -rf "$wrappers"' EXIT
  for tool in aria2c axel wget2 lftp rclone curl; do
    printf '#!/bin/sh\n%s "$@" && find . -type f -exec sync {} +\n' "$(command -v $tool)" >"$wrappers/$tool"
    chmod +x "$wrappers/$tool"
  done
  export PATH="$wrappers:$PATH"
  # Not those that put their files together after that.
  set -- -t aria2c,axel,wget2,lftp,rclone,curl "$@"
fi

"$runner" --json "$data" --ours "$haul -q $sync_option -j 16 -o {out} {url}" \
  --ours-list "$haul -q $sync_option -j 16 -i {list} -d {dir}" "$@"
tables=$results/$date$synced.tables
"$runner" --json "$data" --report >"$tables"
cat "$results/$date".tables "$results/$date"-synced.tables 2>/dev/null >"$results/tables" || true
docs/benchmarks/report.py "$results/$date.json" --synced "$results/$date-synced.json" --scenarios "$results/tables" \
  --haul "$haul" --out "docs/benchmarks/$date.md" --runner "just bench-peers${synced} $(basename "$runner") $*"

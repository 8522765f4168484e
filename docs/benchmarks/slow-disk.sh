#!/usr/bin/env bash
# Whether haul goes on while the disk makes writers wait: 300 MiB at loopback speed to a disk of 20 MB/s with 20 MB of
# cache. The longest time between two progress events, which are due every 0.25 s, is how long everything stood still.
#   docs/benchmarks/slow-disk.sh FOLDER HAUL...
# FOLDER gets the disk (a loop device) and what is served. As root, with nginx; the rate is cgroup v1's (blkio).
set -euo pipefail
folder=$(realpath "$1")
shift
export PATH="$PATH:/usr/sbin"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
rate=/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device
mkdir -p "$folder/disk"
head -c 300M /dev/urandom > "$folder/object"
truncate -s 1G "$folder/image"
device=$(losetup -f --show --direct-io=on "$folder/image")
number=$(lsblk -dno MAJ:MIN "$device" | tr -d ' ')
clean_up() {
  echo "$number 0" > "$rate"
  umount "$folder/disk" || true
  losetup -d "$device"
  kill "${server:-}" || true
  rm -rf "$folder/image" "$folder/object"
}
trap clean_up EXIT
mkfs.ext4 -q "$device"
mount "$device" "$folder/disk"
echo "$number 20971520" > "$rate"
echo 1 > "/sys/block/${device#/dev/}/bdi/strict_limit"
echo 20000000 > "/sys/block/${device#/dev/}/bdi/max_bytes"
cat > "$folder/nginx.conf" <<CONF
daemon off; pid $folder/nginx.pid; error_log $folder/error.log; user root;
events { worker_connections 256; }
http { access_log off; sendfile on; server { listen 127.0.0.1:$port; root $folder; } }
CONF
nginx -c "$folder/nginx.conf" & server=$!
until curl -sf -o /dev/null -r 0-0 "http://127.0.0.1:$port/object"; do :; done

for haul in "$@"; do
  rm -f "$folder/disk/object"*
  sync
  "$haul" --json -j 8 -d "$folder/disk" "http://127.0.0.1:$port/object" | HAUL=$haul python3 -c '
import json, os, sys, time
last, longest = None, 0
for line in sys.stdin:
    event, now = json.loads(line), time.monotonic()
    if event["event"] == "progress":
        longest = max(longest, now - (last or now))
        last = now
    elif event["event"] == "done":
        print("%s: %.1f s, stood still for up to %.2f s" % (os.environ["HAUL"], event["elapsed_ms"] / 1000, longest))
'
done

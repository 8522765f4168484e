#!/usr/bin/env bash
# haul beside aria2c and curl: one object from nginx on loopback, five rounds, interleaved.
#   docs/benchmarks/loopback.sh target/release/haul FOLDER [MiB]
# FOLDER gets the object, nginx's files and the downloads: put it on the file system to be measured.
set -euo pipefail
haul=$(realpath "$1") folder=$(realpath "$2") size=${3:-2048}
export PATH="$PATH:/usr/sbin"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url=http://127.0.0.1:$port/object
mkdir -p "$folder/out"
head -c "$((size << 20))" /dev/urandom > "$folder/object"
cat > "$folder/nginx.conf" <<CONF
daemon off; pid $folder/nginx.pid; error_log $folder/error.log; worker_processes 1;
events { worker_connections 256; }
http { access_log off; sendfile on; keepalive_requests 100000;
       server { listen 127.0.0.1:$port; root $folder; } }
CONF
nginx -c "$folder/nginx.conf" & server=$!
trap 'kill $server' EXIT
until curl -sf -o /dev/null -r 0-0 "$url"; do :; done

run() { # name, command...
  local name=$1
  shift
  rm -f "$folder/out/"*
  sync
  /usr/bin/time -f "$name %e %U %S" "$@" 2>&1 >/dev/null | tail -n 1
  cmp -s "$folder/object" "$folder/out/f" || echo "$name: wrong file" >&2
}

for _ in 1 2 3 4 5; do
  run haul "$haul" -q -j 8 -o "$folder/out/f" "$url"
  run aria2c aria2c --no-conf -q -x16 -s16 -k1M --file-allocation=falloc -d "$folder/out" -o f "$url"
  run curl curl -s -o "$folder/out/f" "$url"
done | python3 -c '
import statistics, sys
runs = {}
for line in sys.stdin:
    tool, wall, user, system = line.split()
    runs.setdefault(tool, []).append((float(wall), float(user) + float(system)))
base = [statistics.median(x[i] for x in runs["haul"]) for i in (0, 1)]
print("tool      wall s (min-max)        CPU s (min-max)         haul / tool: wall  CPU")
for tool, times in runs.items():
    row = [(statistics.median(t), min(t), max(t)) for t in zip(*times)]
    ratios = [base[i] / row[i][0] for i in (0, 1)]
    print("%-8s  %5.2f (%5.2f-%5.2f)     %5.2f (%5.2f-%5.2f)     %17.2f  %4.2f" % (tool, *row[0], *row[1], *ratios))
'
rm -rf "$folder/out" "$folder/object"

# `just` lists the recipes; `just check` is the gate, the same as CI.

# List the recipes.
default:
    @just --list --unsorted

# Everything that CI runs.
check:
    .ci/run

# Unit, property and process tests; needs nothing but Rust.
test *ARGS:
    cargo test --locked {{ ARGS }}

# Formatting and lints.
lint:
    cargo fmt --check
    cargo clippy --all-targets --all-features --locked -- -D warnings

# The library's documentation, in a browser.
doc:
    cargo doc --no-deps --locked --open

# The parts, the write path (in HAUL_BENCH_DIR, or the target folder) and whole downloads over loopback, compared with the last time.
bench *ARGS:
    cargo bench --locked --bench parts --bench download -- {{ ARGS }}

# haul beside its peers, by RUNNER, a program that runs them all; writes docs/benchmarks/DATE.md. As root, on Debian.
bench-peers RUNNER="" *ARGS:
    docs/benchmarks/compare.sh '{{ RUNNER }}' {{ ARGS }}

# The same until every file is on the disk: haul as it is by default, each peer followed by a sync.
bench-peers-synced RUNNER="" *ARGS:
    docs/benchmarks/compare.sh --synced '{{ RUNNER }}' {{ ARGS }}

# Objects of GIB at full speed from a server that makes them up, by default 100 GiB with 8 and 256 jobs; is memory flat?
scale *ARGS:
    cargo build --release --locked
    cargo run --release --locked --example scale -- {{ ARGS }}

# Half a minute of haul: download, kill -9, resume, verify.
demo *ARGS:
    cargo run --release --locked --example demo -- {{ ARGS }}

# N times kill -9 during downloads, 0.3 to 2 s apart; every file is compared, every byte is billed.
kills N="1000" *SEED:
    cargo run --release --locked --example kills -- {{ N }} {{ SEED }}

# Every scenario of a misbehaving server with N seeds each; HAUL_SEED=n has one seed again.
scenarios N="10000" NAME="scenarios::":
    HAUL_SEEDS={{ N }} cargo test --release --locked --lib -- {{ NAME }} --skip random_pairs

# N random pairs of them.
pairs N="10000":
    HAUL_SEEDS={{ N }} cargo test --release --locked --lib -- scenarios::pairs::random_pairs

# Power cuts at every change to the disk, with N outcomes each, and every failure that a disk knows at every place.
power-cuts N="20":
    HAUL_SEEDS={{ N }} cargo test --locked --lib -- --nocapture power_cuts disk_faults

# N times kill -9 at chosen moments (start, fetch, resume, sync, rename, unlink), many a second.
kills-fast N="1000" SEED="1":
    HAUL_KILLS={{ N }} HAUL_SEED={{ SEED }} cargo test --locked --test kills -- --nocapture

# The command with its manual and completions, as a Debian package in target/debian; needs cargo-deb 3.
deb:
    cargo build --release --locked
    mkdir -p target/deb/man
    target/release/haul man > target/deb/man/haul.1
    for name in $(target/release/haul man --list); do target/release/haul man "$name" > "target/deb/man/haul-$name.1"; done
    target/release/haul completions bash > target/deb/haul.bash
    target/release/haul completions zsh > target/deb/_haul
    target/release/haul completions fish > target/deb/haul.fish
    cargo deb --no-build --locked

# Advisories, licences, banned packages and sources; needs cargo-deny 0.20.
deny:
    cargo deny --locked check

# The suite against a real nginx, on PATH or in /usr/sbin.
nginx *ARGS:
    cargo test --locked --features real-servers --test real_servers -- {{ ARGS }}

# A list fetched by a job array of a real Slurm, on this machine; as root. Debian: slurmctld slurmd slurm-client munge.
slurm *ARGS:
    cargo test --locked --features real-slurm --test slurm -- {{ ARGS }}

# The suite on real file systems, and on one that loses power; as root. HAUL_CUTS asks for more than 10 downloads that do.
filesystems *ARGS:
    cargo test --locked --features real-filesystems --test filesystems -- {{ ARGS }}

# One fuzzer for so many seconds: checkpoint, content_range, file_name, …; needs cargo-fuzz. docs/fuzzing.md has figures.
fuzz TARGET SECONDS="60":
    mkdir -p fuzz/corpus/{{ TARGET }}
    RUSTC_BOOTSTRAP=1 cargo fuzz run {{ TARGET }} fuzz/corpus/{{ TARGET }} fuzz/seeds/{{ TARGET }} -- \
        -dict=fuzz/headers.dict -max_len=8192 -timeout=10 -malloc_limit_mb=64 -max_total_time={{ SECONDS }} -print_final_stats=1

# One small fault at a time in the modules that decide; needs cargo-mutants 27. docs/mutants.md has the survivors.
mutants *ARGS:
    PROPTEST_CASES=64 cargo mutants -j1 --output target --baseline skip --timeout 30 --build-timeout 600 --test-package haul-offline \
        --exclude src/http/fetch.rs --exclude src/http/probe.rs {{ ARGS }}

# The same for what asks and reads over the network, with haul itself and a loopback server: the tests of `http`.
mutants-http *ARGS:
    cargo mutants -j1 --output target --baseline skip --timeout 60 --build-timeout 600 --test-package haul \
        --re '^src/http/(fetch|probe)\.rs' {{ ARGS }} -- --lib -- http::

# The six checks that a right file hangs on, each taken out: some test has to fail.
removals *NAMES:
    tests/removals/run {{ NAMES }}

# Write the counts of tests into docs/hazards.md.
hazards:
    HAUL_BLESS=1 cargo test --locked --test hazards

#!/usr/bin/env python3
"""Turns the measurements of a comparison of downloaders into a page: docs/benchmarks/DATE.md and its plots.

    report.py --out docs/benchmarks/2026-11-22.md --runner 'PATH/peers ARGS' \\
        [--scenarios TABLES.md] DATA.json [--synced SYNCED.json]

DATA.json: scenario -> tool -> runs, interleaved; run i of each tool belongs together. haul's runs are under "ours". A run
has ok, wall, user, sys, rss_kib, requests, conns, size, argv, and where it is known wire_payload, rc, err. TABLES.md
may have a line "### scenario: what it is" for each, and "x ideal SECONDS s" in the head of its table.
Python's standard library only.
"""
import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
from xml.sax.saxutils import escape

OURS = "ours"
MIB = 1 << 20
# What is no downloader to a file, and so no rival.
NO_RIVAL = ("curl-null",)
VERSIONS = {
    "aria2c": ["aria2c", "--version"],
    "axel": ["axel", "--version"],
    "wget2": ["wget2", "--version"],
    "lftp": ["lftp", "--version"],
    "rclone": ["rclone", "version"],
    "curl": ["curl", "--version"],
}


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return next((line.strip() for line in done.stdout.splitlines() if line.strip()), None)


def proc(path, key):
    try:
        with open(path) as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() == key:
                    return value.strip()
    except OSError:
        pass
    return None


def machine():
    memory = (proc("/proc/meminfo", "MemTotal") or "0 kB").split()[0]
    cpu = proc("/proc/cpuinfo", "model name") or platform.machine()
    kind = first_line(["findmnt", "-no", "FSTYPE", "-T", "."]) or "unknown file system"
    load = os.getloadavg()
    return (
        f"{os.cpu_count()} × {cpu}, {int(memory) / MIB:.0f} GiB, Linux {platform.release()}, {kind}; "
        f"load {load[0]:.1f} when this was written"
    )


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def good(runs):
    return [run for run in runs if run["ok"]]


def cpu(run):
    return run["user"] + run["sys"]


def ratios(ours, theirs, of):
    """haul / tool, run by run: what disturbs one run disturbs both."""
    both = [(of(a), of(b)) for a, b in zip(ours, theirs) if a["ok"] and b["ok"]]
    return [a / b for a, b in both if b > 0]


def spread(values, digits=2):
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def number(value, digits=0):
    return "-" if value is None else f"{value:.{digits}f}"


def scenarios(path):
    """What each scenario is, and how long it takes at the very least."""
    told, ideal, name = {}, {}, None
    if path:
        with open(path) as file:
            for line in file:
                if match := re.match(r"### (\S+): (.*)", line):
                    name = match[1]
                    told[name] = match[2].strip()
                elif name and name not in ideal and (match := re.search(r"x ideal ([\d.]+) s", line)):
                    ideal[name] = float(match[1])
    return told, ideal


def order(tools):
    """haul first, then by time; who never succeeded comes last."""
    def key(tool):
        wall = median([run["wall"] for run in good(tools[tool])])
        return (tool != OURS, wall is None, wall or 0)

    return sorted(tools, key=key)


def table(tools, ideal):
    ours = tools.get(OURS, [])
    resumes = any("first_payload" in run for runs in tools.values() for run in runs)
    head = ["tool", "right", "wall s"] + (["× ideal"] if ideal else [])
    head += ["haul / tool: wall", "CPU s", "haul / tool: CPU", "RSS MiB", "requests", "connections"]
    head += ["MiB fetched twice"] if resumes else []
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for tool in order(tools):
        runs = tools[tool]
        right = good(runs)
        row = ["**haul**" if tool == OURS else tool, f"{len(right)} of {len(runs)}"]
        row.append(spread([run["wall"] for run in right]) if right else failed(runs))
        wall = median([run["wall"] for run in right])
        if ideal:
            row.append(number(wall / ideal if wall else None, 2))
        row.append("" if tool == OURS else spread(ratios(ours, runs, lambda run: run["wall"])))
        row.append(spread([cpu(run) for run in right]))
        row.append("" if tool == OURS else spread(ratios(ours, runs, cpu)))
        row.append(number(median([run["rss_kib"] / 1024 for run in right])))
        row.append(number(median([run["requests"] for run in right])))
        row.append(number(median([run["conns"] for run in right])))
        if resumes:
            twice = [(run["wire_payload"] - run["size"]) / MIB for run in right if run.get("wire_payload")]
            row.append(number(median(twice), 1))
        lines.append("| " + " | ".join(row) + " |")
    return lines


def failed(runs):
    last = runs[-1]
    why = last.get("killed") or f"exit {last.get('rc')}"
    return f"{why} after {last['wall']:.1f}"


def verdict(tools):
    """haul and the best that wrote the right file."""
    walls = {
        tool: median([run["wall"] for run in good(runs)])
        for tool, runs in tools.items()
        if tool != OURS and tool not in NO_RIVAL
    }
    walls = {tool: wall for tool, wall in walls.items() if wall}
    if not walls or not good(tools.get(OURS, [])):
        return None
    best = min(walls, key=walls.get)
    ratio = ratios(tools[OURS], tools[best], lambda run: run["wall"])
    return best, ratio


def nice_step(least):
    power = 10.0 ** len(str(int(least))) / 10 if least >= 1 else 0.01
    while True:
        for factor in (1, 2, 5):
            if factor * power >= least:
                return factor * power
        power *= 10


def plot(title, tools, ideal):
    """Each run a dot, the median a bar; less is better."""
    names = [tool for tool in order(tools) if good(tools[tool])]
    left, width, row, top = 96, 640, 26, 48
    height = top + row * len(names) + 40
    most = max([run["wall"] for tool in names for run in good(tools[tool])] + [ideal or 0]) * 1.05
    at = lambda seconds: left + (width - left - 24) * seconds / most
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        "<style>text{font:12px system-ui,sans-serif;fill:#444}.t{font-size:14px;fill:#111}.g{stroke:#ddd}"
        ".b{fill:#c9d6e3}.o{fill:#7fb2e5}.d{fill:#333;fill-opacity:.6}.i{stroke:#c2410c;stroke-dasharray:4 3}</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text class="t" x="12" y="24">{escape(title)}</text>',
    ]
    bottom = top + row * len(names)
    step = nice_step(most / 6)
    mark = 0.0
    while mark <= most:
        svg.append(f'<line class="g" x1="{at(mark):.1f}" y1="{top - 6}" x2="{at(mark):.1f}" y2="{bottom}"/>')
        svg.append(f'<text x="{at(mark):.1f}" y="{bottom + 16}" text-anchor="middle">{mark:g}</text>')
        mark = round(mark + step, 6)
    svg.append(f'<text x="{width - 24}" y="{bottom + 32}" text-anchor="end">seconds, less is better</text>')
    for index, tool in enumerate(names):
        walls = [run["wall"] for run in good(tools[tool])]
        y = top + row * index
        name, kind = ("haul", "o") if tool == OURS else (tool, "b")
        svg.append(f'<text x="{left - 8}" y="{y + 16}" text-anchor="end">{escape(name)}</text>')
        long = at(statistics.median(walls)) - left
        svg.append(f'<rect class="{kind}" x="{left}" y="{y + 3}" width="{long:.1f}" height="{row - 8}"/>')
        for wall in walls:
            svg.append(f'<circle class="d" cx="{at(wall):.1f}" cy="{y + 12}" r="2.5"/>')
    if ideal:
        svg.append(f'<line class="i" x1="{at(ideal):.1f}" y1="{top - 6}" x2="{at(ideal):.1f}" y2="{bottom}"/>')
        svg.append(f'<text x="{at(ideal):.1f}" y="{top - 10}" text-anchor="middle">ideal</text>')
    return "\n".join(svg + ["</svg>", ""])


def section(data, told, ideal, plots, suffix, page):
    lines = []
    for name, tools in data.items():
        lines += [f"### {name}: {told[name]}" if name in told else f"### {name}", ""]
        if any(good(runs) for runs in tools.values()):
            os.makedirs(plots, exist_ok=True)
            file = os.path.join(plots, f"{name}{suffix}.svg")
            with open(file, "w") as out:
                out.write(plot(f"{name}: {told.get(name, '')}".rstrip(": "), tools, ideal.get(name)))
            lines += [f"![{name}]({os.path.relpath(file, os.path.dirname(page) or '.')})", ""]
        lines += table(tools, ideal.get(name))
        if found := verdict(tools):
            lines += ["", f"The best that writes a file is {found[0]}: haul takes {spread(found[1])} of its time."]
        lines.append("")
    return lines


def commands(data):
    """One command of each tool, as it was run."""
    seen = {}
    for name, tools in data.items():
        for tool, runs in tools.items():
            argv = " ".join(word for word in runs[0]["argv"] if word)
            # Where things were on that machine is nobody's business.
            argv = re.sub(r"(?<![\w:/])/(?:[\w.-]+/)+([\w.-]+)", r"…/\1", argv)
            seen.setdefault(tool, f"{argv}    # {name}")
    return ["```text", *(seen[tool] for tool in order_known(seen)), "```"]


def order_known(names):
    return sorted(names, key=lambda tool: (tool != OURS, tool))


def load(path):
    with open(path) as file:
        return json.load(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--synced", help="the same, where every tool was followed by a sync of its file")
    parser.add_argument("--out", required=True)
    parser.add_argument("--runner", default="", help="the command that measured")
    parser.add_argument("--scenarios", help="the runner's own tables: what each scenario is")
    parser.add_argument("--haul", default="target/release/haul")
    options = parser.parse_args()

    data = load(options.data) if os.path.exists(options.data) else {}
    synced = load(options.synced) if options.synced and os.path.exists(options.synced) else {}
    told, ideal = scenarios(options.scenarios)
    date = os.path.splitext(os.path.basename(options.out))[0]
    plots = os.path.splitext(options.out)[0]
    tools = {tool for part in (data, synced) for runs in part.values() for tool in runs}
    commit = first_line(["git", "describe", "--always", "--dirty", "--exclude=*"])
    versions = [f"haul: {first_line([options.haul, '--version'])}, commit {commit}"]
    versions += [f"{tool}: {first_line(command)}" for tool, command in VERSIONS.items() if any(t.split("-")[0] == tool for t in tools)]
    runs = sorted({len(r) for part in (data, synced) for t in part.values() for r in t.values()})

    lines = [f"# Benchmarks of {date}: haul beside its peers", ""]
    lines += [machine() + ".", ""]
    lines += [f"- {version}" for version in versions]
    lines += [
        "",
        f"Runs of each: {', '.join(map(str, runs))}, interleaved; every file was compared. Figures are medians (least–most);",
        "ratios are the medians of the ratios within a run, since what disturbs one tool there disturbs all.",
        "Client, server and the emulated link share the cores. Measured and written by",
        "",
        f"    {options.runner or 'just bench-peers'}",
        "",
    ]
    if data:
        lines += ["## As they are", "", "No tool waits for the disk: haul has `--no-sync`.", ""]
        lines += section(data, told, ideal, plots, "", options.out)
    if synced:
        lines += ["## Until the file is on the disk", ""]
        lines += ["haul as it is by default; each peer is followed by `sync` of what it wrote, within its time.", ""]
        lines += section(synced, told, ideal, plots, "-synced", options.out)
    lines += ["## Commands", "", *commands(data or synced), ""]
    with open(options.out, "w") as out:
        out.write("\n".join(lines))
    print(f"{options.out}: {len(data)} scenarios as they are, {len(synced)} with a sync")


if __name__ == "__main__":
    main()

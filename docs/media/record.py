#!/usr/bin/env python3
"""Records haul in a real terminal (tmux) and writes what the terminal shows as an SVG.

    docs/media/record.py target/release/haul http://127.0.0.1:8080/disk.img docs/media/resume.svg

The URL should take ten seconds or so: it is interrupted half-way, looked at, and resumed.
"""
import html, os, re, subprocess, sys, tempfile, time

COLS, ROWS = 96, 16
PALETTE = {30: "#3b4252", 31: "#bf616a", 32: "#a3be8c", 33: "#ebcb8b", 34: "#81a1c1", 35: "#b48ead",
           36: "#88c0d0", 37: "#e5e9f0", 90: "#7b88a1"}


def tmux(*words):
    return subprocess.run(["tmux", "-L", "haul-record", *words], capture_output=True, text=True, check=True).stdout


def record(haul, url):
    """Types the session and gives the screen, escapes included."""
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(os.path.abspath(haul), f"{folder}/haul")
        tmux("new-session", "-d", "-x", str(COLS), "-y", str(ROWS), "env", f"PATH={folder}:{os.environ['PATH']}",
             "PS1=$ ", "bash", "--norc", "--noprofile")
        try:
            tmux("send-keys", f"cd {folder}; clear", "Enter")
            time.sleep(0.5)
            for keys, pause in ((f"haul {url}", 5), ("", 0), ("haul status disk.img | head -4", 1), (f"haul {url}", 20)):
                tmux("send-keys", *((keys, "Enter") if keys else ("C-c",)))
                time.sleep(pause or 1.5)
            return tmux("capture-pane", "-e", "-p")
        finally:
            tmux("kill-server")


def spans(line):
    """(colour, text) runs of a line with SGR escapes."""
    colour = "#d8dee9"
    for piece in re.split(r"(\x1b\[[0-9;]*m)", line):
        code = re.fullmatch(r"\x1b\[([0-9;]*)m", piece)
        if not code:
            if piece:
                yield colour, piece
            continue
        for number in (int(n or 0) for n in code[1].split(";")):
            colour = PALETTE.get(number, "#d8dee9" if number in (0, 39) else colour)


def svg(screen):
    lines = screen.rstrip("\n").split("\n")
    width, height = COLS * 8.4 + 32, len(lines) * 19 + 32
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" '
           f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14">')
    yield f'<rect width="100%" height="100%" rx="8" fill="#2e3440"/>'
    for row, line in enumerate(lines):
        runs = "".join(f'<tspan fill="{c}">{html.escape(t)}</tspan>' for c, t in spans(line))
        yield f'<text x="16" y="{row * 19 + 30}" xml:space="preserve">{runs}</text>'
    yield "</svg>"


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    picture = "\n".join(svg(record(sys.argv[1], sys.argv[2])))
    with open(sys.argv[3], "w", encoding="utf-8") as file:
        file.write(picture + "\n")

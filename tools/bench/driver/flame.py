"""A profile of our side under a load: perf samples its processes, the stacks are folded and drawn as one SVG."""

import html
import os
import re
import signal
import subprocess
import zlib

from harness.run import check

WIDTH, ROW, PAD = 1200, 16, 10
MIN_WIDTH = 0.3  # pixels: narrower towers are left out
STACK_BYTES = 16384  # copied with each sample: two stacks in a hundred are deeper than that
END = "ffffffffffffffff [unknown]"  # what perf shows where it cannot unwind further


class Profiler:
    def __init__(self, options, name):
        self.options, self.name, self.written = options, name, []

    def record(self, run, side, cell, load):
        """Samples the side's processes while `load()` runs; writes NAME-CELL.svg."""
        data = run.folder / "perf.data"
        pids = ",".join(str(pid) for pid in side.pids())
        # cpu-clock: hardware counters are not to be had on virtual machines. Copies of the stack, unwound afterwards: Debian's libraries
        # (RocksDB, glibc) have no frame pointers, so that with these four stacks in ten would begin in the middle.
        perf = subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock", "-F", str(self.options.frequency), "--call-graph",
                                 f"dwarf,{STACK_BYTES}", "-p", pids, "-o", str(data)], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
        try:
            load()
        finally:
            if perf.poll() is None:
                os.kill(perf.pid, signal.SIGINT)
            errors = perf.communicate(timeout=60)[1]
        check(data.exists() and data.stat().st_size > 0, f"perf recorded nothing: {errors}")
        run.say("reading the samples")
        script = run.command(["perf", "script", "-i", data, "-F", "comm,ip,sym", "--no-inline"], 600)
        stacks = fold(script.splitlines(), self.options.by_thread)
        check(bool(stacks), f"perf saw no sample: {errors}")
        title = f"{self.name}: " + ", ".join(f"{key} {value}" for key, value in cell.items())
        path = self.options.output / ("-".join([self.name, *(re.sub(r"\W+", "_", str(v)) for v in cell.values())]) + ".svg")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(svg(stacks, title), encoding="utf-8")
        self.written.append(str(path))
        run.say(f"{path}: {sum(stacks.values())} samples of {len(side.pids())} processes")


def fold(lines, by_thread=False):
    """perf script's text → {(outermost, …, innermost function): samples}. Blocks are separated by blank lines; a block's
    first line names the thread, the others are frames, innermost first."""
    stacks, thread, frames = {}, None, []
    for line in [*lines, ""]:
        if line.strip() and thread is None:
            thread = line.strip()
        elif line.strip() and line.strip() != END:
            frames.append(_function(line.strip()))
        elif thread is not None:
            if frames:
                stack = (*([thread] if by_thread else []), *reversed(frames))
                stacks[stack] = stacks.get(stack, 0) + 1
            thread, frames = None, []
    return stacks


def _function(frame):
    """`7f12ab name(arguments)` → a name short enough to read."""
    words = frame.split(" ", 1)
    name = (words[1] if len(words) > 1 else "[unknown]").replace("(anonymous namespace)::", "")
    while True:  # template arguments and parameters say little and are long
        shorter = re.sub(r"<[^<>]*>|\([^()]*\)", "", name)
        if shorter == name or not shorter.strip():
            break
        name = shorter
    return name.replace("orrery::", "").replace(" const", "").strip() or "[unknown]"


class _Node:
    def __init__(self):
        self.samples, self.children = 0, {}


def _tree(stacks):
    root = _Node()
    for stack, count in sorted(stacks.items()):
        root.samples += count
        node = root
        for function in stack:
            node = node.children.setdefault(function, _Node())
            node.samples += count
    return root


def _boxes(node, name, left, depth, pixels):
    """(name, samples, x, width, depth) of every box that is wide enough."""
    width = node.samples * pixels
    if width < MIN_WIDTH:
        return
    yield name, node.samples, left, width, depth
    for child, below in sorted(node.children.items()):
        yield from _boxes(below, child, left, depth + 1, pixels)
        left += below.samples * pixels


def _colour(name):
    """The same function, the same colour; the kernel's are not known by name, so warm hues for all."""
    code = zlib.crc32(name.encode())
    return f"rgb({205 + code % 50},{80 + (code >> 8) % 130},{(code >> 16) % 60})"


STYLE = "text{font:11px monospace;pointer-events:none}rect{stroke:#fff;stroke-width:.5}g:hover rect{stroke:#000}"
# A click on a box gives it and what is above it the whole width; a click on the lowest box gives everything back.
SCRIPT = """
const boxes=[...document.querySelectorAll('g.b')].map(g=>({g,r:g.querySelector('rect'),t:g.querySelector('text'),
  x:+g.dataset.x,w:+g.dataset.w,n:g.dataset.n}));
function place(b,x,w){b.g.style.display=w<.3?'none':'';b.r.setAttribute('x',x);b.r.setAttribute('width',Math.max(w,.1));
  b.t.setAttribute('x',x+3);const c=Math.floor((w-6)/6.7);b.t.textContent=c<3?'':b.n.length<=c?b.n:b.n.slice(0,c-1)+'…';}
function zoom(z){const f=WIDE/z.w;for(const b of boxes){const x=Math.max(b.x,z.x),e=Math.min(b.x+b.w,z.x+z.w);
  place(b,PADDING+(x-z.x)*f,Math.max(0,e-x)*f);}}
for(const b of boxes)b.g.addEventListener('click',()=>zoom(b));zoom(boxes[0]);
"""


def svg(stacks, title):
    """One picture, readable by any browser without network; hovering shows name and share, clicking enlarges."""
    root = _tree(stacks)
    usable = WIDTH - 2 * PAD
    boxes = list(_boxes(root, "all", 0.0, 0, usable / root.samples))
    rows = max(depth for *_, depth in boxes) + 1
    height = rows * ROW + 50
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
             f"<style>{STYLE}</style>", f'<rect width="{WIDTH}" height="{height}" fill="#fdfaf3"/>',
             f'<text x="{PAD}" y="20">{html.escape(title)}: {root.samples} samples</text>']
    for name, samples, x, width, depth in boxes:
        y = height - 20 - (depth + 1) * ROW
        text = html.escape(name, quote=True)
        parts.append(f'<g class="b" data-x="{x:.2f}" data-w="{width:.2f}" data-n="{text}"><title>{text}: {samples} samples, '
                     f'{100 * samples / root.samples:.1f} %</title><rect x="{PAD + x:.2f}" y="{y}" width="{width:.2f}" height="{ROW - 1}" '
                     f'fill="{_colour(name)}"/><text x="{PAD + x + 3:.2f}" y="{y + 12}"></text></g>')
    script = SCRIPT.replace("WIDE", str(usable)).replace("PADDING", str(PAD))
    parts.append(f"<script><![CDATA[{script}]]></script></svg>")
    return "\n".join(parts)

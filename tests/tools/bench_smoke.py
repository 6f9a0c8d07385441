#!/usr/bin/python3
"""Every benchmark in its smallest form runs through, tells what it measured, and leaves nothing behind; so does one that is interrupted.

Benchmarks run some at a time, each in a folder and on ports of its own. A peer that is not installed is named, and the test then counts as
skipped (exit status 77), never as passed.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))

from harness import processes  # noqa: E402

SKIPPED = 77
SHORT = ("--seconds", "1", "--pairs", "1")
# name of the try → (program that it needs, words)
TRIES = {
    "oltp": (None, ("oltp", "--workloads", "simple-update", "--modes", "prepared", "--clients", "2", "--scale", "1", *SHORT)),
    "sysbench": ("sysbench", ("sysbench", "--workloads", "read_write", "--threads", "2", "--tables", "1", "--rows", "100", *SHORT)),
    "cluster": ("sysbench", ("cluster", "--workloads", "write_only", "--clients", "3", "--tables", "1", "--rows", "100", *SHORT)),
    "copy": (None, ("copy", "--rows", "2000", "--pairs", "1")),
    "raft": ("etcd", ("raft", "--clients", "4", *SHORT)),
    "failover": (None, ("failover", "--rounds", "1", "--fault-seconds", "0.5")),
    "idle": (None, ("idle", "--ranges", "12", "--connections", "20", "--seconds", "1")),
    "profile": ("perf", ("--profile", "oltp", "--workloads", "select-only", "--modes", "prepared", "--clients", "2", "--scale", "1", "--seconds", "2")),
}


class Wrong(Exception):
    pass


def check(condition, text):
    if not condition:
        raise Wrong(text)


class Bench:
    """One run of bench.py in a folder of its own."""

    def __init__(self, words, base_port):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="orrery-smoke-"))
        self.folder.chmod(0o755)  # PostgreSQL runs as its own user
        self.errors = open(self.folder.with_suffix(".err"), "w+", encoding="utf-8")
        output = ("--output", f"{self.folder}.svgs") if words[0] == "--profile" else ("--format", "json")
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "tools" / "bench" / "bench.py", *words, "--base-port", str(base_port), *output], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.errors, text=True, env={**os.environ, "TMPDIR": str(self.folder)}, start_new_session=True)

    def said(self):
        return pathlib.Path(self.errors.name).read_text(encoding="utf-8")

    def end(self, status):
        """Waits for the end, which must be of this status and leave nothing. Returns stdout."""
        try:
            output, _ = self.process.communicate(timeout=240)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGTERM)
            self.process.communicate()
            raise Wrong(f"no end:\n{self.said()}") from None
        check(self.process.returncode == status, f"exit {self.process.returncode}:\n{self.said()}")
        check(processes.wait_gone(processes.of_folder(self.folder), 5), f"processes are left: {processes.of_folder(self.folder)}")
        check(not any(self.folder.iterdir()), f"files are left: {list(self.folder.iterdir())}")
        return output

    def remove(self):
        self.errors.close()
        os.unlink(self.errors.name)
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(f"{self.folder}.svgs", ignore_errors=True)


def judge_document(document):
    check(document["commit"] and document["machine"]["cpus"] > 0 and document["results"], f"a document without results: {document}")
    for side in document.get("sides", []):
        check(document[side]["durability_check"]["syncs"] > 0 and document[side]["version"], f"{side} is not checked: {document[side]}")
    for result in document["results"]:
        for side in document.get("sides", []):
            check(result[side]["clean"] and result[side]["rate"] > 0, f"{side}: {result}")
        check("sides" in document or all(result[key] is not None for key in result), f"a row without values: {result}")


def judge_profile(text):
    for path in text.split():
        titles = [e.text for e in xml.parse(path).iter("{http://www.w3.org/2000/svg}title")]
        check(len(titles) > 100 and any("Session" in title for title in titles), f"{path} shows little: {titles[:20]}")


def attempt(name, base_ports):
    """Returns (name, what went wrong or "", seconds). `base_ports`: a queue of those that nobody uses."""
    begin, base_port = time.monotonic(), base_ports.get()
    bench = Bench(TRIES["oltp" if name == "interrupted" else name][1], base_port)
    try:
        if name == "interrupted":
            while "postgresql: ready" not in bench.said() and bench.process.poll() is None:
                time.sleep(0.05)
            bench.process.send_signal(signal.SIGINT)
            bench.end(1)
        elif name == "profile":
            judge_profile(bench.end(0))
        else:
            judge_document(json.loads(bench.end(0)))
        return name, "", time.monotonic() - begin
    except Wrong as wrong:
        return name, str(wrong), time.monotonic() - begin
    finally:
        bench.remove()
        base_ports.put(base_port)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[*TRIES, "interrupted"])
    parser.add_argument("--at-a-time", type=int, default=3)
    parser.add_argument("--base-port", type=int, default=int(os.environ.get("ORRERY_TEST_BASE_PORT") or 21000))
    options = parser.parse_args()
    names = [options.only] if options.only else ["failover", "idle", "cluster", "raft", "interrupted", "oltp", "profile", "sysbench", "copy"]
    missing = {name: TRIES[name][0] for name in names if name in TRIES and TRIES[name][0] and not shutil.which(TRIES[name][0])}
    wrong, base_ports = 0, queue.SimpleQueue()
    for slot in range(options.at_a_time):
        base_ports.put(options.base_port + 300 * slot)  # see Run.free_port_block
    with concurrent.futures.ThreadPoolExecutor(options.at_a_time) as pool:
        tries = [pool.submit(attempt, name, base_ports) for name in names if name not in missing]
        for each in concurrent.futures.as_completed(tries):
            name, text, seconds = each.result()
            wrong += bool(text)
            print(f"{name}: {'FAILED: ' + text if text else 'runs through'} ({seconds:.0f} s)", flush=True)
    for name, program in missing.items():
        print(f"{name}: NOT RUN: {program} is not installed (./dev bench {name} installs it)")
    return 1 if wrong else SKIPPED if missing else 0


if __name__ == "__main__":
    sys.exit(main())

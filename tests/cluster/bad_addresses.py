#!/usr/bin/python3
"""Without passwords and TLS a node listens on loopback only: every other address is refused at start, before the store is
touched, and --insecure-listen allows it. What is allowed is tried in a network namespace of its own (root only)."""

import os
import signal
import subprocess
import time

from harness import processes, run as run_module
from harness.run import check

OPTIONS = {"sql": 0, "rpc": 100, "http": 200}
OUTSIDE = ("0.0.0.0", "[::]", "", "192.0.2.7", "[2001:db8::7]", "[::ffff:192.0.2.7]")


class Starter:
    """Command lines of a node; each with a store and ports of its own."""

    def __init__(self, run):
        self.run, self.count, self.base = run, 0, run.free_port_block()

    def command(self, hosts, *more, words=("start",)):
        self.count += 1
        self.store = self.run.folder / f"store{self.count}"
        command = [str(self.run.bin / "dbserver"), *words, "--store", str(self.store), *more]
        for name, step in OPTIONS.items():
            command += [f"--{name}-addr", f"{hosts.get(name, '127.0.0.1')}:{self.base + step}"]
        return command


def refuses(run, starter, command, words, env=None):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
                              env={**os.environ, **(env or {})})
    except subprocess.TimeoutExpired as error:
        raise run_module.Failure(f"it started: {' '.join(command)}\n{error.stdout}\n{error.stderr}") from error
    check(done.returncode == 2, f"exit status {done.returncode}: {' '.join(command)}\n{done.stderr}")
    for word in words:
        check(word in done.stderr, f"the message does not name {word!r}: {done.stderr}")
    check(not starter.store.exists(), f"{starter.store} was made by a node that did not start")


def starts(run, command, log_words=()):
    """In a namespace of its own: nothing of it can be reached from outside."""
    log_path = run.folder / f"log{time.monotonic_ns()}"
    with open(log_path, "w", encoding="utf-8") as log:
        node = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    def text():
        return log_path.read_text(encoding="utf-8")
    try:
        run.wait_until(lambda: "connect with" in text() or node.poll() is not None, 60, f"started: {' '.join(command)}")
        check("connect with" in text(), f"did not start: {' '.join(command)}\n{text()}")
        for word in log_words:
            check(word in text(), f"the log does not say {word!r}: {text()}")
    finally:
        for pid in processes.tree(node.pid):
            os.kill(pid, signal.SIGTERM)
        node.wait(30)


def in_namespace(run, command):
    """With a resolver that knows `elsewhere` and `here`; loopback up, nothing else."""
    hosts = run.folder / "hosts"
    hosts.write_text("127.0.0.1 localhost here\n::1 here\n192.0.2.9 elsewhere\n127.0.0.1 both\n192.0.2.9 both\n", encoding="ascii")
    script = 'ip link set lo up && mount --bind "$0" /etc/hosts && exec "$@"'
    return ["unshare", "--net", "--mount", "sh", "-c", script, str(hosts), *command]


def test(run):
    starter = Starter(run)
    for name in OPTIONS:
        for host in OUTSIDE:
            command = starter.command({name: host}, words=("start",) if name != "http" else ())
            refuses(run, starter, command, [f"--{name}-addr {host}:", "other machines can reach", "--insecure-listen"])
    run.say(f"{len(OPTIONS) * len(OUTSIDE)} addresses refused")
    command = starter.command({})
    at = command.index("--sql-addr")
    refuses(run, starter, command[:at] + command[at + 2:], ["--sql-addr 0.0.0.0:1"], {"ORRERY_SQL_ADDR": "0.0.0.0:1"})
    refuses(run, starter, starter.command({"rpc": "ipv4:0.0.0.0"}), ["--rpc-addr"])
    if os.geteuid() != 0:
        run.say("not root: what is allowed was not tried, that needs a network namespace")
        return
    for host in ("elsewhere", "both"):
        refuses(run, starter, in_namespace(run, starter.command({"sql": host})), [f"--sql-addr {host}:", "192.0.2.9"])
    starts(run, in_namespace(run, starter.command({"sql": "here", "rpc": "localhost", "http": "[::1]"})))
    starts(run, in_namespace(run, starter.command({name: "0.0.0.0" for name in OPTIONS}, "--insecure-listen")), ["superuser"])
    run.say("names are judged by what they mean; --insecure-listen lets a node out")


run_module.main(test, "bad_addresses", deadline=120)

"""Clients: pgbench, sysbench and bench_puts, run against a side for some seconds, and what they report made one kind of Sample."""

import json
import re
import subprocess

from harness import pgbench
from harness.run import Failure, check

from .accounting import Sample, histogram_percentiles, percentiles

# pgbench's built-in scripts → statements a transaction, BEGIN and END among them.
PGBENCH_STATEMENTS = {"select-only": 1, "simple-update": 5, "tpcb-like": 7}
SYSBENCH = ("point_select", "read_only", "write_only", "read_write")


class Load:
    """What clients do to a side. `run(side, seconds)` → Sample; `warm(side)` before the first of them is measured; `settles`: what
    it leaves the server to do afterwards counts as its cost, and is waited for."""

    settles = False

    def warm(self, side):
        self.run(side, 1)

    def run(self, side, seconds):
        raise NotImplementedError


class Pgbench(Load):
    """`script`: a built-in one's name, or a file of one statement. Clients go to `ports(side)`, in turn."""

    def __init__(self, run, script, mode, clients, ports=lambda side: [side.port]):
        self.run_, self.script, self.mode, self.clients, self.ports = run, script, mode, clients, ports
        self.statements = PGBENCH_STATEMENTS.get(script, 1)

    def run(self, side, seconds):
        for old in self.run_.folder.glob("log-*"):
            old.unlink()
        what = ("-b", self.script) if self.script in PGBENCH_STATEMENTS else ("-f", self.script)
        sampling = 0.05 if self.script == "select-only" else 0.5  # of transactions whose latency is written down
        started = []
        for number, (port, clients) in enumerate(spread(self.ports(side), self.clients)):
            started.append(pgbench.start(port, "-n", *what, "-M", self.mode, "-c", clients, "-j", min(clients, 2), "-T", seconds, "-l",
                                         "--log-prefix", self.run_.folder / f"log-{number}", "--sampling-rate", sampling))
        reports = [pgbench.finish(process, seconds + 120) for process in started]
        for report in reports:
            if not report.clean:
                self.run_.say(f"{side.name}: not clean: {report.errors.strip()[:300]}")
        done = sum(r.processed for r in reports)
        return Sample(sum(r.tps for r in reports), done, done * self.statements, all(r.clean for r in reports),
                      percentiles(self._latencies()),
                      {"failed": sum(r.failed for r in reports), "aborted_clients": sum(r.aborted_clients for r in reports)})

    def _latencies(self):
        for file in self.run_.folder.glob("log-*"):
            for line in file.read_text(encoding="ascii").splitlines():
                word = line.split()[2]
                if word.isdigit():  # others: "failed"
                    yield int(word)


def spread(ports, clients):
    """(port, how many clients), as even as can be; ports that get none are left out."""
    return [(port, share) for i, port in enumerate(ports) if (share := clients // len(ports) + (i < clients % len(ports)))]


class Sysbench(Load):
    """The OLTP scripts of Debian's package. Secondary indexes are left out on both sides: this server has none yet."""

    def __init__(self, run, script, threads, tables, rows):
        self.run_, self.script, self.threads, self.tables, self.rows = run, script, threads, tables, rows

    def _command(self, side, *more):
        return ["sysbench", f"oltp_{self.script}", "--db-driver=pgsql", "--pgsql-host=127.0.0.1", f"--pgsql-port={side.port}",
                "--pgsql-user=postgres", "--pgsql-db=postgres", f"--tables={self.tables}", f"--table-size={self.rows}",
                "--auto_inc=off", "--create_secondary=off", *more]

    def prepare(self, side):
        self.run_.command(self._command(side, f"--threads={min(4, self.tables)}", "prepare"), 60 + self.tables * self.rows // 500)

    def run(self, side, seconds):
        command = self._command(side, f"--threads={self.threads}", f"--time={seconds}", "--histogram=on", "run")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, stdin=subprocess.DEVNULL, check=False)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"sysbench does not end: {' '.join(command)}") from error
        if done.returncode != 0:
            self.run_.say(f"{side.name}: not clean: {' '.join(l for l in done.stdout.splitlines() if 'FATAL' in l)[:300]} {done.stderr[:300]}")
        return sysbench_sample(done.stdout, done.returncode)


def sysbench_sample(text, status):
    """What sysbench printed. Transactions that it began anew (40001, 40P01, 23505) are counted as `repeated`."""
    transactions = re.search(r"transactions:\s+(\d+)\s+\(([0-9.]+) per sec", text)
    queries = re.search(r"queries:\s+(\d+)\s+\(", text)
    repeated = re.search(r"ignored errors:\s+(\d+)", text)
    if status != 0 or not transactions:
        return Sample(0.0, 0, 0, clean=False)
    buckets = [(1000 * float(ms), int(count)) for ms, count in re.findall(r"^\s*([0-9.]+) \|\**\s+(\d+)$", text, re.M)]
    check(bool(buckets), f"sysbench printed no histogram:\n{text[:1000]}")
    return Sample(float(transactions[2]), int(transactions[1]), int(queries[1]), True, histogram_percentiles(buckets),
                  {"repeated": int(repeated[1]) if repeated else 0})


def puts(run, server, ports, clients, keys, seconds=0, count=0, value_bytes=100):
    """Runs the loader (tools/bench/loader/puts.cc) for some seconds, or until `count` puts were answered. `server`: what it is to speak."""
    words = [run.bin / "bench_puts", "--server", server, "--ports", ",".join(map(str, ports)), "--clients", clients, "--keys", keys,
             "--value-bytes", value_bytes, "--seconds", seconds, "--count", count]
    try:
        done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=seconds + 120, stdin=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"the clients of {server} do not end") from error
    check(done.returncode == 0, f"the clients of {server} fail: {done.stderr.strip()}")
    seen = json.loads(done.stdout)
    return Sample(seen["puts"] / seen["seconds"], seen["puts"], seen["puts"], seen["refused"] == 0, seen["latency_us"], {"refused": seen["refused"]})

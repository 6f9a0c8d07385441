"""Runs pgbench and reads what it prints."""

import os
import re
import subprocess

from .run import Failure, check

BIN = "/usr/lib/postgresql/15/bin"
if not os.path.exists(f"{BIN}/pgbench"):
    BIN = "/usr/bin"


class Report:
    def __init__(self, text, errors, status):
        self.text, self.errors, self.status = text, errors, status
        self.processed = _number(r"number of transactions actually processed: (\d+)", text)
        self.failed = _number(r"number of failed transactions: (\d+)", text)
        self.tps = _number(r"^tps = ([0-9.]+)", text)
        self.latency_ms = _number(r"latency average = ([0-9.]+) ms", text)
        self.aborted_clients = len(set(re.findall(r"client (\d+) (?:aborted|script \d+ aborted)", errors)))

    @property
    def clean(self):
        return self.status == 0 and self.failed == 0 and self.aborted_clients == 0 and self.processed > 0


def _number(pattern, text):
    found = re.search(pattern, text, re.M)
    return float(found[1]) if found else 0.0


def words(port, *arguments, host="127.0.0.1"):
    return [f"{BIN}/pgbench", "-h", host, "-p", str(port), "-U", "postgres", *map(str, arguments), "postgres"]


def initialise(run, port, scale, timeout):
    run.command(words(port, "-i", "-s", scale, "-q"), timeout)


def start(port, *arguments):
    return subprocess.Popen(words(port, *arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def finish(process, timeout):
    try:
        text, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        process.kill()
        text, errors = process.communicate()
        raise Failure(f"pgbench does not end:\n{text}{errors}") from error
    return Report(text, errors, process.returncode)


def bench(port, *arguments, timeout):
    return finish(start(port, *arguments), timeout)


def invariants(server):
    """pgbench's own sums through every node: balances of accounts, tellers, branches and the history's deltas are equal."""
    seen = {}
    for number in server.nodes:
        with server.session(number, 120) as session:
            session.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
            seen[number] = tuple(int(session.value(f"SELECT coalesce(sum({column}), 0) FROM pgbench_{table}"))
                                 for table, column in (("accounts", "abalance"), ("tellers", "tbalance"),
                                                       ("branches", "bbalance"), ("history", "delta")))
            session.query("COMMIT")
    check(len(set(seen.values())) == 1, f"nodes disagree on the sums of pgbench's tables: {seen}")
    sums = next(iter(seen.values()))
    check(len(set(sums)) == 1, f"pgbench's sums (accounts, tellers, branches, history) differ: {sums}")
    return sums[0]

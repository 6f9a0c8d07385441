"""Clusters as a user would run them (./dev up, ./dev down), and PostgreSQL as the stand-in and the oracle."""

import json
import os
import re
import signal
import time
import urllib.error
import urllib.request
from collections import Counter

from . import processes
from .run import ROOT, Failure, check
from .wire import ConnectionLost, NotConnected, ServerError, Session

_NODE_LINE = re.compile(r"^node (\d+) sql (postgresql://\S+) http (http://\S+) pid (\d+)$", re.M)


class Node:
    def __init__(self, number, url, http, pid):
        self.number, self.url, self.http, self.pid = number, url, http, pid
        self.port = int(url.rsplit(":", 1)[1].split("/")[0])


class Cluster:
    """Nodes on this machine below `run.folder/name`. `nodes` is number → Node."""

    def __init__(self, run, node_count=3, name="cluster"):
        self.run, self.node_count, self.folder = run, node_count, run.folder / name
        self.base_port = run.free_port_block()
        self.nodes = {}

    def up(self, timeout=120):
        """Starts the nodes that are not running and waits until the cluster is ready. Returns the seconds it took."""
        begin = time.monotonic()
        output = self.run.command([ROOT / "dev", "up", "--dir", self.folder, "--base-port", self.base_port,
                                   "--nodes", self.node_count], timeout, env={"ORRERY_BIN": str(self.run.bin)})
        self.nodes = {int(m[1]): Node(int(m[1]), m[2], m[3], int(m[4])) for m in _NODE_LINE.finditer(output)}
        check(len(self.nodes) == self.node_count, f"./dev up printed no line for each node:\n{output}")
        return time.monotonic() - begin

    def down(self):
        self.run.command([ROOT / "dev", "down", "--dir", self.folder], 60)

    def kill(self, number):
        """kill -9. Returns when the process is gone."""
        pid = self.nodes[number].pid
        self._own(pid)
        os.kill(pid, signal.SIGKILL)
        check(processes.wait_gone([pid], 5), f"node {number} survived kill -9")

    def signal(self, number, which):
        self._own(self.nodes[number].pid)
        os.kill(self.nodes[number].pid, which)

    def _own(self, pid):
        check(str(self.folder) in processes.command_line(pid), f"process {pid} is not a node of {self.folder}")

    def alive(self, number):
        return processes.alive(self.nodes[number].pid)

    def store(self, number):
        return self.folder / f"node{number}" / "store"

    def log(self, number):
        try:
            return (self.folder / f"node{number}" / "log").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def rpc_address(self, number):
        return f"127.0.0.1:{self.base_port + 99 + number}"

    def session(self, number, timeout=10.0):
        return Session(self.nodes[number].port, timeout=timeout)

    def http(self, number, path, timeout=5.0):
        """(status, body); status 0 if nobody answers."""
        try:
            with urllib.request.urlopen(self.nodes[number].http + path, timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("utf-8", "replace")
        except OSError as error:
            return 0, str(error)

    def healthy(self, number):
        return self.http(number, "/healthz")[0] == 200

    def dbctl(self, *words, at=None, timeout=30):
        at = at or next(n for n in sorted(self.nodes) if self.alive(n))
        return self.run.command([self.run.bin / "dbctl", *words, "--host", self.rpc_address(at), "--format", "json"],
                                timeout)

    def ranges(self, at=None):
        """{range id: Range} as the nodes report them to one of them."""
        ports = {node.port: node.number for node in self.nodes.values()}
        return parse_ranges(self.dbctl("range", "list", at=at), ports)

    def leases(self, at=None):
        """How many ranges each node leads."""
        return Counter(r.leaseholder for r in self.ranges(at).values() if r.leaseholder)

    def busiest(self):
        """The node that leads most ranges; ties by number."""
        leases = self.leases()
        check(bool(leases), "no range has a leaseholder")
        return max(sorted(leases), key=leases.get)

    def unwhole(self):
        """Why the ranges are not whole yet, or "": each wants a leaseholder, a replica on every node (on three of
        more than three), and each of these replicas to have applied what the leaseholder had applied."""
        try:
            ranges = self.ranges()
        except Failure as failure:
            return str(failure)
        if not ranges:
            return "no node reports a range"
        wanted = min(3, self.node_count) if self.node_count != 2 else 1
        for r in ranges.values():
            if not r.leaseholder:
                return f"range {r.id} has no leaseholder"
            if len(r.replicas) < wanted or None in r.replicas:
                return f"range {r.id} has replicas on {r.replicas}"
            behind = [n for n in r.replicas if r.applied.get(n, -1) < r.applied[r.leaseholder]]
            if behind and r.leaseholder in r.applied:
                return f"range {r.id}: nodes {behind} have applied {r.applied}, the leaseholder is {r.leaseholder}"
        return ""

    def wait_whole(self, seconds):
        """Waits until every replica is there and has caught up; returns how long it took."""
        begin = time.monotonic()
        while True:
            reason = self.unwhole()
            took = time.monotonic() - begin
            if not reason:
                return took
            check(took < seconds, f"ranges are not whole after {seconds} s: {reason}")
            time.sleep(0.1)


class Range:
    """`replicas`: node numbers; None for one on a node that is not of this cluster any more. `applied`: node number → index."""

    def __init__(self, number, start):
        self.id, self.start = number, start
        self.leaseholder, self.replicas, self.applied = None, [], {}


def parse_ranges(text, ports):
    """`text`: dbctl range list --format json. `ports`: SQL port → our number of the node."""
    nodes = json.loads(text)["nodes"]
    number_of = {}
    for node in nodes:
        if node["live"]:
            number_of[node["node"]] = ports.get(int(node["sql"].rsplit(":", 1)[1]))
    # A dead node keeps its number unless a live one has taken its address: then it is a node of the past.
    for node in nodes:
        number = ports.get(int(node["sql"].rsplit(":", 1)[1]))
        if not node["live"] and number not in number_of.values():
            number_of[node["node"]] = number
    ranges, generations = {}, {}
    for node in nodes:
        number = number_of.get(node["node"])
        for report in node.get("range_list", []):
            r = ranges.setdefault(report["range"], Range(report["range"], report["start"]))
            r.applied[number] = report["applied"]
            if report["lease_here"]:
                r.leaseholder = number
            if report["generation"] >= generations.get(r.id, -1):
                generations[r.id] = report["generation"]
                r.replicas = [number_of.get(x["node"]) for x in report["replicas"]]
    return ranges


class PostgresServer:
    """A private PostgreSQL 15 with the same face, so that tests and tools can be tried against it.

    As a stand-in for a cluster its `node_count` nodes are one and the same server: whatever happens to one happens to all.
    """

    settings = ()

    def __init__(self, run, node_count=1, name="postgres", port=None, settings=()):
        self.run, self.node_count, self.folder = run, node_count, run.folder / name
        self.base_port = port or run.free_port_block() + 1
        self.settings = settings
        self.nodes = {}

    def up(self, timeout=120):
        begin = time.monotonic()
        if not self._running():
            script = ROOT / "tools" / "dev" / "postgres.sh"
            while True:
                try:
                    self.run.command(["bash", script, "start", self.folder, self.base_port, *self.settings], timeout)
                    break
                except Failure as failure:
                    # After a kill its children need a moment to notice.
                    if "shared memory block" not in str(failure) or time.monotonic() - begin > 20:
                        raise
                    time.sleep(0.2)
        pid = self._postmaster()
        url = f"postgresql://postgres@127.0.0.1:{self.base_port}/postgres"
        self.nodes = {n: Node(n, url, "", pid) for n in range(1, self.node_count + 1)}
        return time.monotonic() - begin

    def down(self):
        self.run.command(["bash", ROOT / "tools" / "dev" / "postgres.sh", "stop", self.folder], 60)

    def _postmaster(self):
        return int((self.folder / "data" / "postmaster.pid").read_text(encoding="ascii").split("\n")[0])

    def _running(self):
        try:
            return processes.alive(self._postmaster())
        except OSError:
            return False

    def kill(self, number):
        pid = self.nodes[number].pid
        if processes.alive(pid):
            check(str(self.folder) in processes.command_line(pid), f"process {pid} is not a server of {self.folder}")
            everyone = processes.tree(pid)
            os.kill(pid, signal.SIGKILL)
            check(processes.wait_gone(everyone, 10), "PostgreSQL survived kill -9")
            # Where nobody reaps orphans, the dead process keeps its number and PostgreSQL takes it for running.
            (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
            for lock in self.folder.glob(".s.PGSQL.*.lock"):
                lock.unlink()

    def signal(self, number, which):
        for pid in processes.tree(self.nodes[number].pid):
            os.kill(pid, which)

    def alive(self, number):
        return processes.alive(self.nodes[number].pid)

    def session(self, number, timeout=10.0):
        return Session(self.nodes[number].port, timeout=timeout)

    def log(self, _):
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def healthy(self, number):
        try:
            with self.session(number, 5.0) as session:
                return session.value("SELECT 1") == "1"
        except (NotConnected, ConnectionLost, ServerError):
            return False

    def ranges(self, at=None):
        del at
        return {}

    def leases(self, at=None):
        del at
        return Counter({1: 1})

    def busiest(self):
        return 1

    def unwhole(self):
        return ""

    def wait_whole(self, seconds):
        del seconds
        return 0.0


def make(run, node_count=3, name="cluster"):
    """The server under test, by the option --server."""
    if run.options.server == "postgres":
        return PostgresServer(run, node_count, name)
    return Cluster(run, node_count, name)

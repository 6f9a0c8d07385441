"""etcd as Debian ships it: three members on loopback, durable as it is by default, and clients that put keys over gRPC."""

import contextlib
import json
import os
import signal
import subprocess

from harness import processes
from harness.run import check

from . import metrics
from .loads import puts


class Etcd:
    name = "etcd"

    def __init__(self, run, node_count):
        self.run, self.node_count = run, node_count
        self.base_port = run.free_port_block()
        self.syncs_a_commit = node_count // 2 + 1  # of all members: a majority
        self.port, self.all_ports, self._members = None, [], []

    def _address(self, number, peer=0):
        return f"http://127.0.0.1:{self.base_port + number + 100 * peer}"

    def start(self):
        numbers = range(1, self.node_count + 1)
        cluster = ",".join(f"m{k}={self._address(k, 1)}" for k in numbers)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("ETCD_")}  # each option can come from there
        for k in numbers:
            folder = self.run.folder / f"etcd{k}"
            words = ["etcd", "--name", f"m{k}", "--data-dir", folder, "--listen-client-urls", self._address(k), "--advertise-client-urls",
                     self._address(k), "--listen-peer-urls", self._address(k, 1), "--initial-advertise-peer-urls", self._address(k, 1),
                     "--initial-cluster", cluster, "--initial-cluster-state", "new", "--initial-cluster-token", str(self.run.folder)]
            with open(self.run.folder / f"etcd{k}.log", "wb") as log:
                self._members.append(subprocess.Popen([str(w) for w in words], env=clean, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                      start_new_session=True))
        self.run.wait_until(lambda: self._leader() is not None, 30, "etcd has a leader")
        self.all_ports = [self.base_port + k for k in numbers]
        self.port = self.base_port + self._leader()

    def _leader(self):
        """The number of the member that leads, once all are healthy."""
        leader = None
        for k in range(1, self.node_count + 1):
            try:
                if json.loads(metrics.fetch(self._address(k) + "/health"))["health"] != "true":
                    return None
                if metrics.value(metrics.fetch(self._address(k) + "/metrics"), "etcd_server_is_leader"):
                    leader = k
            except OSError:
                check(all(processes.alive(m.pid) for m in self._members), f"etcd does not start; see {self.run.folder}/etcd{k}.log")
                return None
        return leader

    def pids(self):
        return [member.pid for member in self._members]

    def durability(self):
        for member in self._members:
            line = processes.command_line(member.pid)
            check("unsafe" not in line, f"etcd runs with an unsafe setting: {line}")
        return "no unsafe setting; every put waits until a majority of the members has synced its log"

    def sync_count(self):
        """Of all members' logs; those of the key-value file behind it are not among them."""
        return metrics.total([self._address(k) for k in range(1, self.node_count + 1)], "etcd_disk_wal_fsync_duration_seconds_count")

    @contextlib.contextmanager
    def lone_client(self):
        yield lambda count: check(puts(self.run, "etcd", [self.port], 1, 1, count=count).transactions == count, "etcd: single puts fail")

    def version(self):
        return "etcd " + json.loads(metrics.fetch(self._address(1) + "/version"))["etcdserver"]

    def stop(self):
        for member in self._members:
            member.send_signal(signal.SIGTERM)
        for member in self._members:
            member.wait(30)

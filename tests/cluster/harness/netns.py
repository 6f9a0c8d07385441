"""A cluster whose nodes have network namespaces of their own, so that one of them can be cut off while it runs.

    this process's namespace: a bridge, clients on 10.77.0.254      node k's namespace: 10.77.0.k
                             └── v1, v2, v3 ═══════════════════════ e0

A node is isolated by taking its end of the cable out of the bridge: packets vanish without a word in both directions, the node's own
link stays up, and nobody is told. Namespaces, bridge and cables are the processes' own and end with the last of them: nothing of the
machine is touched, and nothing has to be taken back. Needs root, or a kernel that lets users make namespaces.
"""

import ctypes
import os
import subprocess
import time

from . import processes, servers
from .run import Failure, check
from .wire import Session

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SUBNET = "10.77.0"


def enter():
    """Gives this process, which must have one thread and no connections, a network of its own."""
    user, group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET | (0 if user == 0 else CLONE_NEWUSER)) != 0:
        raise Failure(f"no network namespace of one's own: {os.strerror(ctypes.get_errno())} (run as root, or allow user namespaces)")
    if user != 0:
        for file, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{file}", "w", encoding="ascii") as out:
                out.write(text)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]  # there is no way to one from here


def _ip(run, *words):
    run.command(["ip", *words], 10)


class Cluster(servers.Cluster):
    """As servers.Cluster, after `enter`."""

    def __init__(self, run, node_count=3, name="cluster"):
        super().__init__(run, node_count, name)
        self._holders, self._processes = {}, {}
        _ip(run, "link", "set", "lo", "up")
        _ip(run, "link", "add", "bridge", "type", "bridge")
        _ip(run, "addr", "add", f"{SUBNET}.254/24", "dev", "bridge")
        _ip(run, "link", "set", "bridge", "up")
        for number in range(1, node_count + 1):
            self._plug(number)

    def _plug(self, number):
        """A namespace is there as long as a process is in it: this one waits, and dies with the run's folder."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"network{number}"
        path.touch()
        holder = subprocess.Popen(["unshare", "--net", "tail", "-f", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  start_new_session=True)
        own = os.readlink("/proc/self/ns/net")
        self.run.wait_until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != own, 5, "a network namespace is made", 0.01)
        self._holders[number] = holder
        _ip(self.run, "link", "add", f"v{number}", "type", "veth", "peer", "name", "e0", "netns", str(holder.pid))
        _ip(self.run, "link", "set", f"v{number}", "master", "bridge", "up")
        for words in (("addr", "add", f"{SUBNET}.{number}/24", "dev", "e0"), ("link", "set", "e0", "up"), ("link", "set", "lo", "up")):
            self.run.command(["nsenter", "--net", "--target", holder.pid, "ip", *words], 10)

    def up(self, timeout=120):
        """Starts the nodes that are not running and waits until all are ready. Returns the seconds it took."""
        begin = time.monotonic()
        first = not self.nodes
        for number in range(1, self.node_count + 1):
            if first or not self.alive(number):
                self._start(number)
        if first:
            self.run.wait_until(lambda: self.http(1, "/healthz")[0] == 200, 30, "node 1 listens")
            self.run.command([self.run.bin / "dbctl", "init", "--host", self.rpc_address(1)], 60)
        for number in self.nodes:
            self.run.wait_until(lambda n=number: self._ready(n), timeout, f"node {number} is ready")
        return time.monotonic() - begin

    def _ready(self, number):
        check(self.alive(number), f"node {number} has stopped:\n{self.log(number)[-2000:]}")
        return self.http(number, "/readyz")[0] == 200

    def _start(self, number):
        host, port = f"{SUBNET}.{number}", self.base_port + number - 1
        store = self.store(number)
        store.parent.mkdir(parents=True, exist_ok=True)
        join = ",".join(self.rpc_address(n) for n in range(1, self.node_count + 1))
        words = ["nsenter", "--net", "--target", self._holders[number].pid, self.run.bin / "dbserver", "start", "--store", store, "--sql-addr",
                 f"{host}:{port}", "--rpc-addr", self.rpc_address(number), "--http-addr", f"{host}:{port + 200}", "--join", join,
                 "--insecure-listen"]
        with open(store.parent / "log", "ab") as log:
            process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self._processes[number] = process
        self.nodes[number] = servers.Node(number, f"postgresql://postgres@{host}:{port}/postgres", f"http://{host}:{port + 200}", process.pid)

    def kill(self, number):
        super().kill(number)
        self._processes[number].wait()

    def rpc_address(self, number):
        return f"{SUBNET}.{number}:{self.base_port + 99 + number}"

    def session(self, number, timeout=10.0):
        return Session(self.nodes[number].port, f"{SUBNET}.{number}", timeout=timeout)

    def cut(self, number):
        _ip(self.run, "link", "set", f"v{number}", "nomaster")

    def heal(self, number):
        _ip(self.run, "link", "set", f"v{number}", "master", "bridge")

    def down(self):
        for process in self._processes.values():
            process.terminate()
        check(processes.wait_gone([process.pid for process in self._processes.values()], 60), "a node does not end")
        for process in (*self._processes.values(), *self._holders.values()):
            process.kill()
            process.wait()

"""The sides of a comparison: this server and its peers, with the same durability, all over TCP on loopback.

A side knows how to start, how to show that its settings make commits durable, how many syncs it did, and which
processes its CPU time is that of.
"""

import contextlib
import os
import shutil

from harness import pgbench, processes
from harness.run import check
from harness.servers import Cluster, PostgresServer

from . import metrics

# Room enough that PostgreSQL is not slowed by its small defaults; durability is what it is by default, and is checked.
POSTGRES_SETTINGS = ("shared_buffers=512MB", "max_wal_size=4GB", "max_connections=300", "fsync=on", "synchronous_commit=on",
                     "full_page_writes=on", "wal_level=replica", "max_wal_senders=8", "hot_standby=on")


STATEMENT_SECONDS = 600  # the longest that a single statement of the preparations may take


class SqlSide:
    """What sides that speak PostgreSQL's protocol share: they have `run`, `name`, `port`, `session()`."""

    @contextlib.contextmanager
    def lone_client(self):
        """Yields a function that makes so many small transactions, one after the other, each of them committed."""
        with self.session() as session:
            session.query("DROP TABLE IF EXISTS bench_durability")
            session.query("CREATE TABLE bench_durability (id int PRIMARY KEY, v int)")
            session.query("INSERT INTO bench_durability VALUES (1, 0)")
        script = self.run.folder / "durability.sql"
        script.write_text("UPDATE bench_durability SET v = v + 1 WHERE id = 1;\n", encoding="ascii")

        def commit(count):
            report = pgbench.bench(self.port, "-n", "-f", script, "-c", 1, "-t", count, timeout=120)
            check(report.processed == count and report.clean, f"{self.name}: single updates fail: {report.errors[:500]}")

        yield commit
        with self.session() as session:
            session.query("DROP TABLE bench_durability")


class Orrery(SqlSide):
    name = "orrerydb"

    def __init__(self, run, node_count, folder="orrerydb"):
        self.run, self.cluster = run, Cluster(run, node_count, folder)
        self.port, self.ports, self.all_ports = None, [], []
        self.syncs_a_commit = node_count // 2 + 1  # of all nodes: a majority

    def start(self):
        self.cluster.up()
        self.ports = self.all_ports = [node.port for node in self.cluster.nodes.values()]
        self.port = self.ports[0]

    def session(self):
        return self.cluster.session(1, STATEMENT_SECONDS)

    def pids(self):
        return [node.pid for node in self.cluster.nodes.values()]

    def durability(self):
        return "every commit waits for a sync on a majority of its range's replicas; there is no setting to weaken it"

    def sync_count(self):
        """Syncs of all nodes' logs, or None if the server does not say."""
        return metrics.total((node.http for node in self.cluster.nodes.values()), "orrery_raft_synced_batches_total")

    def version(self):
        with self.cluster.session(1) as session:
            return session.value("SELECT version()")

    def stop(self):
        self.cluster.down()


class Postgres(SqlSide):
    """One server, or a primary with two standbys of which one must have flushed each commit (ANY 1)."""

    def __init__(self, run, node_count, name="postgresql", more_settings=()):
        self.run, self.node_count, self.name = run, node_count, name
        base, settings = run.free_port_block(), (*POSTGRES_SETTINGS, *more_settings)
        self.primary = PostgresServer(run, 1, name, base, settings)
        self.standbys = [PostgresServer(run, 1, f"{name}-standby{k}", base + k, settings) for k in (1, 2)][: node_count - 1]
        self.port = self.primary.base_port
        self.all_ports = [server.base_port for server in (self.primary, *self.standbys)]
        self.ports = [self.port] * node_count  # where reads are current: a standby's may be old. As many as a cluster of ours has
        self.syncs_a_commit = 1   # of the primary, which alone counts them; the standbys' are what synchronous_commit waits for

    def start(self):
        self.primary.up()
        for number, standby in enumerate(self.standbys, 1):
            self._copy(number, standby)
            standby.up()
        if self.standbys:
            names = ", ".join(f"s{k}" for k in range(1, len(self.standbys) + 1))
            with self.primary.session(1) as session:
                session.query(f"ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ({names})'")
                session.query("SELECT pg_reload_conf()")
            self.run.wait_until(lambda: self._quorum() == len(self.standbys), 30, "the standbys are synchronous")

    def _copy(self, number, standby):
        standby.folder.mkdir()
        words = ["/usr/lib/postgresql/15/bin/pg_basebackup", "-D", standby.folder / "data", "-X", "stream", "-c", "fast", "-R", "-d",
                 f"host=127.0.0.1 port={self.port} user=postgres application_name=s{number}"]
        if os.geteuid() == 0:
            shutil.chown(standby.folder, "postgres")
            words = ["runuser", "-u", "postgres", "--", *words]
        self.run.command(words, 300, cwd=standby.folder)

    def _quorum(self):
        with self.primary.session(1) as session:
            return int(session.value("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum' AND state = 'streaming'"))

    def session(self):
        return self.primary.session(1, STATEMENT_SECONDS)

    def pids(self):
        return [pid for server in (self.primary, *self.standbys) for pid in processes.tree(server.nodes[1].pid)]

    def durability(self):
        with self.primary.session(1) as session:
            settings = {name: session.value(f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes",
                                                                         "synchronous_standby_names")}
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            check(settings[name] == "on", f"PostgreSQL runs with {name} = {settings[name]}: not the same durability")
        if self.standbys:
            check(self._quorum() == len(self.standbys), "PostgreSQL's standbys are not synchronous")
        return ", ".join(f"{k}={v or chr(39) * 2}" for k, v in settings.items())

    def sync_count(self):
        with self.primary.session(1) as session:
            # Backends hand in their numbers now and then, at the latest when they end.
            return float(session.value("SELECT wal_sync FROM pg_stat_wal"))

    def version(self):
        with self.primary.session(1) as session:
            return session.value("SELECT version()")

    def stop(self):
        for server in (*self.standbys, self.primary):
            server.down()

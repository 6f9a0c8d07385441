#!/usr/bin/python3
"""A node loses its store folder, comes back as a new node under its old address, and the ranges are whole again (N16)."""

import shutil
import time

from harness import run as run_module, servers, writers as writers_module
from harness.run import check


def test(run):
    cluster = servers.Cluster(run)
    run.say(f"cluster ready after {cluster.up():.1f} s")
    for number in range(1, (run.options.rounds or 2) + 1):
        writers_module.create_tables(cluster, 1)
        # First the node that made the tables: what it had leased of them must not hold up the next round's DROP TABLE for long.
        victim = 1 if number == 1 else run.random.choice(list(cluster.nodes))
        survivors = [n for n in cluster.nodes if n != victim]
        writers = writers_module.Writers(cluster, survivors, count=4, seed=run.random.random()).start()
        run.on_failure[:] = [lambda w=writers: w.history.write(run.folder / "history.jsonl")]
        writers.wait_acknowledged(200, 30)
        cluster.kill(victim)
        shutil.rmtree(cluster.store(victim))
        check(cluster.unwhole() != "", "a node is gone and the ranges are said to be whole: this test would prove nothing")
        writers.wait_acknowledged(20, 10)
        begin = time.monotonic()
        start_seconds = cluster.up()
        cluster.wait_whole(90)
        whole = time.monotonic() - begin
        writers.wait_acknowledged(50, 10)
        writers.stop()
        cluster.wait_whole(30)
        rows = writers_module.judge(writers, cluster)
        run.say(f"round {number}: node {victim} without its store: ready after {start_seconds:.1f} s, ranges whole after "
                f"{whole:.1f} s, {rows} rows the same on every node")
        # The new replicas must count: without one of the others, they are the majority.
        other = survivors[0]
        cluster.kill(other)
        with cluster.session(victim, 15) as session:
            found = int(session.value("SELECT count(*) FROM transfers"))
        check(found == rows, f"with node {other} down, node {victim} shows {found} rows of {rows}")
        cluster.up()
        cluster.wait_whole(60)
    cluster.down()


run_module.main(test, "lost_store", deadline=300)

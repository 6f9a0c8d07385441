#!/usr/bin/python3
"""A disk runs full under load (N10): clear errors, the nodes live on, and nothing acknowledged is lost; with room again, all goes on.

The disk is a small ext4 image on a loop device, or a small tmpfs; both need root.
"""

import os
import re
import subprocess
import time

from harness import outcome, run as run_module, servers, writers as writers_module
from harness.run import check
from harness.wire import ServerError

SIZE_MB = 400
REFUSALS = 100  # so many answers of 53100, all writers together, count as "again and again"
NO_SPACE = re.compile("no space|disk.* full|53100", re.I)


def small_disk(run, point, size_mb):
    """Mounts a disk of so many megabytes at `point`; says which kind."""
    point.mkdir()
    check(os.geteuid() == 0, "a small disk needs root: run this test as root (it mounts a loop device)")
    image = point.with_suffix(".img")
    with open(image, "wb") as file:
        file.truncate(size_mb << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(point)], capture_output=True, check=False).returncode == 0:
        return f"{size_mb} MB of ext4 on a loop device"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(point)], capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"neither a loop device nor a tmpfs can be mounted here: {done.stderr}")
    return f"{size_mb} MB of tmpfs"


def fill(folder):
    """Takes every byte that is left."""
    filler = folder / "filler"
    with open(filler, "ab", buffering=0) as file:
        for size in (1 << 20, 4096, 512):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return filler


def told_in(errors):
    """How many of these errors say 53100."""
    return sum(count for (_, text), count in errors.items() if "53100" in str(text))


def check_refusals(run, cluster, writers, full_at):
    """From now on each write fails at once with 53100, wherever it is sent, and reads and deletions go on."""
    # Once all writers have met it often, whatever was under way when the disk ran full has ended.
    run.wait_until(lambda: told_in(writers.history.errors(full_at)) > REFUSALS, 20, "the writers meet 53100", 0.05)
    since = time.monotonic()
    run.wait_until(lambda: told_in(writers.history.errors(since)) > REFUSALS, 20, "the writers go on meeting 53100", 0.05)
    errors, counts = writers.history.errors(since), writers.history.counts(since)
    run.say(f"disk full: {counts[outcome.OK]} acknowledged, errors {errors.most_common(4)}")
    others = [text for _, text in errors if not any(code in text for code in ("53100", "40001"))]
    check(not others, f"the writers get other errors than 53100: {others[:3]}")
    for number in cluster.nodes:
        check(cluster.alive(number), f"node {number} has ended; the end of its log:\n{cluster.log(number)[-1500:]}")
        check(NO_SPACE.search(cluster.log(number)), f"the log of node {number} does not say that the disk is full")
        with cluster.session(number, 10) as session:
            check(int(session.value("SELECT count(*) FROM accounts")) == writers_module.ACCOUNTS, "a read fails")
            session.query("DELETE FROM scratch WHERE id = %d" % number)
            try:
                session.query("INSERT INTO scratch VALUES (100)")
                check(False, "a write succeeds on a full disk")
            except ServerError as error:
                check(error.sqlstate == "53100" and "No space left" in str(error), f"not a clear error: {error}")


def full(run, node_count, full_nodes):
    """`full_nodes`: the nodes whose stores are on the small disk."""
    disk = run.folder / f"disk{node_count}-{len(full_nodes)}"
    kind = small_disk(run, disk, SIZE_MB * len(full_nodes))
    cluster = servers.Cluster(run, node_count, f"nodes{node_count}-{len(full_nodes)}")
    for node in full_nodes:
        cluster.store(node).parent.mkdir(parents=True)
        os.symlink(disk / f"store{node}", cluster.store(node))  # the root of a fresh ext4 is not empty
        (disk / f"store{node}").mkdir()
    run.say(f"{node_count} nodes, nodes {full_nodes} on {kind}: ready after {cluster.up():.1f} s")
    writers_module.create_tables(cluster, 1)
    with cluster.session(1, 30) as session:
        session.query("CREATE TABLE scratch (id int PRIMARY KEY)")
        session.query("INSERT INTO scratch VALUES (1), (2), (3)")
    cluster.wait_whole(60)
    writers = writers_module.Writers(cluster, [1], count=4, seed=run.seed, pause=0.001).start()
    run.on_failure[:] = [lambda: writers.history.write(run.folder / "history.jsonl")]
    writers.wait_acknowledged(200, 30)
    filler = fill(disk)
    full_at = time.monotonic()
    check(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize < 1 << 16, "the disk is not full")
    if 2 * len(full_nodes) > node_count:
        check_refusals(run, cluster, writers, full_at)
    else:  # a minority's disk is not the cluster's end, nor its node's
        node = full_nodes[0]
        run.wait_until(lambda: NO_SPACE.search(cluster.log(node)), 20, "the full disk is noticed", 0.05)
        writers.wait_acknowledged(1000, 20)
        check(cluster.alive(node), f"node {node} has ended; the end of its log:\n{cluster.log(node)[-1500:]}")
        run.say(f"disk full: acknowledged since {writers.history.counts(full_at)[outcome.OK]}; "
                f"errors {writers.history.errors(full_at).most_common(3)}")
    filler.unlink()
    writers.wait_acknowledged(50, 20)
    for node in full_nodes:
        run.wait_until(lambda node=node: cluster.healthy(node), 20, f"node {node} is healthy again")
    run.say("with room again it goes on by itself")
    writers.stop()
    cluster.wait_whole(60)
    rows = writers_module.judge(writers, cluster)
    # And what is on the disk now is what was acknowledged.
    for node in full_nodes:
        cluster.kill(node)
    cluster.up()
    writers_module.judge(writers, cluster)
    run.say(f"{node_count} nodes: {rows} rows, nothing acknowledged was lost")
    cluster.down()
    subprocess.run(["umount", str(disk)], check=True)


def test(run):
    for node_count, full_nodes in ((1, [1]), (3, [3]), (3, [1, 2, 3])):
        full(run, node_count, full_nodes)


run_module.main(test, "full_disk", deadline=240)

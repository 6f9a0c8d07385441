#!/usr/bin/python3
"""A disk runs full under load (N10), of other files or of the node's own rows: clear errors, the nodes live on, and nothing acknowledged is
lost; with room again, all goes on.

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
LEFT_BYTES = 48 << 20  # of the reserve of 64 MiB: no new data, but deletions
DELETED = 1000  # rows, by each node on a full disk
OWN_ROWS = 1000  # a COPY
OWN_ROW_BYTES = 4096
OWN_REFUSALS = 20
SPARE = 1000  # rows that are not deleted then
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


def free_bytes(folder):
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def fill(folder, leave):
    """Takes what is left but so many bytes; 0: every byte."""
    filler = folder / "filler"
    with open(filler, "ab", buffering=0) as file:
        for size in (1 << 20, 4096, 512):
            try:
                while free_bytes(folder) >= leave + size or not leave:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return filler


def told_in(errors):
    """How many of these errors say 53100."""
    return sum(count for (_, text), count in errors.items() if "53100" in str(text))


def await_refusals(run, cluster, writers, full_at):
    """From now on each write of new data fails at once with 53100, wherever it is sent."""
    # Once all writers have met it often, whatever was under way when the disk ran full has ended.
    run.wait_until(lambda: told_in(writers.history.errors(full_at)) > REFUSALS, 20, "the writers meet 53100", 0.05)
    since = time.monotonic()
    run.wait_until(lambda: told_in(writers.history.errors(since)) > REFUSALS, 20, "the writers go on meeting 53100", 0.05)
    errors, counts = writers.history.errors(since), writers.history.counts(since)
    run.say(f"disk full: {counts[outcome.OK]} acknowledged, errors {errors.most_common(4)}")
    others = [text for _, text in errors if not any(code in text for code in ("53100", "40001"))]
    check(not others, f"the writers get other errors than 53100: {others[:3]}")
    for number in cluster.nodes:
        check(NO_SPACE.search(cluster.log(number)), f"the log of node {number} does not say that the disk is full")


def check_alive(cluster):
    for number in cluster.nodes:
        check(cluster.alive(number), f"node {number} has ended; the end of its log:\n{cluster.log(number)[-1500:]}")


def check_refused(session, sql, words):
    try:
        session.query(sql)
        check(False, f"on a full disk there is an answer to {sql}")
    except ServerError as error:
        check(error.sqlstate == "53100" and words in str(error), f"not a clear error: {error}")


def check_full(cluster):
    """Reads and deletions go on, new data does not."""
    for number in cluster.nodes:
        with cluster.session(number, 10) as session:
            check(int(session.value("SELECT count(*) FROM accounts")) == writers_module.ACCOUNTS, "a read fails")
            done = session.query(f"DELETE FROM scratch WHERE id > 0 AND id % 3 = {number % 3}")
            check(done.tag == f"DELETE {DELETED}", f"not all rows are deleted: {done.tag}")
            check_refused(session, "INSERT INTO scratch VALUES (1000000)", "No space left")
    check_alive(cluster)


def check_exhausted(run, cluster):
    """Not even deletions, so that no node needs a byte that is not there; reads go on, and what frees room at once."""
    spare = iter(range(1, SPARE))

    def refused():  # soon, but perhaps not at once
        with cluster.session(1, 10) as session:
            try:
                session.query(f"DELETE FROM scratch WHERE id = -{next(spare)}")
                return False
            except ServerError as error:
                return "not even for deletions" in str(error)

    run.wait_until(refused, 20, "deletions are refused", 0.05)
    delete = f"DELETE FROM scratch WHERE id = -{SPARE}"
    for number in cluster.nodes:
        with cluster.session(number, 10) as session:
            check(int(session.value("SELECT count(*) FROM accounts")) == writers_module.ACCOUNTS, "a read fails")
            check_refused(session, delete, "not even for deletions")
            check_refused(session, "INSERT INTO scratch VALUES (1000000)", "No space left")
    with cluster.session(1, 10) as session:
        session.query("DROP TABLE scratch")
    check_alive(cluster)
    run.say("no byte left: all writes are refused, the nodes live on")


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
        session.query(f"INSERT INTO scratch SELECT generate_series(-{SPARE}, {3 * DELETED})")
    cluster.wait_whole(60)
    writers = writers_module.Writers(cluster, [1], count=4, seed=run.seed, pause=0.001).start()
    run.on_failure[:] = [lambda: writers.history.write(run.folder / "history.jsonl")]
    writers.wait_acknowledged(200, 30)
    majority = 2 * len(full_nodes) > node_count
    filler = fill(disk, LEFT_BYTES if majority else 0)
    full_at = time.monotonic()
    if majority:
        await_refusals(run, cluster, writers, full_at)
        check_full(cluster)
        run.say(f"deletions went on, {free_bytes(disk) >> 20} MB are left")
        fill(disk, 0)
        check(free_bytes(disk) < 1 << 16, "the disk has room")
        check_exhausted(run, cluster)
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


def own_data(run):
    """A node's own rows fill its disk. What goes on by itself (flushes, compactions) must not take the rest: that used to end the node."""
    disk = run.folder / "disk-own"
    kind = small_disk(run, disk, SIZE_MB)
    cluster = servers.Cluster(run, 1, "nodes-own")
    cluster.store(1).parent.mkdir(parents=True)
    os.symlink(disk / "store", cluster.store(1))
    (disk / "store").mkdir()
    cluster.up()
    with cluster.session(1, 60) as session:
        session.query("CREATE TABLE big (id int PRIMARY KEY, v text)")
        acknowledged = refusals = 0
        while refusals < OWN_REFUSALS:  # not at the first: what is flushed or compacted then may make room once more
            rows = (f"{acknowledged + i}\t{os.urandom(OWN_ROW_BYTES // 2).hex()}\n".encode() for i in range(OWN_ROWS))
            try:
                session.copy_in("COPY big FROM STDIN", rows)
                acknowledged += OWN_ROWS
            except ServerError as error:
                check(error.sqlstate == "53100" and "No space left" in str(error), f"the disk fills up: {error}")
                refusals += 1
            check(acknowledged * OWN_ROW_BYTES < SIZE_MB << 20, "more rows than the disk can hold")
        run.say(f"1 node on {kind}: {acknowledged} rows of {OWN_ROW_BYTES} bytes fill it, {free_bytes(disk) >> 20} MB are left")
        deleted = 0
        try:
            while deleted < acknowledged:
                deleted += int(session.query(f"DELETE FROM big WHERE id >= {deleted} AND id < {deleted + OWN_ROWS}").tag.split()[1])
        except ServerError as error:
            check(error.sqlstate == "53100", f"deletions on a full disk: {error}")
        check(int(session.value("SELECT count(*) FROM big")) == acknowledged - deleted, "rows are missing")
    check_alive(cluster)
    cluster.kill(1)
    cluster.up()
    with cluster.session(1, 60) as session:
        check(int(session.value("SELECT count(*) FROM big")) == acknowledged - deleted, "rows are missing after a restart")
        session.query("DROP TABLE big")
    check_alive(cluster)
    run.say(f"{deleted} rows deleted on the full disk, the others are there, also after kill -9")
    cluster.down()
    subprocess.run(["umount", str(disk)], check=True)


def test(run):
    own_data(run)
    for node_count, full_nodes in ((1, [1]), (3, [3]), (3, [1, 2, 3])):
        full(run, node_count, full_nodes)


run_module.main(test, "full_disk", deadline=300)

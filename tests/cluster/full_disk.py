#!/usr/bin/python3
"""A disk runs full under load (N10): clear errors or a clear end, and nothing acknowledged is lost; with room again, all goes on.

The disk is a small ext4 image on a loop device, or a small tmpfs; both need root.
"""

import os
import re
import subprocess
import time

from harness import outcome, run as run_module, servers, writers as writers_module
from harness.run import check

SIZE_MB = 400
NO_SPACE = re.compile("no space|disk.* full|53100", re.I)


def small_disk(run, point):
    """Mounts a disk of SIZE_MB at `point`; says which kind."""
    point.mkdir()
    check(os.geteuid() == 0, "a small disk needs root: run this test as root (it mounts a loop device)")
    image = point.with_suffix(".img")
    with open(image, "wb") as file:
        file.truncate(SIZE_MB << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    if subprocess.run(["mount", "-o", "loop", str(image), str(point)], capture_output=True, check=False).returncode == 0:
        return "ext4 on a loop device"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", str(point)], capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"neither a loop device nor a tmpfs can be mounted here: {done.stderr}")
    return "tmpfs"


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


def ballast(cluster, errors):
    """Some megabytes of rows; an error ends it and is remembered."""
    try:
        with cluster.session(1, 15) as session:
            first = int(session.value("SELECT count(*) FROM ballast"))
            for i in range(first, first + 20):
                session.query(f"INSERT INTO ballast VALUES ({i}, '{'x' * 400_000}')")
    except writers_module.FAULTS as error:
        errors.append(str(error)[:300])


def full(run, node_count):
    disk = run.folder / f"disk{node_count}"
    kind = small_disk(run, disk)
    cluster = servers.Cluster(run, node_count, f"nodes{node_count}")
    victim = node_count
    cluster.store(victim).parent.mkdir(parents=True)
    os.symlink(disk / "store", cluster.store(victim))  # the root of a fresh ext4 is not empty
    (disk / "store").mkdir()
    run.say(f"{node_count} nodes, node {victim} on {SIZE_MB} MB of {kind}: ready after {cluster.up():.1f} s")
    writers_module.create_tables(cluster, 1)
    writers = writers_module.Writers(cluster, [1], count=4, seed=run.seed, pause=0.001).start()
    run.on_failure[:] = [lambda: writers.history.write(run.folder / "history.jsonl")]
    writers.wait_acknowledged(200, 30)
    filler = fill(disk)
    full_at = time.monotonic()
    check(os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize < 1 << 16, "the disk is not full")

    # The log has room until its preallocated part is used: write big rows until somebody notices.
    def noticed():
        if not cluster.alive(victim) or NO_SPACE.search(cluster.log(victim)):
            return True
        fill(disk)
        ballast(cluster, told_errors)
        return bool(told_errors) or bool(writers.history.errors(full_at))
    told_errors = []
    with cluster.session(1, 30) as session:
        session.query("CREATE TABLE ballast (id int PRIMARY KEY, data text NOT NULL)")
    run.wait_until(noticed, 60, "the full disk is noticed", 0.05)
    time.sleep(2)
    lives = cluster.alive(victim)
    told = any(NO_SPACE.search(text) for text in (cluster.log(victim), str(writers.history.errors(full_at)), str(told_errors)))
    run.say(f"disk full: node {victim} {'lives' if lives else 'has ended'}; acknowledged since "
            f"{writers.history.counts(full_at)[outcome.OK]}; errors {told_errors + writers.history.errors(full_at).most_common(3)}")
    check(told, f"nobody said that the disk is full; the end of the log:\n{cluster.log(victim)[-1500:]}")
    if node_count > 1:
        writers.wait_acknowledged(50, 10)  # a minority's disk is not the cluster's end
    filler.unlink()
    if lives:
        # It may go on by itself, or have to be started again: both are clear; hanging is not.
        try:
            writers.wait_acknowledged(50, 5)
            run.wait_until(lambda: cluster.healthy(victim), 3, "the node is healthy again")
            run.say("with room again it goes on by itself")
        except run_module.Failure:
            run.say("with room again it needs a restart")
            if cluster.alive(victim):
                cluster.kill(victim)
    cluster.up()
    writers.wait_acknowledged(50, 20)
    writers.stop()
    cluster.wait_whole(60)
    rows = writers_module.judge(writers, cluster)
    # And what is on the disk now is what was acknowledged.
    cluster.kill(victim)
    cluster.up()
    writers_module.judge(writers, cluster)
    run.say(f"{node_count} nodes: {rows} rows, nothing acknowledged was lost")
    cluster.down()
    subprocess.run(["umount", str(disk)], check=True)


def test(run):
    for node_count in (1, 3):
        full(run, node_count)


run_module.main(test, "full_disk", deadline=240)

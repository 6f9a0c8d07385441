"""Many ranges: making them, waiting until they are quiet, and which node leads them, from the nodes' metrics alone.

`dbctl range list` would name 30,000 replicas; asking for it costs the nodes more than the ranges do.
"""

import re
import time

from .run import check

TABLE = "many"


def metric(cluster, number, name):
    """The value of a metric without labels; 0 if the node does not answer."""
    found = re.search(rf"^{name} (\S+)$", cluster.http(number, "/metrics")[1], re.M)
    return float(found[1]) if found else 0.0


def _sum(cluster, name):
    return sum(metric(cluster, n, name) for n in cluster.nodes if cluster.alive(n))


def _printable(key):
    return "".join(chr(b) if 0x20 <= b < 0x7F and b != 0x5C else f"\\x{b:02x}" for b in key)


def _bytes(printable):
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), printable.encode())


def row_key(table_start, number):
    """The key of the row with this int primary key (docs/formats/rows.md)."""
    digits = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return table_start + b"\x01\x01" + b"\x10" + bytes([0x80 + len(digits)]) + digits


def make(run, cluster, count, batch=1000):
    """Table `many` (id, v) with a row in each of its ranges, `count` ranges in all. Returns the ids: one a range."""
    begin = time.monotonic()
    with cluster.session(1, 120) as session:
        session.query(f"CREATE TABLE {TABLE} (id int PRIMARY KEY, v text)")
        run.wait_until(lambda: metric(cluster, 1, "orrery_kv_ranges") >= 3, 20, "the table has a range of its own")
        ranges = cluster.ranges()
        start = _bytes(max((r.start for r in ranges.values()), key=_bytes))
        ids = [1000 * i for i in range(1, count - len(ranges) + 1)]
        file = run.folder / "keys"
        for at in range(0, len(ids), batch):
            file.write_text("".join(_printable(row_key(start, i)) + "\n" for i in ids[at:at + batch]), encoding="ascii")
            cluster.dbctl("range", "split", "--from", file, "--timeout", 300, at=1, timeout=300)
            if len(ids) > batch:
                run.say(f"{min(len(ids), at + batch)} splits after {time.monotonic() - begin:.0f} s")
        run.say(f"{count} ranges after {time.monotonic() - begin:.1f} s")
        for at in range(0, len(ids), 100):
            session.query(f"INSERT INTO {TABLE} VALUES " + ", ".join(f"({i}, 'x')" for i in ids[at:at + 100]))
    for number in cluster.nodes:
        run.wait_until(lambda n=number: metric(cluster, n, "orrery_kv_ranges") >= count, 60, f"node {number} has all ranges")
    run.say(f"{len(ids)} rows, one a range, after {time.monotonic() - begin:.1f} s")
    return ids


def wait_quiet(run, cluster, seconds, busy_max=8):
    """Until nearly all replicas are quiet: those of the system's own ranges need not be. Returns how long it took."""
    applied = []

    def quiet():
        busy = _sum(cluster, "orrery_kv_ranges") - _sum(cluster, "orrery_kv_quiet_replicas")
        # Nor is anything being tidied up: hardly a command in the last three seconds.
        applied.append(_sum(cluster, "orrery_kv_commands_applied_total"))
        calm = len(applied) > 6 and applied[-1] - applied[-7] <= busy_max
        return 0 <= busy <= busy_max and calm
    return run.wait_until(quiet, seconds, "the ranges fall quiet", interval=0.5)


def leases(cluster):
    return {n: int(metric(cluster, n, "orrery_kv_leases")) for n in cluster.nodes if cluster.alive(n)}


def wait_balanced(run, cluster, seconds, share=0.1):
    """Until no node leads more than its part by `share` of it."""
    def balanced():
        counts = leases(cluster)
        part = sum(counts.values()) / len(counts)
        return max(counts.values()) <= part * (1 + share) + 3
    took = run.wait_until(balanced, seconds, "the leases are evened out", interval=1.0)
    check(len(leases(cluster)) == len(cluster.nodes), "a node is missing")
    return took

"""Numbers and what is made of them: CPU and syncs of a side, percentiles, medians, ratios. No I/O but in Meter and cpu_share."""

import statistics
import time

from harness import processes

SHARES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))


class Meter:
    """CPU seconds (user and system, all processes of the side) and syncs between its making and `read`."""

    def __init__(self, side):
        self._side = side
        self._cpu, self._syncs = processes.cpu_seconds(side.pids()), side.sync_count()

    def read(self):
        time.sleep(0.3)  # ended backends are counted once their parent has reaped them
        cpu = processes.cpu_seconds(self._side.pids()) - self._cpu
        syncs = self._side.sync_count()
        return cpu, (None if syncs is None or self._syncs is None else syncs - self._syncs)


def cpu_share(pids, seconds):
    """Of one core, over so many seconds from now on."""
    before, begin = processes.cpu_seconds(pids), time.monotonic()
    time.sleep(seconds)
    return (processes.cpu_seconds(pids) - before) / (time.monotonic() - begin)


def percentiles(values):
    """Of a list of numbers; {} of none."""
    return histogram_percentiles([(value, 1) for value in values])


def histogram_percentiles(buckets):
    """Of (value, count) pairs: the value of the bucket in which each share of the counts is passed."""
    buckets = sorted(buckets)
    total = sum(count for _, count in buckets)
    found, passed = {}, 0
    for value, count in buckets:
        passed += count
        for name, share in SHARES:
            if name not in found and passed > total * share:
                found[name] = value
    return found


class Sample:
    """What a load saw in one measurement. `work`: statements, rows or puts, which CPU time is divided by."""

    def __init__(self, rate, transactions, work, clean=True, latency_us=None, more=None):
        self.rate, self.transactions, self.work, self.clean = rate, transactions, work, clean
        self.latency_us, self.more = latency_us or {}, more or {}

    def measurement(self, cpu_seconds, syncs):
        return {"rate": self.rate, "clean": self.clean, "latency_us": self.latency_us, **self.more,
                "cpu_us": 1e6 * cpu_seconds / max(1.0, self.work),
                "syncs_per_transaction": None if syncs is None else syncs / max(1.0, self.transactions)}


def median_of(measurements, *path):
    """Of the values at `path`; measurements that lack it do not count. None if none has it."""
    values = []
    for m in measurements:
        for key in path:
            m = m.get(key) if m else None
        if m is not None:
            values.append(m)
    return statistics.median(values) if values else None


def summarise(measurements):
    return {"rate": median_of(measurements, "rate"), "clean": all(m["clean"] for m in measurements),
            "latency_us": {p: median_of(measurements, "latency_us", p) for p, _ in SHARES},
            "cpu_us": median_of(measurements, "cpu_us"),
            "syncs_per_transaction": median_of(measurements, "syncs_per_transaction"), "runs": measurements}


def ratio(ours, theirs):
    """Of the medians, with the smallest and largest of a pair; None where the divisor is 0."""
    pairs = [a["rate"] / b["rate"] for a, b in zip(ours, theirs) if b["rate"]]
    below = median_of(theirs, "rate")
    return {"of_medians": median_of(ours, "rate") / below if below else None,
            "min": min(pairs, default=None), "max": max(pairs, default=None)}

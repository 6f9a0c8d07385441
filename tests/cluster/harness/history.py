"""Records what clients did, on one monotonic clock (H3), and judges the final state against it."""

import json
import threading
import time
from collections import Counter

from .outcome import FAIL, INFO, OK


class Operation:
    """`key` is unique for ever: an operation that is tried again is a new operation (H2)."""

    __slots__ = ("key", "value", "client", "invoked", "completed", "outcome", "error")

    def __init__(self, key, value, invoked, client=None):
        self.key, self.value, self.invoked, self.client = key, value, invoked, client
        self.completed, self.outcome, self.error = None, None, None


class History:
    """Thread-safe."""

    def __init__(self):
        self._mutex = threading.Lock()
        self.operations = []

    def invoke(self, key, value, client=None):
        """`client`: who does it, whatever name its operations go by at the moment."""
        operation = Operation(key, value, time.monotonic(), client)
        with self._mutex:
            self.operations.append(operation)
        return operation

    def complete(self, operation, outcome, error=None):
        with self._mutex:
            operation.completed, operation.outcome = time.monotonic(), outcome
            operation.error = str(error) if error else None

    def snapshot(self):
        with self._mutex:
            return list(self.operations)

    def counts(self, since=0.0):
        """Outcomes of the operations invoked at `since` or later."""
        return Counter(o.outcome or "open" for o in self.snapshot() if o.invoked >= since)

    def errors(self, since=0.0):
        return Counter((o.outcome, o.error) for o in self.snapshot() if o.error and o.invoked >= since)

    def longest_gap(self, start, end, client=None):
        """The longest time within [start, end] in which no operation succeeded, of this client or of any: (seconds, when it began)."""
        times = sorted(o.completed for o in self.snapshot() if o.outcome == OK and start <= o.completed <= end and client in (None, o.client))
        times = [start, *times, end]
        return max(((b - a, a) for a, b in zip(times, times[1:])), default=(0.0, start))

    def write(self, path):
        """A line a record, in the form that Jepsen's checkers read (H7)."""
        records = []
        for o in self.snapshot():
            records.append((o.invoked, {"type": "invoke", "process": o.key[0], "f": "write", "value": [o.key, o.value]}))
            if o.outcome:
                records.append((o.completed, {"type": o.outcome, "process": o.key[0], "f": "write",
                                              "value": [o.key, o.value], "error": o.error}))
        records.sort(key=lambda r: r[0])
        with open(path, "w", encoding="utf-8") as file:
            for index, (at, record) in enumerate(records):
                file.write(json.dumps({"index": index, "time": int(at * 1e9), **record}) + "\n")


def judge_rows(operations, rows):
    """`rows`: key → value as found at the end. Returns the findings, worst first; empty if all is well."""
    findings, known = [], {}
    for o in operations:
        known[o.key] = o
        found = rows.get(o.key)
        if o.outcome == OK and found is None:
            findings.append(f"LOST: {o.key} = {o.value} was acknowledged and is not there")
        elif o.outcome == FAIL and found is not None:
            findings.append(f"RESURRECTED: {o.key} is there, though the server said it failed ({o.error})")
        elif found is not None and found != o.value:
            findings.append(f"CHANGED: {o.key} is {found}, written as {o.value}")
    findings += [f"INVENTED: {key} = {value} was never written" for key, value in rows.items() if key not in known]
    return findings


def judge_balances(rows, balances, initial):
    """`rows`: key → (source, target, amount). Each balance must be the sum of what moved: no half transfers."""
    expected = {account: initial for account in balances}
    for source, target, amount in rows.values():
        expected[source] -= amount
        expected[target] += amount
    findings = [f"TORN: account {a} holds {balances[a]}, its transfers make {expected[a]}"
                for a in sorted(balances) if balances[a] != expected[a]]
    if sum(balances.values()) != initial * len(balances):
        findings.append(f"SUM: the balances add up to {sum(balances.values())}, not {initial * len(balances)}")
    return findings


def unknown_share(operations):
    counts = Counter(o.outcome for o in operations)
    return counts[INFO] / max(1, sum(counts.values()))

"""Clients that write while things break, and remember what was acknowledged.

Two tables: `accounts` (balances) and `transfers` (a row for each transfer, its key unique for ever). One operation in two is a
transaction of three statements that moves money and notes it; the other a lone INSERT. So the final state can be
judged completely: every acknowledged row there, none that was refused, every balance the sum of its transfers.
"""

import hashlib
import itertools
import random
import threading
import time

from . import history, outcome
from .run import check
from .wire import ConnectionLost, NotConnected, ServerError

ACCOUNTS, INITIAL = 40, 1000
FAULTS = (ServerError, ConnectionLost, NotConnected)


def create_tables(server, number):
    with server.session(number, 30) as session:
        session.query("DROP TABLE IF EXISTS transfers")
        session.query("DROP TABLE IF EXISTS accounts")
        session.query("CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL)")
        session.query("CREATE TABLE transfers (writer int, seq int, source int NOT NULL, target int NOT NULL, "
                      "amount bigint NOT NULL, PRIMARY KEY (writer, seq))")
        values = ", ".join(f"({i}, {INITIAL})" for i in range(ACCOUNTS))
        session.query(f"INSERT INTO accounts VALUES {values}")


class Writers:
    """`gateways`: the node numbers to connect to, in turn. Change it at any time; a writer whose connection broke takes the next."""

    def __init__(self, server, gateways, count=8, seed=0, op_timeout=12.0, pause=0.0, beside=None):
        """`beside`: other writers whose history and names these share."""
        self.server, self.gateways, self.pause = server, list(gateways), pause
        self.history = beside.history if beside else history.History()
        self._names = beside._names if beside else itertools.count(1)
        self._op_timeout = op_timeout
        self._stop = threading.Event()
        self._random = random.Random(seed)
        self.clients = [object() for _ in range(count)]  # as the history names them
        self._threads = [threading.Thread(target=self._run, args=(client, random.Random(self._random.random())), daemon=True)
                         for client in self.clients]

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        self._stop.set()
        until = time.monotonic() + self._op_timeout + 15
        for thread in self._threads:
            thread.join(max(0.1, until - time.monotonic()))
        check(not any(t.is_alive() for t in self._threads), "a writer hangs beyond its own time-out")

    def wait_acknowledged(self, count, seconds, since=None):
        """Waits until so many more operations succeeded."""
        since = time.monotonic() if since is None else since
        until = time.monotonic() + seconds
        while self.history.counts(since)[outcome.OK] < count:
            check(time.monotonic() < until, f"fewer than {count} operations succeeded within {seconds} s; "
                                            f"errors: {self.history.errors(since).most_common(3)}")
            time.sleep(0.02)

    def wait_all_served(self, since, seconds):
        """Waits until an operation of each client that was begun at `since` or later has succeeded."""
        until = time.monotonic() + seconds
        while not {o.client for o in self.history.snapshot() if o.outcome == outcome.OK and o.invoked >= since}.issuperset(self.clients):
            check(time.monotonic() < until, f"a client was not served within {seconds} s; {self.history.errors(since).most_common(3)}")
            time.sleep(0.05)

    def _new_process(self):
        """A writer whose operation ended with unknown outcome goes on under a new name."""
        return next(self._names)

    def _connect(self):
        gateways = self.gateways
        return self.server.session(self._random.choice(gateways), self._op_timeout)

    def _run(self, client, rng):
        session, process, seq = None, self._new_process(), 0
        while not self._stop.is_set():
            if session is None:
                try:
                    session = self._connect()
                except NotConnected:
                    self._stop.wait(0.02)
                    continue
            seq += 1
            result = self._operate(session, rng, client, (process, seq))
            if result != outcome.OK:
                if result == outcome.INFO:
                    process, seq = self._new_process(), 0
                if result == outcome.INFO or not self._usable(session):
                    session.close()
                    session = None
            if self.pause:
                self._stop.wait(self.pause)
        if session:
            session.close(politely=True)

    @staticmethod
    def _usable(session):
        try:
            session.query("ROLLBACK")
            return True
        except FAULTS:
            return False

    def _operate(self, session, rng, client, key):
        if rng.random() < 0.5:
            value = (0, 0, 0)
            statements = [_insert(key, value)]
        else:
            source, target = rng.sample(range(ACCOUNTS), 2)
            value = (source, target, rng.randint(1, 5))
            moves = sorted([(source, -value[2]), (target, value[2])])  # in one order, against deadlocks
            statements = ["BEGIN", *(f"UPDATE accounts SET balance = balance + {a} WHERE id = {i}" for i, a in moves),
                          _insert(key, value), "COMMIT"]
        operation = self.history.invoke(key, value, client)
        for number, statement in enumerate(statements):
            commit_sent = number == len(statements) - 1
            try:
                tag = session.query(statement).tag
            except FAULTS as error:
                result = outcome.of_error(error, commit_sent)
                self.history.complete(operation, result, error)
                return result
            if statement == "COMMIT" and tag != "COMMIT":
                self.history.complete(operation, outcome.FAIL, tag)
                return outcome.FAIL
        self.history.complete(operation, outcome.OK)
        return outcome.OK


def _insert(key, value):
    return f"INSERT INTO transfers VALUES ({key[0]}, {key[1]}, {value[0]}, {value[1]}, {value[2]})"


class State:
    """All rows of both tables as one node shows them."""

    def __init__(self, server, number):
        with server.session(number, 60) as session:
            session.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
            accounts = session.rows("SELECT id, balance FROM accounts ORDER BY id")
            transfers = session.rows("SELECT writer, seq, source, target, amount FROM transfers ORDER BY writer, seq")
            session.query("COMMIT")
        self.balances = {int(i): int(b) for i, b in accounts}
        self.transfers = {(int(w), int(s)): (int(a), int(b), int(c)) for w, s, a, b, c in transfers}
        self.duplicates = len(transfers) - len(self.transfers) + len(accounts) - len(self.balances)
        self.digest = hashlib.sha256(repr((accounts, transfers)).encode()).hexdigest()[:16]


def judge(writers, server, settle_seconds=10.0):
    """Final reads through every node; raises Failure with all findings. Call when the writers have stopped.

    An operation of unknown outcome may still be on its way, so nodes get a moment to agree.
    """
    until = time.monotonic() + settle_seconds
    while True:
        states = {n: State(server, n) for n in server.nodes}
        digests = {n: s.digest for n, s in states.items()}
        if len(set(digests.values())) == 1 or time.monotonic() > until:
            break
        time.sleep(0.2)
    check(len(set(digests.values())) == 1, f"nodes show different rows: {digests}")
    operations = writers.history.snapshot()
    findings = []
    state = next(iter(states.values()))
    if state.duplicates:
        findings.append(f"DUPLICATE: {state.duplicates} rows share a key with another")
    findings += history.judge_rows(operations, state.transfers)
    findings += history.judge_balances(state.transfers, state.balances, INITIAL)
    check(not findings, f"{len(findings)} findings, the first of them:\n  " + "\n  ".join(findings[:10]))
    return len(state.transfers)

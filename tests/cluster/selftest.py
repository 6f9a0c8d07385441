#!/usr/bin/python3
"""The harness tested: outcomes of every SQLSTATE (H1), and that each checker reports what is planted (H9)."""

import json
import os
import pathlib
import subprocess
import tempfile
import threading
import time
import unittest

from harness import outcome, processes, run as run_module, servers, writers as writers_module
from harness.history import History, judge_balances, judge_rows
from harness.outcome import FAIL, INFO, OK
from harness.run import Failure
from harness.wire import ConnectionLost, NotConnected, ServerError


class OutcomeTest(unittest.TestCase):
    def test_proven_failures_at_commit(self):
        for state in ("40001", "40P01", "23505", "23502", "23514", "22012", "22003", "42601", "42P01", "42501", "0A000",
                      "25P02", "25006", "55P03", "57P03", "54000", "54001", "53300", "28000", "3D000", "26000"):
            self.assertEqual(outcome.of_sqlstate(state, True), FAIL, state)

    def test_unknown_at_commit(self):
        for state in ("40003", "08006", "08007", "08003", "57P01", "57P02", "57014", "XX000", "XX001", "58030", "58000",
                      "53100", "53200", "40002", "", "P0001", "HV000"):
            self.assertEqual(outcome.of_sqlstate(state, True), INFO, state)

    def test_before_commit_nothing_can_have_happened(self):
        for state in ("40003", "57P01", "XX000", "57014"):
            self.assertEqual(outcome.of_sqlstate(state, False), FAIL, state)
        self.assertEqual(outcome.of_error(ConnectionLost("x"), False), FAIL)

    def test_connections(self):
        self.assertEqual(outcome.of_error(ConnectionLost("reset"), True), INFO)
        self.assertEqual(outcome.of_error(NotConnected("refused"), True), FAIL)
        self.assertEqual(outcome.of_error(ServerError({"C": "40001"}), True), FAIL)


def history_of(*entries):
    history = History()
    for key, value, result in entries:
        history.complete(history.invoke(key, value), result)
    return history.snapshot()


class JudgeTest(unittest.TestCase):
    good = (((1, 1), "a", OK), ((1, 2), "b", FAIL), ((1, 3), "c", INFO), ((2, 1), "d", INFO))

    def test_good(self):
        self.assertEqual(judge_rows(history_of(*self.good), {(1, 1): "a", (2, 1): "d"}), [])

    def assert_finds(self, word, rows):
        findings = judge_rows(history_of(*self.good), rows)
        self.assertEqual([f.split(":")[0] for f in findings], [word])

    def test_lost(self):
        self.assert_finds("LOST", {})

    def test_resurrected(self):
        self.assert_finds("RESURRECTED", {(1, 1): "a", (1, 2): "b"})

    def test_changed(self):
        self.assert_finds("CHANGED", {(1, 1): "z"})

    def test_invented(self):
        self.assert_finds("INVENTED", {(1, 1): "a", (9, 9): "x"})

    def test_balances(self):
        rows = {(1, 1): (0, 1, 5), (1, 2): (1, 2, 3)}
        self.assertEqual(judge_balances(rows, {0: 95, 1: 102, 2: 103}, 100), [])
        self.assertTrue(judge_balances(rows, {0: 95, 1: 105, 2: 100}, 100)[0].startswith("TORN"))
        self.assertTrue(judge_balances(rows, {0: 95, 1: 102, 2: 104}, 100)[-1].startswith("SUM"))


class GapTest(unittest.TestCase):
    def test_longest_gap(self):
        history = History()
        for at in (1.0, 1.5, 4.0, 4.2):
            operation = history.invoke((at, 0), 0)
            operation.completed, operation.outcome = at, OK
        failed = history.invoke((2.5, 0), 0)
        failed.completed, failed.outcome = 2.5, FAIL
        self.assertEqual(history.longest_gap(0.5, 4.5), (2.5, 1.5))
        self.assertAlmostEqual(history.longest_gap(0.5, 9.0)[0], 4.8)
        self.assertEqual(history.longest_gap(5.0, 9.0)[0], 4.0)  # nothing succeeded at all

    def test_of_one_client(self):
        history, one, other = History(), object(), object()
        for at, client in ((1.0, one), (2.0, other), (3.0, one), (3.5, other)):
            operation = history.invoke((at, 0), 0, client)
            operation.completed, operation.outcome = at, OK
        self.assertEqual(history.longest_gap(1.0, 4.0)[0], 1.0)
        self.assertEqual(history.longest_gap(1.0, 4.0, one), (2.0, 1.0))
        self.assertEqual(history.longest_gap(1.0, 4.0, other), (1.5, 2.0))


class RangesTest(unittest.TestCase):
    def test_parse(self):
        def replica(node, lease_here, applied):
            return {"range": 7, "start": "/Table/100", "generation": 3, "lease_here": lease_here, "applied": applied,
                    "replicas": [{"node": n} for n in (1, 2, 4)]}

        # Node 3 lost its store and came back as node 4 on the same address.
        text = json.dumps({"nodes": [
            {"node": 1, "live": True, "sql": "127.0.0.1:10", "range_list": [replica(1, True, 50)]},
            {"node": 2, "live": False, "sql": "127.0.0.1:11"},
            {"node": 3, "live": False, "sql": "127.0.0.1:12"},
            {"node": 4, "live": True, "sql": "127.0.0.1:12", "range_list": [replica(4, False, 40)]}]})
        found = servers.parse_ranges(text, {10: 1, 11: 2, 12: 3})[7]
        self.assertEqual((found.leaseholder, found.replicas, found.applied), (1, [1, 2, 3], {1: 50, 3: 40}))


RUN = None


class PlantedTest(unittest.TestCase):
    """Against a real PostgreSQL: a clean run passes, and damage done behind the checker's back is reported."""

    @classmethod
    def setUpClass(cls):
        cls.server = servers.PostgresServer(RUN, 3)
        cls.server.up()

    def write(self, during=None):
        writers_module.create_tables(self.server, 1)
        writers = writers_module.Writers(self.server, [1, 2, 3], count=4, seed=RUN.seed).start()
        writers.wait_acknowledged(200, 20)
        if during:
            during()
            writers.wait_acknowledged(50, 20)
        writers.stop()
        return writers

    def assert_found(self, writers, sql, word):
        with self.server.session(1) as session:
            tag = session.query(sql).tag
            self.assertNotIn(tag.split()[-1], ("0",), "the damage was not done")
        with self.assertRaises(Failure) as caught:
            writers_module.judge(writers, self.server, settle_seconds=0)
        self.assertIn(word, str(caught.exception))

    def test_clean_run_passes(self):
        writers = self.write()
        self.assertGreaterEqual(writers_module.judge(writers, self.server), 200)

    def test_lost_row(self):
        self.assert_found(self.write(), "DELETE FROM transfers WHERE (writer, seq) IN "
                          "(SELECT writer, seq FROM transfers WHERE amount = 0 LIMIT 1)", "LOST")

    def test_half_a_transfer(self):
        self.assert_found(self.write(), "UPDATE accounts SET balance = balance + 1 WHERE id = 7", "TORN")

    def test_invented_row(self):
        self.assert_found(self.write(), "INSERT INTO transfers VALUES (9999, 1, 0, 0, 0)", "INVENTED")

    def test_kill_is_survived_and_the_gap_is_seen(self):
        def kill():
            self.server.kill(1)
            time.sleep(1.0)
            self.server.up()

        begin = time.monotonic()
        writers = self.write(kill)
        self.assertGreater(writers.history.longest_gap(begin, time.monotonic())[0], 0.9)
        writers_module.judge(writers, self.server)

    def test_rollback_is_not_an_acknowledgement(self):
        # COMMIT of a failed block answers ROLLBACK: the checker must take it for a failure.
        writers_module.create_tables(self.server, 1)
        with self.server.session(1) as session:
            session.query("BEGIN")
            with self.assertRaises(ServerError) as caught:
                session.query("INSERT INTO nowhere VALUES (1)")
            self.assertEqual(caught.exception.sqlstate, "42P01")
            self.assertEqual(caught.exception.position, 13)
            self.assertEqual(session.query("COMMIT").tag, "ROLLBACK")


class ProcessesTest(unittest.TestCase):
    def test_guardian_ends_what_a_killed_run_leaves(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="orrery-guardian-"))
        writer = processes.start_guardian(str(folder))
        (folder / "x").touch()
        orphan = subprocess.Popen(["/bin/sh", "-c", f"exec tail -f {folder}/x"], stdout=subprocess.DEVNULL)
        reaper = threading.Thread(target=orphan.wait)
        reaper.start()
        self.assertTrue(processes.of_folder(folder))
        os.close(writer)  # what the kernel does when we are killed
        self.assertTrue(processes.wait_gone([orphan.pid], 10))
        reaper.join()
        processes.remove_folder(folder)

    def test_a_process_lives_as_long_as_one_of_its_threads(self):
        program = ("import ctypes, os, threading\n"
                   "threading.Thread(target=lambda: os._exit(len(os.read(0, 1)))).start()\n"
                   "ctypes.CDLL(None).pthread_exit(None)\n")
        with subprocess.Popen(["/usr/bin/python3", "-c", program], stdin=subprocess.PIPE) as child:
            until = time.monotonic() + 10
            while processes.state(child.pid) != "Z":
                self.assertLess(time.monotonic(), until, "the first thread does not end")
            self.assertTrue(processes.alive(child.pid))
            child.stdin.close()
            self.assertTrue(processes.wait_gone([child.pid], 10))


def test(run):
    global RUN
    RUN = run
    result = unittest.TextTestRunner(verbosity=1).run(unittest.defaultTestLoader.loadTestsFromModule(__import__("__main__")))
    run_module.check(result.wasSuccessful() and result.testsRun > 0, "the harness does not work")


run_module.main(test, "selftest", deadline=120)

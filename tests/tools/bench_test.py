#!/usr/bin/python3
"""The benches' arithmetic, their reading of other programs' output, and their tables, tried on made-up input."""

import argparse
import importlib
import json
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools" / "bench"), str(ROOT / "tests" / "cluster")]

from driver import accounting, command, durability, flame, loads, metrics, report, sides  # noqa: E402
from harness.run import Failure  # noqa: E402
from names import failover  # noqa: E402


def measured(rate, **more):
    return {"rate": rate, "clean": True, "latency_us": {"p50": rate / 2, "p95": rate, "p99": 2 * rate}, "cpu_us": 2.0, "syncs_per_transaction": None, **more}


class AccountingTest(unittest.TestCase):
    def test_percentiles_are_values_that_were_seen(self):
        self.assertEqual(accounting.percentiles([7]), {"p50": 7, "p95": 7, "p99": 7})
        self.assertEqual(accounting.percentiles(range(100, 0, -1)), {"p50": 51, "p95": 96, "p99": 100})
        self.assertEqual(accounting.percentiles([]), {})

    def test_a_histogram_is_the_same_as_its_values(self):
        values = [1] * 90 + [5] * 8 + [90] * 2
        self.assertEqual(accounting.histogram_percentiles([(90, 2), (1, 90), (5, 8)]), accounting.percentiles(values))
        self.assertEqual(accounting.percentiles(values), {"p50": 1, "p95": 5, "p99": 90})

    def test_cpu_is_divided_by_work_and_syncs_by_transactions(self):
        m = accounting.Sample(10.0, transactions=100, work=700, latency_us={"p50": 3}).measurement(1.4, 50)
        self.assertEqual((m["cpu_us"], m["syncs_per_transaction"]), (2000.0, 0.5))
        self.assertIsNone(accounting.Sample(1.0, 1, 1).measurement(1.0, None)["syncs_per_transaction"])
        self.assertEqual(accounting.Sample(0.0, 0, 0).measurement(0.5, 3)["cpu_us"], 500000.0)

    def test_medians_leave_out_what_is_missing(self):
        self.assertEqual(accounting.median_of([{"a": {"b": 3}}, {"a": None}, {"a": {"b": 5}}, {}], "a", "b"), 4)
        self.assertIsNone(accounting.median_of([{}], "a"))

    def test_one_unclean_run_makes_a_side_unclean(self):
        self.assertTrue(accounting.summarise([measured(1), measured(2)])["clean"])
        self.assertFalse(accounting.summarise([measured(1), measured(2, clean=False)])["clean"])

    def test_the_ratio_is_of_medians_and_its_spread_of_pairs(self):
        ratio = accounting.ratio([measured(r) for r in (10, 40, 20)], [measured(r) for r in (10, 10, 40)])
        self.assertEqual(ratio, {"of_medians": 2.0, "min": 0.5, "max": 4.0})
        self.assertEqual(accounting.ratio([measured(1)], [measured(0)]), {"of_medians": None, "min": None, "max": None})


class DurabilityTest(unittest.TestCase):
    def test_too_few_syncs_are_a_failure(self):
        durability.judge("x", 100, 1)
        durability.judge("x", 220, 2)
        for syncs, wanted in ((0, 1), (80, 1), (120, 2)):
            with self.assertRaises(Failure):
                durability.judge("x", syncs, wanted)

    def test_a_side_that_does_not_count_is_a_failure(self):
        with self.assertRaises(Failure):
            durability.judge("x", None, 1)


SYSBENCH = """
Latency histogram (values are in milliseconds)
       value  ------------- distribution ------------- count
       0.500 |****************************************   90
       4.000 |***                                        9
      80.000 |                                           1

SQL statistics:
    transactions:                        100    (50.13 per sec.)
    queries:                             600    (300.79 per sec.)
    ignored errors:                      3      (0.00 per sec.)
"""


class MetricsTest(unittest.TestCase):
    def test_values_of_one_name_are_added_up(self):
        text = "# HELP puts of keys\nputs{node=\"1\"} 3\nputs{node=\"2\"} 4.5\nputs_total 100\nsyncs 2e3\n"
        self.assertEqual((metrics.value(text, "puts"), metrics.value(text, "syncs")), (7.5, 2000.0))
        self.assertIsNone(metrics.value(text, "put"))


class FailoverTest(unittest.TestCase):
    def test_summary(self):
        rounds = [{"gap_seconds": gap, "client_gap_seconds": gap + 1, "unknown": 1} for gap in (1.0, 3.5, 2.0)]
        row = failover.summary("kill", rounds)
        self.assertEqual((row["gap median"], row["gap max"], row["client gap median"], row["over goal"], row["unknown"]), (2.0, 3.5, 3.0, 1, 3))
        self.assertEqual(failover.summary("isolate", rounds)["over goal"], 0)


class LoadsTest(unittest.TestCase):
    def test_sysbench(self):
        sample = loads.sysbench_sample(SYSBENCH, 0)
        self.assertEqual((sample.rate, sample.transactions, sample.work, sample.clean), (50.13, 100, 600, True))
        self.assertEqual(sample.latency_us, {"p50": 500.0, "p95": 4000.0, "p99": 80000.0})
        self.assertEqual(sample.more, {"repeated": 3})

    def test_sysbench_that_failed(self):
        self.assertFalse(loads.sysbench_sample(SYSBENCH, 1).clean)
        self.assertFalse(loads.sysbench_sample("FATAL: no server", 0).clean)

    def test_clients_are_spread_evenly(self):
        self.assertEqual(loads.spread([1, 2, 3], 8), [(1, 3), (2, 3), (3, 2)])
        self.assertEqual(loads.spread([1, 2, 3], 1), [(1, 1)])
        self.assertEqual(loads.spread([5], 32), [(5, 32)])


class SidesTest(unittest.TestCase):
    # One process with four clients a thread beside three with one or two: then the clients differ, and not only the servers.
    def test_both_sides_have_as_many_client_processes(self):
        run = argparse.Namespace(folder=pathlib.Path("/nowhere"), free_port_block=lambda: 7000)
        peer = sides.Postgres(run, 3)
        self.assertEqual(loads.spread(peer.ports, 8), [(7000, 3), (7000, 3), (7000, 2)])
        self.assertEqual(peer.all_ports, [7000, 7001, 7002])


class OptionsTest(unittest.TestCase):
    def test_every_name_has_options_for_both_commands(self):
        for path in (ROOT / "tools" / "bench" / "names").glob("[a-z]*.py"):
            module = importlib.import_module(f"names.{path.stem}")
            for profile in (False, True):
                self.assertEqual(command.parse(module, path.stem, ["--base-port", "7"], profile).base_port, 7)

    def test_lists(self):
        self.assertEqual(command.numbers("1,8"), [1, 8])
        self.assertEqual(command.names(("a", "b"))("b,a"), ["b", "a"])
        for parse, text in ((command.numbers, "0"), (command.names(("a",)), "a,c")):
            with self.assertRaises(argparse.ArgumentTypeError):
                parse(text)


def document(**more):
    side = accounting.summarise([measured(1234.5)])
    other = accounting.summarise([measured(1000.0, clean=False)])
    return {"sides": ["orrerydb", "etcd"], "unit": "puts/s", "work": "put", "pairs": 1,
            "orrerydb": {"version": "1", "durability": "d", "durability_check": durability.judge("x", 100, 1)},
            "etcd": {"version": "3", "durability": "e", "durability_check": durability.judge("x", 201, 2)},
            "results": [{"cell": {"clients": 64}, "orrerydb": side, "etcd": other,
                         "ratio": accounting.ratio([measured(1234.5)], [measured(1000.0)])}], **more}


class ReportTest(unittest.TestCase):
    def test_pairs(self):
        text = report.render(document(), "text")
        for word in ("clients", "ours puts/s", "etcd puts/s", "1,234", "1,000 !", "1.23–1.23", "etcd: 3; e; 100 transactions of one client made 201 syncs", "transactions failed"):
            self.assertIn(word, text)

    def test_columns_stand_below_their_titles(self):
        lines = report.table(("name", "n"), [("a", 1), ("long name", 1000)]).split("\n")
        self.assertEqual(lines, ["name          n", "a             1", "long name  1000"])

    def test_rows(self):
        text = report.render({"columns": ["what", "cpu %"], "results": [{"what": "x", "cpu %": 1.25}, {"what": "y"}], "notes": ["n"]}, "text")
        self.assertEqual(text.split("\n"), ["what  cpu %", "x      1.25", "y         -", "", "n"])

    def test_json_is_the_document(self):
        self.assertEqual(json.loads(report.render(document(), "json")), document())


PERF = """dbserver
\t    7f1 orrery::sql::Execute(int, std::vector<int, std::allocator<int> > const&)
\t    7f2 main

dbserver
\t    7f3 read
\t    7f1 orrery::sql::Execute(int)
\t    7f2 main

raft 1
\t    7f9 [unknown]
\tffffffffffffffff [unknown]

""".splitlines()


class FlameTest(unittest.TestCase):
    def test_stacks_are_folded_from_the_outside_in(self):
        self.assertEqual(flame.fold(PERF), {("main", "sql::Execute"): 1, ("main", "sql::Execute", "read"): 1, ("[unknown]",): 1})
        self.assertIn(("raft 1", "[unknown]"), flame.fold(PERF, by_thread=True))

    def test_the_picture_is_xml_with_every_function(self):
        import xml.etree.ElementTree as xml
        picture = flame.svg({("a<b>", "c & d"): 3, ("a<b>",): 1}, "title")
        titles = [e.text for e in xml.fromstring(picture).iter("{http://www.w3.org/2000/svg}title")]
        self.assertEqual(titles, ["all: 4 samples, 100.0 %", "a<b>: 4 samples, 100.0 %", "c & d: 3 samples, 75.0 %"])


if __name__ == "__main__":
    unittest.main()

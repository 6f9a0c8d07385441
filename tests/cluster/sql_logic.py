#!/usr/bin/python3
"""The SQL logic files against one node, three nodes or PostgreSQL 15, by the simple and the extended protocol."""

import re

from harness import run as run_module, servers
from harness.run import ROOT, check


def add_options(parser):
    parser.add_argument("--against", choices=("1", "3", "postgres"), default="1")
    parser.add_argument("--protocols", default="simple,extended", help="which protocols, by commas")
    parser.add_argument("--only", default="", help="regular expression on file names")
    parser.add_argument("--records-min", type=int, default=1500, help="fail if fewer records ran")


def test(run):
    options = run.options
    if options.against == "postgres":
        server = servers.PostgresServer(run, 1, settings=("timezone=UTC", "datestyle=ISO,MDY", "fsync=off"))
    else:
        server = servers.Cluster(run, int(options.against))
    server.up()
    files = sorted(f for f in (ROOT / "tests" / "sql" / "cases").rglob("*.sqltest") if re.search(options.only, f.name))
    check(bool(files), "no SQL logic files")
    urls = [word for node in server.nodes.values() for word in ("--url", node.url)]
    failures = []
    for protocol in options.protocols.split(","):
        passed = skipped = debts = 0
        for file in files:
            words = [run.bin / "sqllogic", *urls, "--protocol", protocol, "--show", 5,
                     "--known", ROOT / "tests" / "sql" / "known_failures.txt", file]
            try:
                output = run.command(words, 180)
            except run_module.Failure as failure:
                output = str(failure)
                failures.append(f"{protocol} protocol, {output.split(chr(10), 1)[-1].rstrip()}")
                print(failures[-1], flush=True)
                if not any(server.alive(n) for n in server.nodes):
                    raise run_module.Failure("every node has died") from failure
            counts = re.search(r"(\d+) passed, (\d+) failed, (\d+) skipped\s*$", output)
            known = re.search(r"^(\d+) records failed as known", output, re.MULTILINE)
            debts += int(known[1]) if known else 0
            if counts:
                passed += int(counts[1])
                skipped += int(counts[3])
        run.say(f"{protocol}: {passed} records passed, {debts} failed as known, {skipped} skipped, in {len(files)} files")
        if not options.only:
            check(failures or passed + debts >= options.records_min,
                  f"only {passed + debts} records ran, {options.records_min} are wanted")
    check(not failures, f"{len(failures)} files with failures, see above")
    server.down()


run_module.main(test, "sql_logic", deadline=420, add_options=add_options)

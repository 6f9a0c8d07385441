#!/usr/bin/python3
"""./dev bench NAME and ./dev profile NAME (docs/guide/benchmarks.md)."""

import importlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests" / "cluster")]

from driver import command  # noqa: E402

NAMES = {"oltp": "pgbench's scripts on one node beside PostgreSQL", "sysbench": "sysbench's OLTP scripts on one node beside PostgreSQL",
         "cluster": "both on three nodes beside PostgreSQL with two synchronous standbys",
         "copy": "COPY in and out beside PostgreSQL", "raft": "puts of single keys, three nodes beside three of etcd",
         "failover": "how long clients wait when a leading node dies, sleeps or is cut off",
         "idle": "CPU and memory of many ranges and of many connections without work"}

UNPROFILED = ("failover",)


def usage(program):
    lines = "\n".join(f"  {name:9} {what}" for name, what in NAMES.items())
    return f"usage: {program} NAME [options]          ({program} NAME --help lists them)\n\n{lines}"


def main():
    profile = sys.argv[1:2] == ["--profile"]
    words = sys.argv[1 + profile:]
    program = "./dev profile" if profile else "./dev bench"
    if not words or words[0] in ("-h", "--help"):
        print(usage(program))
        return 0
    if words[0] not in NAMES:
        print(f"{program}: there is no benchmark '{words[0]}'\n{usage(program)}", file=sys.stderr)
        return 2
    if profile and words[0] in UNPROFILED:
        print(f"{program}: '{words[0]}' measures waiting, of which a profile shows nothing", file=sys.stderr)
        return 2
    return command.main(importlib.import_module(f"names.{words[0]}"), words[0], words[1:], profile)


sys.exit(main())

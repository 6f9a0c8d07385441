"""One run of a benchmark: options, progress, the clean end, and the document it prints."""

import argparse
import os
import pathlib
import platform
import signal
import sys
import time

from harness import run as run_module, wire

from . import flame, report


class BenchRun(run_module.Run):
    """Progress goes to stderr: stdout is for the result. `profiler`: None, or what records our side instead of comparing."""

    def __init__(self, name, options, profiler=None):
        self.keeps_folder = options.keep
        super().__init__(f"bench-{name}", options)
        self.profiler = profiler

    def say(self, text):
        print(f"[{time.monotonic() - self.started:6.1f} s] {text}", file=sys.stderr, flush=True)


def numbers(text):
    values = [int(word) for word in text.split(",")]
    if min(values) < 1:
        raise argparse.ArgumentTypeError("numbers above 0, please")
    return values


def names(allowed):
    def parse(text):
        words = text.split(",")
        unknown = [w for w in words if w not in allowed]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(allowed)}")
        return words
    return parse


def add_pair_options(parser, seconds=5):
    """Of benchmarks that compare in pairs. `seconds`: None if a measurement takes as long as its work does."""
    if seconds:
        parser.add_argument("--seconds", type=int, default=seconds, help=f"of each measurement (default {seconds})")
    else:
        parser.set_defaults(seconds=0)
    parser.add_argument("--pairs", type=int, default=5, help="measurements of each side, A B A B … (default 5)")
    parser.add_argument("--noise", action="store_true", help="the peer on both sides: shows which ratios chance alone makes")


def parse(name_module, name, words, profile):
    program = f"./dev {'profile' if profile else 'bench'} {name}"
    parser = argparse.ArgumentParser(prog=program, description=name_module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    name_module.add_options(parser)
    parser.add_argument("--base-port", type=int, default=21000, help="the servers listen from here on, on loopback (default 21000)")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the servers' data and logs")
    if profile:
        parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("."), metavar="DIR", help="where the SVGs go (default .)")
        parser.add_argument("--frequency", type=int, default=499, help="samples a second and processor (default 499)")
        parser.add_argument("--by-thread", action="store_true", help="a tower for each name of a thread")
    else:
        parser.add_argument("--format", choices=("text", "json"), default="text")
    options = parser.parse_args(words)
    if profile:
        options.noise = False
    options.seed = 0
    return options


def main(name_module, name, words, profile):
    options = parse(name_module, name, words, profile)
    profiler = flame.Profiler(options, name) if profile else None
    if hasattr(name_module, "prepare_process"):
        name_module.prepare_process(options)
    run = BenchRun(name, options, profiler)
    document, interrupted = None, False

    def stop(number, _):
        for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(f"signal {number}")

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, stop)
    try:
        document = {"bench": name, "commit": run_module.git_commit(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                    "machine": {"cpus": os.cpu_count(), "kernel": platform.release(), "load": os.getloadavg()[0]}}
        document.update(name_module.bench(run))
    except (run_module.Failure, wire.ServerError, wire.ConnectionLost, wire.NotConnected, OSError) as failure:
        document = None
        print(f"bench: {failure}", file=sys.stderr)
    except KeyboardInterrupt:
        document, interrupted = None, True
        print("bench: interrupted", file=sys.stderr)
    finally:
        run.finish(document is not None or interrupted)
    if document is None:
        return 1
    print("\n".join(profiler.written) if profile else report.render(document, options.format))
    return 0

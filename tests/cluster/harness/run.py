"""One test run: options, seed, temporary folder, deadline, progress lines, and the clean end."""

import argparse
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

from . import processes

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Failure(Exception):
    """The test found what it looks for. The message says what and where."""


class Deadline(Exception):
    """The run took longer than it may."""


def check(condition, text):
    if not condition:
        raise Failure(text)


class Run:
    keeps_folder = True  # as evidence, when the run is killed

    def __init__(self, name, options):
        self.name, self.options = name, options
        self.started = time.monotonic()
        self.seed = options.seed
        self.random = random.Random(self.seed)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"orrery-{name}-"))
        self.folder.chmod(0o755)  # PostgreSQL runs as its own user
        self.bin = find_programs()
        self._blocks = set()
        self.on_failure = []  # functions that write more evidence into the folder
        self._guardian = processes.start_guardian(str(self.folder), self.keeps_folder)

    def say(self, text):
        print(f"[{time.monotonic() - self.started:6.1f} s] {text}", flush=True)

    def command(self, words, timeout=120, env=None, **more):
        """Runs to the end and returns its output; a failure is a failure of the test."""
        words = [str(w) for w in words]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
                                  env={**os.environ, **(env or {})}, check=False, **more)
        except subprocess.TimeoutExpired as error:
            raise Failure(f"no end after {timeout} s: {' '.join(words)}\n{error.stdout}\n{error.stderr}") from error
        if done.returncode != 0:
            raise Failure(f"exit {done.returncode}: {' '.join(words)}\n{done.stdout}{done.stderr}".rstrip())
        return done.stdout

    def free_port_block(self):
        """A base port whose SQL, node-to-node and HTTP ports (P, P+100, P+200, ten each) are all free; never the same twice."""
        first = self.options.base_port
        for base in range(first, first + 100, 10):
            if base not in self._blocks and all(port_free(base + step + k) for step in (0, 100, 200) for k in range(10)):
                self._blocks.add(base)
                return base
        raise Failure(f"no free ports from {first} on")

    def wait_until(self, condition, seconds, what, interval=0.05):
        """Polls; returns how long it took."""
        begin = time.monotonic()
        while not condition():
            check(time.monotonic() - begin < seconds, f"{what}: not within {seconds} s")
            time.sleep(interval)
        return time.monotonic() - begin

    def finish(self, passed):
        if not passed:
            for evidence in self.on_failure:
                try:
                    evidence()
                except Exception as error:  # evidence is welcome, never a second failure
                    print(f"no evidence: {error}", file=sys.stderr)
        processes.end_everything(self.folder)
        (self.folder / "clean").touch()
        os.close(self._guardian)
        if passed and not self.options.keep:
            processes.remove_folder(self.folder)
        else:
            self.say(f"logs, stores and history are in {self.folder}")


def port_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def find_programs():
    """The folder with dbserver and dbctl."""
    return pathlib.Path(os.environ.get("ORRERY_BIN") or ROOT / "build" / os.environ.get("ORRERY_PRESET", "release") / "bin")


def git_commit():
    git = shutil.which("git")
    done = git and subprocess.run([git, "-C", ROOT, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done else ""


def main(test, name, deadline, add_options=None):
    """Runs `test(run)`. Exit status 0: passed. `deadline` in seconds is for one plain run; ORRERY_TEST_DEADLINE overrides."""
    parser = argparse.ArgumentParser(description=(sys.modules["__main__"].__doc__ or "").strip(),
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    env = os.environ.get
    parser.add_argument("--seed", type=int, default=int(env("ORRERY_TEST_SEED") or random.SystemRandom().randrange(10**9)))
    parser.add_argument("--rounds", type=int, default=int(env("ORRERY_TEST_ROUNDS") or 0), help="0: the test's own number")
    parser.add_argument("--server", choices=("orrery", "postgres"), default=env("ORRERY_TEST_SERVER") or "orrery",
                        help="postgres: a PostgreSQL 15 in place of the cluster, to test the test")
    parser.add_argument("--base-port", type=int, default=int(env("ORRERY_TEST_BASE_PORT") or 21000))
    parser.add_argument("--deadline", type=float, default=float(env("ORRERY_TEST_DEADLINE") or deadline))
    parser.add_argument("--keep", action="store_true", help="keep the folder of a passed run, too")
    if add_options:
        add_options(parser)
    options = parser.parse_args()
    run = Run(name, options)
    print(f"{name}: seed {run.seed}, commit {git_commit()}, folder {run.folder}", flush=True)

    def stop(number, _):
        # One interruption is enough; cleaning up must not be interrupted by the next.
        for each in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise Deadline(f"no end after {options.deadline:.0f} s" if number == signal.SIGALRM else f"signal {number}")

    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    signal.setitimer(signal.ITIMER_REAL, options.deadline)
    passed = False
    try:
        test(run)
        passed = True
    except (Failure, Deadline) as error:
        print(f"FAILED: {error}", flush=True)
        if isinstance(error, Deadline):
            traceback.print_exc()
    except Exception:
        traceback.print_exc()
        print("FAILED: see above", flush=True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if not passed:
            print(f"run again: {sys.argv[0]} --seed {run.seed}" + (f" --rounds {options.rounds}" if options.rounds else ""))
        run.finish(passed)
    print(f"{name}: {'passed' if passed else 'FAILED'} after {time.monotonic() - run.started:.0f} s", flush=True)
    sys.stdout.flush()
    # Threads of writers may still wait for answers that never come.
    os._exit(0 if passed else 1)

"""Processes and the temporary folder of a run: what is ours, what it costs, and that nothing of it outlives the run (H10).

A process is ours when the run's own folder stands in its command line. The folder's name is unique, so no process of
anyone else can be meant.
"""

import os
import shutil
import signal
import subprocess
import time

_TICK = os.sysconf("SC_CLK_TCK")


def command_line(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def alive(pid):
    """False for a zombie, too: it is dead, and merely nobody has asked how it ended. Not as long as threads are left of it: they may hold
    its files, and the locks on these, while they end."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rsplit(b")", 1)[1].split()
        return fields[0] not in (b"Z", b"X") or int(fields[17]) > 1
    except OSError:
        return False


def state(pid):
    with open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rsplit(b")", 1)[1].split()[0].decode()


def of_folder(folder):
    mark = str(folder).rstrip("/") + "/"
    own = os.getpid()
    return [int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) != own and mark in command_line(int(p)) + "/"]


def tree(pid):
    """A process and all below it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    parent = int(file.read().rsplit(b")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu_seconds(pids):
    """User and system time, of ended children too."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                total += sum(int(x) for x in file.read().rsplit(b")", 1)[1].split()[11:15])
        except OSError:
            pass
    return total / _TICK


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def shared_once_bytes(pids):
    """Resident memory of processes together. A page that several share counts once (PSS); of one process alone all of its pages count, also
    those of libraries that others, which are none of ours, have mapped too."""
    if len(pids) == 1:
        return resident_bytes(pids[0])
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += sum(1024 * int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            pass  # it has ended: PostgreSQL's workers come and go
    return total


def wait_gone(pids, seconds):
    """Whether all ended in time."""
    until = time.monotonic() + seconds
    while any(alive(p) for p in pids):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def _signal(pid, number):
    try:
        os.kill(pid, number)
    except OSError:
        pass


def end_everything(folder):
    """Ends the processes of a folder, unmounts what is mounted below it. Never fails."""
    for pid in of_folder(folder):
        # A PostgreSQL that is killed leaves its shared memory behind; SIGQUIT is its own "at once".
        _signal(pid, signal.SIGCONT)
        _signal(pid, signal.SIGQUIT if "postgres" in command_line(pid) else signal.SIGKILL)
    if not wait_gone(of_folder(folder), 5):
        for pid in of_folder(folder):
            _signal(pid, signal.SIGKILL)
        wait_gone(of_folder(folder), 5)
    for point in mounted_below(folder):
        subprocess.run(["umount", "-l", point], check=False, stderr=subprocess.DEVNULL)


def mounted_below(folder):
    with open("/proc/mounts", encoding="utf-8") as file:
        points = [line.split()[1] for line in file]
    return sorted((p for p in points if p.startswith(str(folder) + "/")), reverse=True)


def start_guardian(folder, keeps_folder=True):
    """A child that cleans up after us even if we are killed. Returns the descriptor whose closing wakes it."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, False)
    if os.fork() == 0:
        try:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            os.close(writer)
            null = os.open("/dev/null", os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            os.read(reader, 1)
            if os.path.isdir(folder) and not os.path.exists(os.path.join(folder, "clean")):
                end_everything(folder)
                if not keeps_folder:
                    remove_folder(folder)
        finally:
            os._exit(0)
    os.close(reader)
    return writer


def remove_folder(folder):
    assert not mounted_below(folder)
    shutil.rmtree(folder, ignore_errors=True)

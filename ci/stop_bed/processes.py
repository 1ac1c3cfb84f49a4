"""Processes, known by pid and start time, so that another one that got the pid is never taken for it."""

import os
import pathlib
import signal
import time
from typing import NamedTuple

PROC = pathlib.Path("/proc")
DEAD = "ZX"


class Process(NamedTuple):
    pid: int
    start_time: int


class Look(NamedTuple):
    """What the kernel says of a process now."""

    process: Process
    parent: int
    state: str
    name: str
    threads: int


def parse(stat):
    """A line of /proc/PID/stat. The name in it may have spaces and brackets."""
    pid, rest = stat.split(" (", 1)
    name, rest = rest.rsplit(") ", 1)
    fields = rest.split(" ")
    return Look(Process(int(pid), int(fields[19])), int(fields[1]), fields[0], name, int(fields[17]))


def look(pid):
    try:
        return parse((PROC / str(pid) / "stat").read_text(errors="replace"))
    except (OSError, ValueError, IndexError):
        return None


def now(process):
    """That very process; None where it is gone."""
    found = look(process.pid)
    return found if found and found.process == process else None


def lives(process):
    """One whose first thread has ended reads as ended too, while others go on."""
    found = now(process)
    return found is not None and (found.state not in DEAD or found.threads > 1)


def is_zombie(process):
    return now(process) is not None and not lives(process)


def command(process):
    try:
        words = (PROC / str(process.pid) / "cmdline").read_bytes()
        return words.replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def everyone():
    """All pids."""
    return [int(name) for name in os.listdir(PROC) if name.isdigit()]


def linked_into(folder, link):
    """The processes whose link (`cwd`, `exe`) leads into that folder."""
    inside = f"{folder}/"
    found = set()
    for pid in everyone():
        try:
            target = os.readlink(PROC / str(pid) / link)
        except OSError:
            continue
        if target == str(folder) or target.startswith(inside):
            seen = look(pid)
            if seen and seen.state not in DEAD:
                found.add(seen.process)
    return found


def send(process, what=signal.SIGKILL):
    """Signals that very process and no other that got its pid."""
    try:
        handle = os.pidfd_open(process.pid)
    except OSError:
        return
    try:
        # The handle stands for whoever had the pid when it was opened: looked at after that, it is the right one.
        if lives(process):
            signal.pidfd_send_signal(handle, what)
    except OSError:
        pass
    finally:
        os.close(handle)


def end(living):
    """Kills what `living` gives until it gives nothing. What forks meanwhile is found by the next look."""
    for _ in range(400):
        left = living()
        if not left:
            return
        for process in left:
            send(process)
        time.sleep(0.005)

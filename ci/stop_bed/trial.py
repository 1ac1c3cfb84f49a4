"""One workload, started once: its folder, all that it consists of, and what of it lives."""

import os
import pathlib
import shutil
import time

from . import processes

ENTER = "enter.sh"
PATIENCE = 30.0  # seconds that a start may take on a busy machine


class Trial:
    """Every process of it is known by its mark, which it writes as its first act, or by the folder in which it works."""

    def __init__(self, folder, scripts, workload, number):
        self.name = f"{workload.letter.lower()}{number}"
        self.folder = pathlib.Path(folder) / self.name
        self.scripts = scripts
        self.workload = workload
        self.known = set()
        self.folder.mkdir()
        # Another user's process writes its mark too.
        self.folder.chmod(0o777)
        self.marks = self.folder / "marks"
        self.marks.touch()
        self.marks.chmod(0o666)

    def command(self, port=0):
        """What a manager is given to start."""
        return ["sh", f"{self.scripts}/{ENTER}", str(self.folder), self.workload.script, str(port)]

    def marked(self):
        return marked_in(self.marks)

    def age(self):
        """Seconds since its first process was started."""
        started = min(process.start_time for process in self.marked())
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")

    def find(self):
        """All that ever belonged to it and was seen."""
        self.known |= self.marked()
        self.known |= processes.linked_into(self.folder, "cwd")
        return self.known

    def living(self):
        return {process for process in self.find() if processes.lives(process)}

    def zombies(self):
        return {process for process in self.known if processes.is_zombie(process)}

    def has_started(self):
        return len(self.marks.read_bytes().splitlines()) >= self.workload.marks

    def wait_until_started(self, until):
        while not self.has_started():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    def end(self):
        """Leaves nothing behind, whatever its manager did."""
        processes.end(self.living)
        shutil.rmtree(self.folder, ignore_errors=True)


def marked_in(marks):
    found = set()
    try:
        lines = marks.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return found
    for line in lines:
        try:
            found.add(processes.parse(line).process)
        except (ValueError, IndexError):
            continue
    return found


def sweep(base):
    """Ends whatever was started below that folder and lives, and takes the folder away."""
    # Batches that are ended too take their folders away meanwhile.
    marked = set()
    for folder, _, files in os.walk(base):
        if "marks" in files:
            marked |= marked_in(pathlib.Path(folder) / "marks")

    def living():
        found = marked | processes.linked_into(base, "cwd") | processes.linked_into(base, "exe")
        return {process for process in found if processes.lives(process)}

    processes.end(living)
    shutil.rmtree(base, ignore_errors=True)


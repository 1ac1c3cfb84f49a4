"""What this machine is and can."""

import os
import platform
import re
import subprocess
import tempfile
import time
from pathlib import Path

from .subjects.portcullis import Gate
from .trial import Trial
from .workload import BY_LETTER


def facts():
    return {"cores": os.cpu_count(), "kernel": platform.release(), "user": "root" if os.geteuid() == 0 else "not root"}


def load():
    """How many want to run now. Times are worth little where that is far more than there are cores."""
    return os.getloadavg()[0]


def version(program):
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]


def offered(program):
    """The means that the program knows, best first."""
    said = subprocess.run([program, "up", "--help"], capture_output=True, text=True, check=True).stdout
    values = re.search(r"--containment.*?\[possible values: ([^\]]*)\]", said, re.DOTALL)
    return [value.strip() for value in values[1].split(",")] if values else []


def containments(program, through, scripts, folder):
    """Those that hold a process here, and why the others do not."""
    can, cannot = [], {}
    for number, means in enumerate(offered(program)):
        home = Path(tempfile.mkdtemp(dir=folder))
        home.chmod(0o711)
        trial = Trial(home, scripts, BY_LETTER["P"], number)
        gate = Gate(program, home / "gate", means, through, [trial])
        try:
            gate.up()
            through.start(gate, trial)
            until = time.monotonic() + 5
            while not gate.first_runs() and time.monotonic() < until:
                time.sleep(0.05)
            held = [run["containment"] for run in gate.first_runs().values()]
            if held == [means]:
                can.append(means)
            else:
                cannot[means] = reason(gate) if not held else f"it gets {held[0]} instead"
        except RuntimeError as error:
            cannot[means] = str(error)
        finally:
            gate.close()
            trial.end()
    return can, cannot


def reason(gate):
    _, said, _ = gate.run("status", "--json")
    return next((server["reason"] for status in said for server in status["upstreams"] if server["reason"]), "no reason")

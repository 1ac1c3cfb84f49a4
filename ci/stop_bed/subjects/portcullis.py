"""Portcullis: a gate in a folder of its own, asked through its command line as a person does."""

import json
import os
import signal
import subprocess
import time

from .. import processes
from ..outcome import Answer
from ..processes import Process

TOKEN = "token-of-the-test-bed"
POLICY = 'version: "1"\ndefault: allow\n'


class Gate:
    """`through` says how workloads are handed to it, and is told of each gate that is up."""

    def __init__(self, program, folder, containment, through, trials):
        self.program = str(program)
        self.folder = folder
        self.containment = containment
        self.through = through
        self.trials = trials
        self.child = None
        self.url = None
        folder.mkdir()
        folder.chmod(0o711)
        (folder / "policy.yaml").write_text(POLICY)
        for name, text in through.files(trials).items():
            (folder / name).write_text(text)

    def environment(self):
        return os.environ | {"BED_TOKEN": TOKEN, "NO_COLOR": "1"}

    def spawn(self):
        """Starts it, and does not wait for it."""
        self.stderr = self.folder / f"stderr-{time.monotonic_ns()}"
        with self.stderr.open("wb") as stderr:
            command = [self.program, "up"]
            if self.containment != "best":
                command += ["--containment", self.containment]
            self.child = subprocess.Popen(
                command, cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True,
            )

    def up(self):
        """Starts it. What it is configured to start at once is then starting."""
        self.spawn()
        self.url = self.wait_for_line("ready ")
        self.through.is_up(self)

    def wait_for_line(self, beginning):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for line in self.stderr.read_text(errors="replace").splitlines(keepends=True):
                if line.startswith(beginning) and line.endswith("\n"):
                    return line.removeprefix(beginning).strip()
            if self.child.poll() is not None:
                break
            time.sleep(0.01)
        raise RuntimeError(f"the gate did not start:\n{self.stderr.read_text(errors='replace')}")

    def run(self, *words):
        """One command; gives its exit code, the objects that it printed, and what it said on stderr."""
        done = subprocess.run(
            [self.program, *words], cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=120,
        )
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line], done.stderr

    def runs(self):
        """All that runs or ran, the latest of each trial last."""
        code, runs, said = self.run("runs", "list", "--all", "--json")
        if code:
            raise RuntimeError(f"runs list ended with {code}: {said}")
        return sorted(runs, key=lambda run: run["started"])

    def first_runs(self):
        """The run of each trial, by its name. A manager may start a workload again after its end; that is another run."""
        found = {}
        for run in self.runs():
            name = self.through.name_of(run)
            if name is not None:
                found.setdefault(name, run)
        return found

    def kill(self):
        self.child.kill()
        self.child.wait()

    def terminate(self, patience=60):
        """Asks it to end; gives its exit code."""
        self.child.terminate()
        try:
            return self.child.wait(patience)
        except subprocess.TimeoutExpired:
            return None

    def keepers(self):
        """The keepers of this gate that live."""
        return processes.linked_into(self.folder / "data", "exe")

    def close(self):
        """Whatever became of it: nothing of the gate itself stays."""
        if self.child and self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
        for keeper in self.keepers():
            processes.send(keeper)


def answer_of(result, took, code):
    """A verdict as the interface writes it."""
    named = lambda one: Process(one["pid"], one["start_time"])
    proof = result.get("proof") or {}
    return Answer(
        said_done=result.get("verdict") in ("stopped", "already_ended"),
        took=took,
        words=json.dumps(result),
        verdict=result.get("verdict"),
        before={named(one) for one in result.get("before") or []},
        survivors={named(one): one.get("why", "") for one in result.get("survivors") or []},
        scope=proof.get("scope") or "",
        killed_by=proof.get("killed_by") or "",
        passes=proof.get("passes"),
        code=code,
    )

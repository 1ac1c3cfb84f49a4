"""What the harness asks of somebody else's manager, whatever it calls it."""

import json
import os
import subprocess
import threading
import time
from pathlib import Path

from .. import processes
from ..outcome import Answer

DRIVERS = Path(__file__).resolve().parent.parent / "drivers"


class Manager:
    """One that runs in a folder of its own and is given some workloads. `grace_ms` is how long it may wait before it kills."""

    name = ""

    def __init__(self, parts, folder, trials, grace_ms):
        self.parts, self.folder, self.trials, self.grace_ms = parts, folder, trials, grace_ms
        self.child = None
        folder.mkdir()
        folder.chmod(0o711)

    @classmethod
    def version(cls, parts):
        """The one that is installed; None where it is not."""

    def up(self):
        """Starts the manager."""

    def start(self, trial):
        """Has it start a workload; gives None, or why it did not."""

    def stop(self, trial):
        """Has it stop a workload by its own documented way; waits until it says that it has."""

    def process(self):
        """The manager itself."""
        return processes.look(self.child.pid).process

    def close(self):
        """Ends it, whatever state it is in."""
        if self.child:
            self.child.kill()
            self.child.wait()


class Driven(Manager):
    """A manager of JavaScript, asked by a small program that takes and gives a line of JSON each."""

    driver = ""

    @classmethod
    def version(cls, parts):
        try:
            return json.loads((parts / "npm/node_modules" / cls.package / "package.json").read_text())["version"]
        except OSError:
            return None

    def up(self):
        environment = os.environ | {"PARTS": str(self.parts), "FOLDER": str(self.folder), "PM2_HOME": f"{self.folder}/pm2"}
        with (self.folder / "stderr").open("wb") as stderr:
            self.child = subprocess.Popen(
                ["node", str(DRIVERS / self.driver)], cwd=self.folder, env=environment, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True,
            )
        self.waiting, self.answers, self.lock = {}, {}, threading.Lock()
        threading.Thread(target=self.hear, daemon=True).start()

    def hear(self):
        for line in self.child.stdout:
            answer = json.loads(line)
            self.answers[answer["n"]] = answer
            self.waiting.pop(answer["n"]).set()
        for waiter in list(self.waiting.values()):
            waiter.set()

    def ask(self, what, **more):
        """Gives the answer, or one that says that the manager is gone."""
        arrived = threading.Event()
        with self.lock:
            n = self.counted = getattr(self, "counted", 0) + 1
            self.waiting[n] = arrived
            self.child.stdin.write(json.dumps({"n": n, "what": what, **more}) + "\n")
            self.child.stdin.flush()
        arrived.wait(90)
        return self.answers.pop(n, {"ok": False, "said": "no answer"})

    def stop(self, trial):
        began = time.monotonic()
        answer = self.ask("stop", name=trial.name)
        return Answer(said_done=answer["ok"], took=time.monotonic() - began, words=answer["said"])

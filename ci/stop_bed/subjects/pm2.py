"""pm2, by its own interface for programs, which is what its command line uses."""

import shutil

from .. import processes
from .manager import Driven


class Pm2(Driven):
    name = "pm2"
    package = "pm2"
    driver = "pm2.cjs"

    def start(self, trial):
        command = trial.command()
        answer = self.ask("start", name=trial.name, options={
            "name": trial.name, "script": command[1], "args": command[2:], "interpreter": shutil.which("sh"),
            "cwd": str(self.folder), "autorestart": False, "kill_timeout": self.grace_ms,
        })
        return None if answer["ok"] else answer["said"]

    def process(self):
        """The daemon, which is the one that knows the workloads."""
        try:
            seen = processes.look(int((self.folder / "pm2" / "pm2.pid").read_text()))
        except (OSError, ValueError):
            return None
        return seen.process if seen else None

    def close(self):
        super().close()
        # The daemon, also where it has taken its pid file away and goes on.
        for process in processes.linked_into(self.folder, "cwd"):
            processes.send(process)

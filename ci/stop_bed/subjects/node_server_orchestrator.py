"""Node Server Orchestrator, by its manager class: its MCP server loads no configuration."""

import json
import shutil
import socket

from .manager import Driven


class NodeServerOrchestrator(Driven):
    name = "Node Server Orchestrator"
    package = "node-server-orchestrator"
    driver = "node-server-orchestrator.cjs"

    def up(self):
        shell = shutil.which("sh")
        projects = {}
        for trial, port in zip(self.trials, free_ports(len(self.trials))):
            becoming = ["node", f"{trial.scripts}/becoming.cjs", shell]
            projects[trial.name] = {
                "name": trial.name, "type": "backend", "command": becoming + trial.command(port)[1:],
                "cwd": str(self.folder), "port": port, "healthPath": "/", "startupTimeout": 15000, "description": "",
            }
        (self.folder / "config.json").write_text(json.dumps({"projects": projects}))
        super().up()

    def start(self, trial):
        answer = self.ask("start", name=trial.name)
        return None if answer["ok"] else answer["said"]


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports

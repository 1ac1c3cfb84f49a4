"""supervisord, over its XML-RPC, which is what supervisorctl uses."""

import http.client
import math
import socket
import subprocess
import time
import xmlrpc.client

from ..outcome import Answer
from .manager import Manager


class Supervisord(Manager):
    name = "supervisord"
    package = "supervisor"
    flags = ""

    @classmethod
    def version(cls, parts):
        found = sorted(parts.glob("venv/lib/python*/site-packages/supervisor/version.txt"))
        return found[0].read_text().strip() if found else None

    def up(self):
        lines = [
            "[unix_http_server]", f"file={self.folder}/socket", "[supervisord]", "nodaemon=true",
            f"logfile={self.folder}/log", f"pidfile={self.folder}/pid", f"childlogdir={self.folder}",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
        ]
        for trial in self.trials:
            lines += [
                f"[program:{trial.name}]", f"command={' '.join(trial.command())}", "autostart=false",
                "autorestart=false", "startsecs=0", f"stopwaitsecs={math.ceil(self.grace_ms / 1000)}", self.flags,
            ]
        (self.folder / "supervisord.conf").write_text("\n".join(lines) + "\n")
        self.child = subprocess.Popen(
            [self.parts / "venv/bin/supervisord", "-c", self.folder / "supervisord.conf"], cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        until = time.monotonic() + 30
        while not (self.folder / "socket").exists():
            if time.monotonic() > until or self.child.poll() is not None:
                raise RuntimeError("supervisord did not start")
            time.sleep(0.02)

    def ask(self, method, *words):
        server = xmlrpc.client.ServerProxy("http://localhost", transport=OverSocket(f"{self.folder}/socket"))
        return getattr(server.supervisor, method)(*words)

    def start(self, trial):
        try:
            self.ask("startProcess", trial.name)
        except (OSError, xmlrpc.client.Error) as error:
            return str(error)
        return None

    def stop(self, trial):
        began = time.monotonic()
        try:
            done, words = bool(self.ask("stopProcess", trial.name)), "stopped"
        except xmlrpc.client.Fault as fault:
            # It had ended, which is an end too.
            done, words = "NOT_RUNNING" in fault.faultString, fault.faultString
        return Answer(said_done=done, took=time.monotonic() - began, words=words)


class WithGroupFlags(Supervisord):
    name = "supervisord, group flags"
    flags = "stopasgroup=true\nkillasgroup=true"


class OverSocket(xmlrpc.client.Transport):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def make_connection(self, host):
        return Connection(self.path)


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

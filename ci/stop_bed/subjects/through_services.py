"""Workloads as services of the built-in server `services`, started and stopped by its tools over MCP, as an agent does it."""

import itertools
import json
import threading
import time
import urllib.request

from .portcullis import TOKEN, answer_of

REVISION = "2026-07-28"
WALL = 6.0  # seconds that one with a time limit may run; all workloads are there by then, on a busy machine too


class ThroughServices:
    name = "services"
    loss = 3.0  # seconds until what lost its gate is killed: it may be adopted for two, and has one to end by itself

    limits = {}

    def __init__(self):
        self.ids = itertools.count(1)
        self.names = {}

    def files(self, trials):
        self.folders = {str(trial.folder): trial.name for trial in trials}
        services = {
            trial.name: {"command": trial.command(), "stop": {"grace": "1s"}, "on_loss": {"stop_after": "2s"}, "limits": self.limits}
            for trial in trials
        }
        config = {
            "listen": "127.0.0.1:0",
            "data": "data",
            "policies": {"all": "policy.yaml"},
            "upstreams": {"services": {"builtin": "services", "config": "services.yaml"}},
            "grants": {"bed": {"token": "${env:BED_TOKEN}", "upstreams": {"*": "all"}}},
        }
        # JSON is YAML.
        return {"portcullis.yaml": json.dumps(config), "services.yaml": json.dumps({"services": services})}

    def is_up(self, gate):
        """Nothing starts by itself."""

    def start(self, gate, trial):
        """Asks for it, and does not wait for the answer: a stop has to work meanwhile too."""
        threading.Thread(target=self.ask_to_start, args=(gate, trial), daemon=True).start()

    def ask_to_start(self, gate, trial):
        try:
            said = self.call(gate, "start_server", {"server_id": trial.name})
        except OSError:
            return
        if said.get("run"):
            self.names[said["run"]] = trial.name

    def name_of(self, run):
        words = run["what"].split(" ")
        return self.names.get(run["id"]) or next((self.folders[word] for word in words if word in self.folders), None)

    def stop(self, gate, trial, run, grace):
        began = time.monotonic()
        said = self.call(gate, "stop_server", {"server_id": trial.name, "grace": f"{grace}ms"})
        return answer_of(said, time.monotonic() - began, None)

    def stop_all(self, gate, grace):
        began = time.monotonic()
        said = self.call(gate, "stop_all_servers", {})
        took = time.monotonic() - began
        return {one["run"]: answer_of(one, took, None) for one in said["results"]}, said["counts"], None

    def call(self, gate, tool, arguments):
        """One call of the stateless era; gives the structured content."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": REVISION,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "stop-bed", "version": "1"},
        }
        body = {
            "jsonrpc": "2.0", "id": next(self.ids), "method": "tools/call",
            "params": {"name": tool, "arguments": arguments, "_meta": meta},
        }
        request = urllib.request.Request(f"{gate.url}/mcp/services", json.dumps(body).encode(), {
            "Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": REVISION,
            "Mcp-Method": "tools/call", "Mcp-Name": tool,
        })
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = last_message(response.read().decode(), response.headers.get_content_type())
        result = answer.get("result")
        if result is None or "structuredContent" not in result:
            raise RuntimeError(f"{tool} {arguments}: {answer}")
        return result["structuredContent"]


class TimeLimited(ThroughServices):
    limits = {"wall": f"{WALL:g}s"}


def last_message(text, content_type):
    if content_type != "text/event-stream":
        return json.loads(text)
    return json.loads([line for line in text.splitlines() if line.startswith("data:")][-1].removeprefix("data:"))

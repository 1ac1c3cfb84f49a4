"""Workloads as upstreams of a gate: each is a program on stdio, which the gate starts when it comes up.

None of them speaks MCP. The gate waits two minutes for such a one before it gives it up, far longer than a trial takes.
"""

import json
import time

from .portcullis import answer_of


class ThroughUpstream:
    name = "upstream"
    loss = 2.0  # seconds until what lost its gate is killed; none is adopted

    def files(self, trials):
        lines = ["listen: 127.0.0.1:0", "data: data", "policies: { all: policy.yaml }", "upstreams:"]
        for trial in trials:
            command, *args = trial.command()
            lines.append(f"  {trial.name}: {{ command: {command}, args: {json.dumps(args)} }}")
        lines.append('grants: { bed: { token: "${env:BED_TOKEN}", upstreams: { "*": all } } }')
        return {"portcullis.yaml": "\n".join(lines) + "\n"}

    def is_up(self, gate):
        """They start with the gate."""

    def start(self, gate, trial):
        """They start with the gate."""

    def name_of(self, run):
        return run["upstream"] if run["kind"] == "upstream" else None

    def stop(self, gate, trial, run, grace):
        """Stops one; `run` is what the gate lists."""
        began = time.monotonic()
        code, said, stderr = gate.run("runs", "stop", run["id"], "--grace", f"{grace}ms", "--json")
        took = time.monotonic() - began
        for result in said:
            if result.get("id") == run["id"]:
                return answer_of(result, took, code)
        raise RuntimeError(f"no verdict on {run['id']}: {said} {stderr}")

    def stop_all(self, gate, grace):
        """Stops all; gives the answers by run, the sum, and the exit code."""
        return stopped_all(gate, "runs", "stop", "--all", "--grace", f"{grace}ms", "--json")


def stopped_all(gate, *words):
    """A command that stops many and prints a verdict a line, and the sum last."""
    began = time.monotonic()
    code, said, stderr = gate.run(*words)
    took = time.monotonic() - began
    if not said:
        raise RuntimeError(f"no verdicts: {stderr}")
    *results, counts = said
    return {result["id"]: answer_of(result, took, None) for result in results}, counts, code

"""What is started and has to be stopped. The scripts are in the folder workloads."""

import os
import shutil
import subprocess
from typing import NamedTuple


class Workload(NamedTuple):
    letter: str
    script: str
    what: str
    marks: int  # lines that are written before it counts as started: each process writes one as its first act


ALL = [
    Workload("P", "plain", "one process", 1),
    Workload("T", "ignoring", "ignores TERM, INT and HUP, and so does its child", 2),
    Workload("G", "background", "a background grandchild of a shell that is gone", 2),
    Workload("D", "session", "a child in a session of its own", 2),
    Workload("E", "scrubbed", "a daemon in a session of its own, without its environment and its parent", 2),
    Workload("F", "daemon", "a daemon that forked twice, and its child", 3),
    Workload("N", "npm", "`npm run dev` around a node server with a forked worker", 3),
    Workload("H", "holding", "a child that holds stdout after the leader's end", 2),
    Workload("R", "respawning", "a loop in a session of its own that starts its child again", 3),
    Workload("B", "storm", "200 processes that ignore TERM, most of them forked while they are being stopped", 30),
    Workload("S", "sudo", "a child of root through sudo, and one of another user where we are root", 2 + (os.geteuid() == 0)),
    Workload("X", "strange", "a child whose name is no text and whose first thread has ended", 3),
    Workload("W", "wrapper", "a wrapper that forwards no signal", 2),
    Workload("C", "workers", "a node program with an attached and a detached worker", 4),
]
BY_LETTER = {workload.letter: workload for workload in ALL}
WORST = [BY_LETTER[letter] for letter in "TEFRBX"]


def can_start(workload):
    """None, or why this machine cannot start it."""
    needs = {"N": "npm", "C": "node", "S": "sudo"}.get(workload.letter)
    if needs and not shutil.which(needs):
        return f"there is no {needs} here"
    if needs == "sudo":
        asked = subprocess.run(["sudo", "-n", "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if asked.returncode:
            return "sudo asks for a password here"
    return None

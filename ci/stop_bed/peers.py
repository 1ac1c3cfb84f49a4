"""The same workloads under managers of others. One that cannot start a workload is said to."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

from . import judge, pace, processes
from .outcome import Answer, Outcome
from .stops import AFTER, AT_ONCE
from .subjects.node_server_orchestrator import NodeServerOrchestrator
from .subjects.pm2 import Pm2
from .subjects.supervisord import Supervisord, WithGroupFlags
from .trial import PATIENCE

ALL = [NodeServerOrchestrator, Pm2, Supervisord, WithGroupFlags]
ENDS = 30.0  # seconds that a manager may take to end
LOST = 5.0  # seconds that what a manager started may live after the manager's end


def started(manager, trials, situation, outcomes):
    """Starts all side by side; gives those that came up."""
    def start(trial):
        why = manager.start(trial)
        if trial.wait_until_started(time.monotonic() + (2.0 if why else PATIENCE)):
            return trial
        outcomes.append(Outcome(manager.name, situation, trial.workload.letter, not_started=why or "did not come up"))
        return None

    with ThreadPoolExecutor(len(trials)) as pool:
        return [trial for trial in pool.map(start, trials) if trial]


def plain(manager, trials, situation):
    outcomes = []
    there = started(manager, trials, situation, outcomes)

    def stop(trial):
        answer = manager.stop(trial)
        return trial, answer, trial.living()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(stop, there))
    pace.rest(AFTER)
    return outcomes + [
        judge.outcome(manager.name, situation, trial, answer, now, trial.living()) for trial, answer, now in found
    ]


def lost(how):
    def lose(manager, trials, situation):
        outcomes = []
        there = started(manager, trials, situation, outcomes)
        itself = manager.process()
        began = time.monotonic()
        processes.send(itself, how)
        # One that is asked to end may stop what it started one by one.
        while processes.lives(itself) and time.monotonic() - began < ENDS:
            time.sleep(0.05)
        until = time.monotonic() + LOST
        took = {}
        while time.monotonic() < until and len(took) < len(there):
            for trial in there:
                if trial.name not in took and not trial.living():
                    took[trial.name] = time.monotonic() - began
            time.sleep(0.05)
        for trial in there:
            now = trial.living()
            answer = Answer(said_done=not now, took=took.get(trial.name, time.monotonic() - began), words="the manager is gone")
            result = judge.outcome(manager.name, situation, trial, answer, now, set())
            result.verdict, result.wrong = None, []
            outcomes.append(result)
        return outcomes

    return lose


SITUATIONS = {"plain": plain, "gate_killed": lost(signal.SIGKILL), "gate_ended": lost(signal.SIGTERM)}


def installed(parts):
    """Those that are there, and what to say of the others."""
    there, missing = [], []
    for peer in ALL:
        if peer.version(parts):
            there.append(peer)
        else:
            missing.append(f"{peer.name}: it is not installed; ci/parts does that")
    return there, missing

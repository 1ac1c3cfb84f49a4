"""Stopping the workloads of one gate, and noting what was said and what was so."""

import time
from concurrent.futures import ThreadPoolExecutor

from . import judge, pace, processes
from .outcome import Outcome
from .trial import PATIENCE

AFTER = 2.5  # seconds until what came back is counted
SPARE = 1.0  # seconds that a stop may take beside its grace
SPARE_ALL = 2.0  # the same where many are stopped at once
ENDING = 2.0  # seconds between SIGTERM and SIGKILL where the gate ends, or a keeper is killed
MANY = 20  # workloads that are stopped by one command, at most
AT_ONCE = 4  # stops of single runs at once under one gate
STDIN = 2.0  # seconds that a program has after its stdin was closed


class Stops:
    """What was found while the workloads of one gate were stopped."""

    def __init__(self, gate, trials, situation, grace):
        self.gate, self.trials, self.situation, self.grace = gate, trials, situation, grace
        self.subject = gate.containment
        self.found = []  # (trial, answer, living before, living when it had answered)
        self.outcomes = []
        self.last = time.monotonic()

    @property
    def seconds(self):
        return self.grace / 1000

    @property
    def loss(self):
        return self.gate.through.loss

    def started(self):
        """Waits until all are there; gives those that are, each with its run."""
        until = time.monotonic() + PATIENCE
        there = [trial for trial in self.trials if trial.wait_until_started(until) or self.missing(trial)]
        runs = self.gate.first_runs()
        return [(trial, runs[trial.name]) for trial in there if trial.name in runs or self.missing(trial)]

    def missing(self, trial, why="did not come up"):
        said = self.gate.stderr.read_text(errors="replace")[-300:]
        self.outcomes.append(Outcome(self.subject, self.situation, trial.workload.letter,
                                     not_started=f"{why}, {len(trial.marked())} marks {said}"))

    def note(self, trial, answer, before):
        """Counts at once what lives now that it is said to be over."""
        now = trial.living()
        self.last = time.monotonic()
        self.found.append((trial, answer, before, now))

    def conclude(self, seconds, may_have_ended=False, is_ours=True, faults=None):
        """Counts once more after a while, and judges. `faults` has what was wrong besides, by the names of trials."""
        pace.rest(self.last + AFTER - time.monotonic())
        for trial, answer, before, now in self.found:
            result = judge.outcome(self.subject, self.situation, trial, answer, now, trial.living())
            if is_ours:
                judge.ours(result, trial, answer, now, self.gate.containment, before, may_have_ended)
                self.names_no_other(result, trial, answer)
            fault = (faults or {}).get(trial.name)
            if fault:
                result.wrong.append(fault)
            self.outcomes.append(judge.deadline(result, answer, seconds))
        return self.outcomes

    def names_no_other(self, result, trial, answer):
        others = [other for other in self.trials if other is not trial]
        if judge.UNMARKED in answer.scope:
            # It says itself that such a one may be another's.
            others = [other for other in others if other.workload.letter != "E"]
        strangers = {one for other in others for one in other.known}
        for what, named in (("before", answer.before), ("survivors", set(answer.survivors))):
            if named & strangers:
                result.wrong.append(f"`{what}` names {len(named & strangers)} processes of other runs")

    def stop_one(self, trial, run):
        before = living_marked(trial)
        answer = self.gate.through.stop(self.gate, trial, run, self.grace)
        self.note(trial, answer, before)


def living_marked(trial):
    """Those that stay. What comes and goes while a workload starts need not be named by anybody."""
    return {process for process in trial.marked() if processes.lives(process)}


def side_by_side(what, cases, at_once=AT_ONCE):
    """Runs it for all cases, so many at once, and raises what one of them raised."""
    with ThreadPoolExecutor(at_once) as pool:
        for done in [pool.submit(what, *case) for case in cases]:
            done.result()

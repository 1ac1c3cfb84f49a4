"""The situations in which our own runs are stopped. Each takes a gate that is up, and gives an outcome for each trial."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

from . import losses, processes
from .outcome import Answer
from .stops import AT_ONCE, SPARE, SPARE_ALL, living_marked, side_by_side
from .subjects.through_services import TimeLimited
from .subjects.through_upstream import stopped_all
from .trial import PATIENCE


def plain(stops):
    """stop"""
    side_by_side(stops.stop_one, stops.started())
    return stops.conclude(stops.seconds + SPARE)


def starting(stops):
    """stop within 50 ms after the start"""
    until = time.monotonic() + PATIENCE
    waiting = {trial.name: trial for trial in stops.trials}

    def soon(trial, run):
        time.sleep(random.uniform(0, 0.05))
        stops.stop_one(trial, run)

    with ThreadPoolExecutor(max(1, len(stops.trials))) as pool:
        begun = []
        while waiting and time.monotonic() < until:
            for name, run in stops.gate.first_runs().items():
                if name in waiting:
                    begun.append(pool.submit(soon, waiting.pop(name), run))
        for done in begun:
            done.result()
    for trial in waiting.values():
        stops.missing(trial, "is not listed")
    return stops.conclude(stops.seconds + SPARE)


def all_at_once(stops):
    """one stop for all that runs"""
    return end_all(stops, lambda: stops.gate.through.stop_all(stops.gate, stops.grace))


def dropped(stops):
    """`portcullis drop`"""
    words = ["drop", "--reason", "the test bed", "--grace", f"{stops.grace}ms", "--json"]
    outcomes = end_all(stops, lambda: stopped_all(stops.gate, *words))
    if stops.gate.run("raise", "--json")[0]:
        outcomes[0].wrong.append("what was dropped cannot be raised")
    return outcomes


def end_all(stops, act):
    cases = stops.started()
    before = {trial.name: living_marked(trial) for trial, _ in cases}
    answers, counts, code = act()
    for trial, run in cases:
        answer = answers.get(run["id"])
        if answer is None:
            answer = Answer(said_done=not code, took=0.0, words="not in the answer", verdict=None)
        stops.note(trial, answer, before[trial.name])
    outcomes = stops.conclude(stops.seconds + SPARE_ALL)
    proved = all(answer.said_done for answer in answers.values())
    if code is not None and (counts["runs"] != len(answers) or (code == 0) != proved):
        outcomes[0].wrong.append(f"the sum {counts} with exit code {code} does not fit the verdicts")
    return outcomes


def twice(stops):
    """two stops at once, and one more after them"""
    def stop(trial, run):
        before = living_marked(trial)
        answers = []
        ask = lambda: answers.append(stops.gate.through.stop(stops.gate, trial, run, stops.grace))
        side_by_side(ask, [(), ()])
        stops.note(trial, max(answers, key=lambda answer: answer.took), before)
        again = stops.gate.through.stop(stops.gate, trial, run, stops.grace)
        if len({answer.verdict for answer in answers}) > 1 and "already_ended" not in {a.verdict for a in answers}:
            return trial, f"two stops, two verdicts: {[answer.verdict for answer in answers]}"
        # What is left does not end by being asked once more.
        if again.verdict != ("partial" if "partial" in {answer.verdict for answer in answers} else "already_ended"):
            return trial, f"stopped again: {again.verdict}"
        return trial, None

    cases = stops.started()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        faults = {trial.name: fault for trial, fault in pool.map(lambda case: stop(*case), cases)}
    return stops.conclude(stops.seconds + SPARE, faults=faults)


def crashed(stops):
    """stop just after the leader was killed"""
    def crash(trial, run):
        leader = processes.look(run["pid"])
        if leader:
            processes.send(leader.process)
        stops.stop_one(trial, run)

    side_by_side(crash, stops.started())
    return stops.conclude(stops.seconds + SPARE, may_have_ended=True)


ALL = {
    "plain": plain,
    "starting": starting,
    "all_at_once": all_at_once,
    "dropped": dropped,
    "twice": twice,
    "crashed": crashed,
    "keeper_killed": losses.keeper_killed,
    "keeper_killed_stopping": losses.keeper_killed_stopping,
    "timed_out": losses.timed_out,
    "gate_killed": losses.gate_killed,
    "gate_killed_starting": losses.gate_killed_starting,
    "gate_ended": losses.gate_ended,
    "gate_restarted": losses.gate_restarted,
}
# Here the gate is not up when the situation begins.
BEFORE_THE_START = {"gate_killed_starting"}
# Here workloads are handed over in this way, whatever was asked for.
THROUGH = {"timed_out": TimeLimited}

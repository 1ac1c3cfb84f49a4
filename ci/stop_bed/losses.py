"""The situations in which nobody asks: a gate or a keeper is lost, a limit is reached."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

from . import processes
from .outcome import Answer
from .stops import ENDING, MANY, SPARE, SPARE_ALL, STDIN, living_marked, side_by_side
from .subjects.portcullis import answer_of
from .subjects.through_services import WALL
from .trial import PATIENCE


def keeper_killed(stops):
    """the keeper is killed: one alone, then the others at once"""
    def lose(trial, run):
        leader = processes.look(run["pid"])
        keeper = leader and processes.look(leader.parent)
        if not keeper or keeper.process not in stops.gate.keepers():
            raise RuntimeError(f"no keeper of {run}")
        before = living_marked(trial)
        began = time.monotonic()
        processes.send(keeper.process)
        while time.monotonic() - began < PATIENCE:
            if stops.gate.first_runs()[trial.name]["state"] == "ended":
                break
            time.sleep(0.05)
        stops.note(trial, recorded(stops.gate, run, time.monotonic() - began), before)

    cases = stops.started()
    if not cases:
        return stops.outcomes
    # What loses its parent comes to the gate. What it does to one of them is nobody else's end.
    bystanders = {trial.name: living_marked(trial) for trial, _ in cases[1:]}
    lose(*cases[0])
    harmed = [name for trial, _ in cases[1:] for name in [trial.name] if bystanders[name] - trial.living()]
    side_by_side(lose, cases[1:], MANY)
    outcomes = stops.conclude(ENDING + SPARE_ALL, may_have_ended=True)
    if harmed:
        outcomes[0].wrong.append(f"the end of one run ended processes of others: {', '.join(harmed)}")
    return outcomes


def keeper_killed_stopping(stops):
    """the keeper is killed while it stops"""
    def lose(trial, run):
        leader = processes.look(run["pid"])
        keeper = processes.look(leader.parent).process

        def soon():
            time.sleep(random.uniform(0.02, stops.seconds + 0.2))
            processes.send(keeper)

        with ThreadPoolExecutor(1) as pool:
            pool.submit(soon)
            stops.stop_one(trial, run)

    side_by_side(lose, stops.started())
    return stops.conclude(stops.seconds + 0.2 + ENDING + SPARE, may_have_ended=True)


def gate_killed(stops):
    """the manager is killed"""
    cases = stops.started()
    stops.gate.kill()
    lost(stops, cases, stops.loss + SPARE)
    outcomes = stops.conclude(stops.loss + SPARE, is_ours=False)
    no_keeper_left(stops, outcomes)
    return outcomes


def gate_killed_starting(stops):
    """the manager is killed while it starts them"""
    stops.gate.spawn()
    time.sleep(random.uniform(0.02, 0.4))
    stops.gate.kill()
    # Whatever has come by now belongs to nobody any more. What has not come cannot be waited for.
    lost(stops, [(trial, None) for trial in stops.trials], stops.loss + SPARE, at_least=0.5)
    outcomes = stops.conclude(stops.loss + SPARE, is_ours=False)
    no_keeper_left(stops, outcomes)
    return outcomes


def gate_ended(stops):
    """the manager is asked to end"""
    cases = stops.started()
    began = time.monotonic()
    code = stops.gate.terminate()
    took = time.monotonic() - began
    for trial, _ in cases:
        stops.note(trial, Answer(said_done=True, took=took, words=f"ended with {code}", code=code), set())
    outcomes = stops.conclude(STDIN + ENDING + SPARE_ALL, is_ours=False)
    if code != 0 and outcomes:
        outcomes[0].wrong.append(f"the gate ended with {code}")
    no_keeper_left(stops, outcomes)
    return outcomes


def gate_restarted(stops):
    """the manager is killed, started again, and told to stop all"""
    cases = stops.started()
    began = time.monotonic()
    stops.gate.kill()
    stops.gate.up()
    code, said, _ = stops.gate.run("runs", "stop", "--all", "--grace", f"{stops.grace}ms", "--json")
    early = {trial.name: len(trial.living()) for trial, _ in cases}
    lost(stops, cases, stops.loss + SPARE, began)
    faults = {
        name: f"`runs stop --all` ended with 0, and {count} lived on: {said}" for name, count in early.items() if code == 0 and count
    }
    return stops.conclude(stops.loss + SPARE, is_ours=False, faults=faults)


def timed_out(stops):
    """a time limit of its own is reached (as services)"""
    cases = stops.started()
    waiting = {run["id"]: (trial, run) for trial, run in cases}
    before = {trial.name: living_marked(trial) for trial, _ in cases}
    causes = {}
    until = time.monotonic() + WALL + PATIENCE
    while waiting and time.monotonic() < until:
        for listed in stops.gate.runs():
            if listed["state"] == "ended" and listed["id"] in waiting:
                trial, run = waiting.pop(listed["id"])
                causes[trial.name] = listed["cause"]
                stops.note(trial, recorded(stops.gate, run, trial.age() - WALL), before[trial.name])
        time.sleep(0.05)
    for trial, _ in waiting.values():
        stops.note(trial, Answer(said_done=None, took=PATIENCE, words="runs on"), before[trial.name])
    causes = {trial.name: causes.get(trial.name) for trial, _ in cases}
    faults = {
        name: f"the cause of its end is `{cause}`" for name, cause in causes.items() if "which is its limit" not in (cause or "")
    }
    return stops.conclude(stops.seconds + SPARE, faults=faults)


def lost(stops, cases, seconds, began=None, at_least=0.0):
    """Nobody answers here: how long it takes until nothing lives is seen, and what lives when it may not any more."""
    began = began or time.monotonic()
    waiting = dict.fromkeys((trial for trial, _ in cases), False)
    while waiting:
        took = time.monotonic() - began
        over = took >= seconds
        for trial, was_empty in list(waiting.items()):
            empty = took > at_least and not trial.living()
            # One look at processes that fork may miss the child of one that just ended.
            if over or (empty and was_empty):
                del waiting[trial]
                stops.note(trial, Answer(said_done=True, took=min(took, seconds), words="the gate is gone"), set())
            else:
                waiting[trial] = empty
        time.sleep(0.02)


def no_keeper_left(stops, outcomes):
    left = stops.gate.keepers()
    if left and outcomes:
        outcomes[0].wrong.append(f"{len(left)} keepers are left")


def recorded(gate, run, took):
    """The verdict as the record has it."""
    _, rows, _ = gate.run("ledger", "query", "--run", run["id"], "--json")
    verdicts = [row["verdict"] for row in rows if row.get("verdict")]
    return answer_of(verdicts[-1] if verdicts else {}, took, None)

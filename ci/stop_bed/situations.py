"""The situations in which our own runs are stopped. Each takes a gate that is up, and gives an outcome for each trial."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

from . import judge, processes
from .outcome import Answer, Outcome
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

    def conclude(self, seconds, may_have_ended=False, is_ours=True):
        """Counts once more after a while, and judges."""
        time.sleep(max(0.0, self.last + AFTER - time.monotonic()))
        for trial, answer, before, now in self.found:
            result = judge.outcome(self.subject, self.situation, trial, answer, now, trial.living())
            if is_ours:
                judge.ours(result, trial, answer, now, self.gate.containment, before, may_have_ended)
            self.outcomes.append(judge.deadline(result, answer, seconds))
        return self.outcomes

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
    from .subjects.through_upstream import stopped_all

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
    names = [trial.name for trial, *_ in stops.found]
    before = len(stops.outcomes)
    outcomes = stops.conclude(stops.seconds + SPARE)
    for name, outcome in zip(names, outcomes[before:]):
        if faults[name]:
            outcome.wrong.append(faults[name])
    return outcomes


def crashed(stops):
    """stop just after the leader was killed"""
    def crash(trial, run):
        leader = processes.look(run["pid"])
        if leader:
            processes.send(leader.process)
        stops.stop_one(trial, run)

    side_by_side(crash, stops.started())
    return stops.conclude(stops.seconds + SPARE, may_have_ended=True)


def gate_killed(stops):
    """the manager is killed"""
    cases = stops.started()
    stops.gate.kill()
    lost(stops, cases, stops.loss + SPARE)
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
    before = len(stops.outcomes)
    names = [trial.name for trial, *_ in stops.found]
    outcomes = stops.conclude(stops.loss + SPARE, is_ours=False)
    for name, outcome in zip(names, outcomes[before:]):
        if code == 0 and early[name]:
            outcome.wrong.append(f"`runs stop --all` ended with 0, and {early[name]} lived on: {said}")
    return outcomes


def lost(stops, cases, seconds, began=None, at_least=0.0):
    """Nobody answers here: how long it takes until nothing lives is seen, and what lives when it may not any more."""
    began = began or time.monotonic()
    waiting = [trial for trial, _ in cases]
    while waiting:
        took = time.monotonic() - began
        over = took >= seconds
        for trial in list(waiting):
            if over or (took > at_least and not trial.living()):
                waiting.remove(trial)
                stops.note(trial, Answer(said_done=True, took=min(took, seconds), words="the gate is gone"), set())
        time.sleep(0.02)


def no_keeper_left(stops, outcomes):
    left = stops.gate.keepers()
    if left and outcomes:
        outcomes[0].wrong.append(f"{len(left)} keepers are left")


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


def recorded(gate, run, took):
    """The verdict as the record has it."""
    from .subjects.portcullis import answer_of

    _, rows, _ = gate.run("ledger", "query", "--run", run["id"], "--json")
    verdicts = [row["verdict"] for row in rows if row.get("verdict")]
    return answer_of(verdicts[-1] if verdicts else {}, took, None)


ALL = {
    "plain": plain, "starting": starting, "all_at_once": all_at_once, "dropped": dropped, "twice": twice,
    "crashed": crashed, "keeper_killed": keeper_killed, "keeper_killed_stopping": keeper_killed_stopping, "gate_killed": gate_killed,
    "gate_killed_starting": gate_killed_starting, "gate_ended": gate_ended,
    "gate_restarted": gate_restarted,
}
# Here the gate is not up when the situation begins.
BEFORE_THE_START = {"gate_killed_starting"}

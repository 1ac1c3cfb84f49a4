"""Plans the batches and runs them: each has one manager and some workloads, in a folder and a process of its own."""

import multiprocessing
import random
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from . import pace, peers, situations, workload
from .outcome import Outcome
from .stops import MANY, Stops
from .subjects import ways
from .subjects.portcullis import Gate
from .trial import Trial

ENDING = threading.Event()
# More managers than those that act wait for what comes after their stops.
RESTING = 3


@dataclass
class Batch:
    """One manager from its start to its end."""

    subject: str  # a containment, or the name of somebody else's manager
    situation: str
    letters: str
    is_ours: bool = True


@dataclass
class Settings:
    program: str
    through: str
    parts: Path
    base: Path
    grace_ms: int

    @property
    def scripts(self):
        return self.base / "scripts"


def mixed(letters, count):
    """So many workloads, each as often as the others."""
    return "".join(letters[number % len(letters)] for number in range(count))


def plan_ours(containments, letters, rounds, chosen):
    """`rounds` of each cell: a workload in a containment stopped plainly, and a situation in a containment."""
    batches = []
    for containment in containments:
        if "plain" in chosen:
            batches += [Batch(containment, "plain", letters) for _ in range(rounds)]
        for situation in chosen:
            if situation == "plain":
                continue
            size = MANY if situation in ("all_at_once", "dropped") else len(letters)
            every = mixed(letters, rounds)
            batches += [
                Batch(containment, situation, every[begin : begin + size]) for begin in range(0, rounds, size)
            ]
    random.shuffle(batches)
    return batches


def plan_peers(chosen, letters, rounds):
    return [
        Batch(peer.name, situation, letters, is_ours=False)
        for peer in chosen for situation in peers.SITUATIONS for _ in range(rounds)
    ]


def run(settings, batches, workers, say):
    """All of them, some at a time; gives the outcomes."""
    outcomes = []
    slots = multiprocessing.Semaphore(workers)
    with ProcessPoolExecutor(workers * RESTING, initializer=begin, initargs=(slots,)) as pool:
        try:
            pending = [pool.submit(run_batch, settings, batch) for batch in batches]
            for number, done in enumerate(as_completed(pending), 1):
                found = done.result()
                outcomes += found
                say(number, len(batches), found)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise
    return outcomes


def begin(slots):
    pace.SLOTS = slots
    end_tidily()


def end_tidily():
    """A batch that is ended from outside ends what it started, and none begins after it."""
    def end(*_):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ENDING.set()
        sys.exit(1)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_batch(settings, batch):
    with pace.acting():
        return [] if ENDING.is_set() else run_alone(settings, batch)


def run_alone(settings, batch):
    folder = Path(tempfile.mkdtemp(prefix=f"{batch.situation}-", dir=settings.base))
    folder.chmod(0o711)
    trials = [
        Trial(folder, settings.scripts, workload.BY_LETTER[letter], number)
        for number, letter in enumerate(batch.letters)
    ]
    manager = None
    try:
        if batch.is_ours:
            way = situations.THROUGH.get(batch.situation, ways.ALL[settings.through])
            manager = Gate(settings.program, folder / "gate", batch.subject, way(), trials)
            if batch.situation not in situations.BEFORE_THE_START:
                manager.up()
                for trial in trials:
                    manager.through.start(manager, trial)
            stops = Stops(manager, trials, batch.situation, settings.grace_ms)
            outcomes = situations.ALL[batch.situation](stops)
            for outcome in outcomes:
                outcome.is_ours = True
            return outcomes
        peer = next(peer for peer in peers.ALL if peer.name == batch.subject)
        manager = peer(settings.parts, folder / "manager", trials, settings.grace_ms)
        manager.up()
        return peers.SITUATIONS[batch.situation](manager, trials, batch.situation)
    except Exception:
        # The bed itself failed, or a manager in a way that it does not know: never a clean round.
        why = traceback.format_exc(limit=-3)
        return [Outcome(batch.subject, batch.situation, letter, batch.is_ours, not_started=why) for letter in batch.letters]
    finally:
        # Nothing interrupts this.
        how = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if manager:
            manager.close()
        for trial in trials:
            trial.end()
        shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGTERM, how)

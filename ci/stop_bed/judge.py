"""Whether what a manager said is what is so."""

from . import processes
from .outcome import Outcome

PROVED = {"stopped", "already_ended"}
NOT_PERMITTED = "not permitted"
UNSEEN = "is not seen"  # in the scope of a proof that cannot see all
UNMARKED = "without a mark"  # in the scope of one that cannot tell whose a process is


def outcome(subject, situation, trial, answer, now, later):
    """Of any manager: `now` lived when it had answered, `later` lived a while after that."""
    left = now | later
    result = Outcome(subject, situation, trial.workload.letter, survivors=len(left), took=answer.took)
    result.zombies = len(trial.zombies())
    result.left = sorted(processes.command(process) or f"pid {process.pid}, gone since" for process in left)
    result.verdict = answer.verdict or {True: "done", False: "failed", None: "unclear"}[answer.said_done]
    result.answer = answer.words
    if answer.said_done and left:
        result.wrong.append(f"said {result.verdict}, and {len(left)} live")
    if answer.said_done is False and not left:
        result.wrong.append(f"said {result.verdict}, and nothing lives")
    return result


def ours(result, trial, answer, now, containment, before, may_have_ended=False):
    """What our own answers have to hold beside that. `before` lived when the stop was asked for."""
    scope_is_open = UNSEEN in answer.scope
    if answer.verdict == "already_ended" and (answer.before or answer.killed_by.startswith("SIG")):
        result.wrong.append(f"already_ended, and it was ended by {answer.killed_by}")
    if answer.verdict in PROVED:
        if answer.code not in (None, 0):
            result.wrong.append(f"{answer.verdict}, with exit code {answer.code}")
        # Where the proof itself names what it cannot see, what lives there is counted apart.
        if scope_is_open and trial.workload.letter == "E" and result.survivors == 1:
            result.outside, result.survivors = result.survivors, 0
            result.wrong = [wrong for wrong in result.wrong if "live" not in wrong]
        if answer.passes != 2 and not (may_have_ended and answer.verdict == "already_ended"):
            result.wrong.append(f"{answer.verdict} after {answer.passes} looks instead of 2")
        unnamed = before - answer.before
        if scope_is_open and trial.workload.letter == "E" and len(unnamed) == 1:
            unnamed = set()
        if unnamed and not may_have_ended:
            result.wrong.append(f"`before` lacks {len(unnamed)} of {len(before)} that lived")
    elif answer.verdict == "partial":
        named = set(answer.survivors)
        if named - now:
            result.wrong.append(f"{len(named - now)} of the survivors that are named do not live")
        if now - named:
            result.wrong.append(f"{len(now - named)} that live are not named")
        if answer.code == 0:
            result.wrong.append("partial, with exit code 0")
        # What another user's rights keep from us is no fault where each such process is named with that reason.
        kept_from_us = named == now and all(NOT_PERMITTED in why for why in answer.survivors.values())
        if trial.workload.letter == "S" and kept_from_us and result.survivors == len(named):
            result.outside, result.survivors = result.survivors, 0
    else:
        result.wrong.append(f"no verdict on a process of this machine: {answer.verdict}")
    if answer.verdict in PROVED | {"partial"} and answer.scope is not None:
        if (containment == "group") != scope_is_open:
            result.wrong.append(f"held by {containment}, and the scope is `{answer.scope}`")
    return result


def deadline(result, answer, seconds):
    if answer.took > seconds:
        result.late = f"answered after {answer.took:.2f} s, and not within {seconds:.2f} s"
    return result

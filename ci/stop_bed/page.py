"""The page that tells what was found, for people."""

import statistics

from . import peers, situations, workload
from .stops import AFTER, SPARE, SPARE_ALL

HEAD = """# The test bed for stopping

Workloads that are hard to end, under Portcullis and under other process managers. Each is started, stopped, and then looked for: what of it
lives when the manager says that it is done, and what lives {after} s later. Each process of a workload writes its pid and its start time into a
file as its first act; that list, which no manager reads, says who has to be dead.

```console
$ ci/parts && cargo build --release
$ ci/stop-bed --program target/release/portcullis --rounds {rounds} --workers {workers} --markdown docs/stop-bed.md
```

{facts}

A cell has: processes that lived on / workloads that were stopped; false verdicts; the median and the longest time until the answer. A verdict is false
where it says that all is over and something lives, where it says that something lives and nothing does, or where it names others than those that live.{ours}
"""
OURS = """ Of ours also: where `before` lacks one that lived, the proof's scope is not that of the containment, or the exit code says something else.
An answer that took longer than the grace and {spare:g} s ({spare_all:g} s where many are stopped at once) counts as too late."""


def page(facts, can, others, letters, chosen, outcomes, skipped):
    parts = [
        HEAD.format(
            after=AFTER, rounds=facts["rounds"], workers=facts["workers"], facts=told(facts, can, others),
            ours=OURS.format(spare=SPARE, spare_all=SPARE_ALL),
        ),
        "## Stopped by one command",
        workloads(can, others, letters, outcomes),
        "## Other situations",
        in_situations(can, others, chosen, outcomes),
    ]
    found = failures(outcomes)
    if found:
        parts += ["## What is not as it has to be", found]
    parts += ["## What was not tried", "\n".join(f"- {one}" for one in skipped) or "Nothing was left out."]
    unstarted = not_started(outcomes)
    if unstarted:
        parts.append(unstarted)
    return "\n\n".join(part.strip() for part in parts) + "\n"


def told(facts, can, others):
    versions = facts["versions"]
    names = "; ".join(f"{peer.name} {versions[peer.name]}" for peer in others if "," not in peer.name)
    machine = f"Made on {facts['cores']} cores, Linux {facts['kernel']}, as {facts['user']}, in {facts['minutes']} minutes, at a load of {facts['load']}."
    held = f" Portcullis {facts['portcullis']} could hold by {', '.join(can)}." if can else ""
    grace = f" The grace is {facts['grace_ms']} ms for all that have one."
    again = "; ".join(facts.get("again", []))
    repeated = f" Measured again after the rest, by themselves: {again}." if again else ""
    return machine + held + grace + (f" Beside it: {names}." if names else "") + repeated


def of(outcomes, subject, situation, letter=None):
    return [
        one for one in outcomes
        if one.subject == subject and one.situation == situation and letter in (None, one.workload)
    ]


def cell(found, with_verdicts=True):
    stopped = [one for one in found if not one.not_started]
    if not stopped:
        return "not started" if found else "–"
    survivors = f"{sum(one.survivors for one in stopped)} / {len(stopped)}"
    outside = sum(one.outside for one in stopped)
    if outside:
        survivors += f" (and {outside} out of reach, said so)"
    times = [one.took for one in stopped]
    longest = max(times)
    wrong = f"; {sum(bool(one.wrong) for one in stopped)}" if with_verdicts else ""
    late = sum(bool(one.late) for one in stopped)
    too_late = f"; {late} too late" if late else ""
    return f"{survivors}{wrong}; {statistics.median(times):.2f} s, {longest:.2f} s{too_late}"


def table(columns, rows):
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def columns_of(can, others):
    return [f"Portcullis, {means}" for means in can] + [peer.name for peer in others]


def workloads(can, others, letters, outcomes):
    subjects = [*can, *(peer.name for peer in others)]
    rows = []
    for letter in letters:
        one = workload.BY_LETTER[letter]
        rows.append([f"**{letter}** {one.what}", *(cell(of(outcomes, subject, "plain", letter)) for subject in subjects)])
    return table(["workload", *columns_of(can, others)], rows)


def in_situations(can, others, chosen, outcomes):
    rows = []
    for name in chosen:
        if name == "plain":
            continue
        ours = [cell(of(outcomes, subject, name)) for subject in can]
        theirs = [cell(of(outcomes, peer.name, name), with_verdicts=False) for peer in others]
        rows.append([situations.ALL[name].__doc__.strip(), *ours, *theirs])
    note = f"Where a manager is gone, what it started may live for {peers.LOST:g} s under the others, and for 3 s under Portcullis; the time is that until nothing lives."
    return f"All workloads, mixed. {note}\n\n" + table(["situation", *columns_of(can, others)], rows)


def failures(outcomes):
    """What is wrong with ours: each kind once, with how often, and one example of what was said."""
    counted = {}
    for one in outcomes:
        if not one.is_ours or one.is_clean():
            continue
        for kind, example in faults(one):
            counted.setdefault((one.situation, one.subject, kind), []).append((one.workload, example))
    return "\n".join(
        f"- {situation}, {subject}: {kind} {len(found)} times ({''.join(sorted({letter for letter, _ in found}))}), such as: {found[0][1]}"
        for (situation, subject, kind), found in sorted(counted.items())
    )


def faults(one):
    if one.survivors:
        yield "something lived on", f"{one.survivors}, {', '.join(one.left[:3])}"
    for wrong in one.wrong:
        yield "false", wrong
    if one.late:
        yield "too late", one.late
    if one.not_started:
        yield "not started", one.not_started


def not_started(outcomes):
    found = sorted({(one.subject, one.workload) for one in outcomes if one.not_started and not one.is_ours})
    return "\n".join(f"- {subject} did not start {letter}" for subject, letter in found)

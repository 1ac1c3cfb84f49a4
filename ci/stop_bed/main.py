"""Starts workloads that are hard to end, under Portcullis and under other managers; stops them; counts what lives.

Exit code: 0 nothing of ours lived, all that was said of it was so, and in time; 1 not so; 2 the call was wrong.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from . import bed, machine, page, peers, situations, workload
from .outcome import Outcome
from .subjects import ways
from .trial import sweep

ROOT = Path(__file__).resolve().parent.parent.parent
WORST_SITUATIONS = ["starting", "all_at_once", "crashed", "timed_out", "gate_killed", "gate_ended", "gate_restarted"]


def main():
    options = asked()
    parts = ROOT / "target" / "parts"
    os.environ["PATH"] = f"{parts}/npm/node_modules/.bin:{os.environ['PATH']}"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    base = Path(tempfile.mkdtemp(prefix="stop-bed-"))
    # Another user's processes have to reach their folder.
    base.chmod(0o711)
    settings = bed.Settings(str(options.program), options.through, parts, base, options.grace)
    try:
        shutil.copytree(Path(__file__).parent / "workloads", settings.scripts)
        # What is called python3 elsewhere may be a script that looks for one.
        (settings.scripts / "python3").symlink_to(sys.executable)
        return measured(options, settings)
    except KeyboardInterrupt:
        return 1
    finally:
        sweep(base)


def asked():
    parser = argparse.ArgumentParser(prog="ci/stop-bed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=ROOT / "target/debug/portcullis", help="the portcullis to try")
    parser.add_argument("--through", choices=ways.ALL, default="upstream", help="how workloads are handed to it")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each cell of ours (3)")
    parser.add_argument("--peer-rounds", type=int, default=None, help="rounds of each cell of others (a twentieth, at least 1)")
    parser.add_argument("--containment", help="only these, separated by commas")
    parser.add_argument("--workloads", help="only those with these letters, such as TEF")
    parser.add_argument("--situations", help=f"only these, separated by commas: {', '.join(situations.ALL)}")
    parser.add_argument("--no-peers", action="store_true", help="ours alone")
    parser.add_argument("--only-peers", action="store_true", help="the others alone")
    parser.add_argument("--quick", action="store_true", help="one round: all workloads, and the worst of them in every other cell; ours alone")
    parser.add_argument("--grace", type=int, default=1000, help="ms between SIGTERM and SIGKILL (1000)")
    parser.add_argument("--workers", type=int, default=4, help="managers at once (4)")
    parser.add_argument("--markdown", type=Path, help="write the page here")
    parser.add_argument("--json", type=Path, help="write every single outcome here")
    parser.add_argument("--earlier", type=Path, help="what `--json` wrote: cells that are not tried now are told from there")
    options = parser.parse_args()
    options.program = options.program.resolve()
    if not options.program.is_file():
        parser.error(f"there is no {options.program}")
    if options.rounds < 1 or options.workers < 1 or options.grace < 1:
        parser.error("a round, a worker and a millisecond are the least")
    for name, known in (("workloads", workload.BY_LETTER), ("situations", situations.ALL)):
        chosen = getattr(options, name)
        words = chosen.split(",") if name == "situations" and chosen else list(chosen or known)
        wrong = [word for word in words if word not in known]
        if wrong:
            parser.error(f"there is no {wrong[0]} among the {name}: {', '.join(known)}")
        setattr(options, name, words)
    if options.peer_rounds is None:
        options.peer_rounds = max(1, options.rounds // 20)
    return options


def measured(options, settings):
    skipped = []
    letters = ""
    for letter in options.workloads:
        why = workload.can_start(workload.BY_LETTER[letter])
        if why:
            skipped.append(f"workload {letter}, {workload.BY_LETTER[letter].what}: {why}")
        else:
            letters += letter
    can, cannot = [], {}
    if not options.only_peers:
        can, cannot = machine.containments(settings.program, ways.ALL[options.through](), settings.scripts, settings.base)
    if cannot and not can:
        print("\n".join(["there is nothing by which it can hold a process here:", *dict.fromkeys(cannot.values())]), file=sys.stderr)
        return 2
    held_by = list(can)
    if options.containment:
        can = [means for means in can if means in options.containment.split(",")]
    skipped += [f"containment {means}: {why}" for means, why in cannot.items()]
    batches = []
    if can:
        batches = quick(can, letters, options) if options.quick else bed.plan_ours(can, letters, options.rounds, options.situations)
    others = []
    if not options.quick and (options.earlier or not options.no_peers):
        others, missing = peers.installed(settings.parts)
        skipped += missing
    if not options.no_peers:
        batches += bed.plan_peers(others, letters, options.peer_rounds)
    for one in skipped:
        print(f"skipped: {one}", flush=True)

    facts = machine.facts()
    began = time.monotonic()
    loads = [machine.load()]

    def say(*found):
        loads.append(machine.load())
        progress(*found)

    outcomes = bed.run(settings, batches, options.workers, say)
    took = time.monotonic() - began
    ours = [outcome for outcome in outcomes if outcome.is_ours]
    facts |= {"load": round(sum(loads) / len(loads), 1), "grace_ms": settings.grace_ms, "minutes": round(took / 60, 1)}
    facts |= {"through": options.through, "rounds": options.rounds, "workers": options.workers}
    if options.earlier:
        facts, outcomes = beside(json.loads(options.earlier.read_text()), facts, outcomes)
        tried = {outcome.workload for outcome in outcomes}
        letters = "".join(letter for letter in workload.BY_LETTER if letter in tried)
        can, options.situations = held_by, list(situations.ALL)
        ours = [outcome for outcome in outcomes if outcome.is_ours]
    facts["versions"] = {peer.name: peer.version(settings.parts) for peer in others}
    facts["portcullis"] = machine.version(settings.program)
    if options.json:
        options.json.write_text(json.dumps({
            "facts": facts, "skipped": skipped, "outcomes": [outcome.as_json() for outcome in outcomes],
        }, indent=1))
    if options.markdown:
        options.markdown.write_text(page.page(facts, can, others, letters, options.situations, outcomes, skipped))
    # The quick form runs beside whatever else the machine does; in time is what the whole bed measures.
    broken = [outcome for outcome in ours if not outcome.is_clean(in_time=not options.quick)]
    survivors = sum(outcome.survivors for outcome in ours)
    wrong = sum(bool(outcome.wrong) for outcome in ours)
    late = sum(bool(outcome.late) for outcome in ours)
    unstarted = sum(bool(outcome.not_started) for outcome in ours)
    print(
        f"{len(ours)} stops of ours in {took:.0f} s: {survivors} survivors, {wrong} false verdicts, {late} too late, "
        f"{unstarted} that did not start"
    )
    return 1 if broken else 0


def beside(earlier, facts, outcomes):
    """What was found now, and of all other cells what was found earlier. The page says which were measured again."""
    now = {outcome.cell for outcome in outcomes}
    before = [Outcome(**one) for one in earlier["outcomes"]]
    kept = [outcome for outcome in before if outcome.cell not in now]
    again = sorted(set(earlier["facts"].get("again", [])) | {", ".join(cell) for cell in now})
    minutes = round(facts["minutes"] + earlier["facts"]["minutes"], 1)
    return earlier["facts"] | {"minutes": minutes, "again": again}, outcomes + kept


def quick(can, letters, options):
    """Each workload by the best means, the worst of them by the others, and the worst in every situation."""
    worst = "".join(one.letter for one in workload.WORST if one.letter in letters)
    batches = [bed.Batch(can[0], "plain", letters)]
    batches += [bed.Batch(means, "plain", worst) for means in can[1:]]
    # In the weakest of them, what loses its keeper is hardest to tell from what others started.
    cells = [(can[-1], "keeper_killed")] + [(can[number % len(can)], name) for number, name in enumerate(WORST_SITUATIONS)]
    batches += [bed.Batch(means, name, worst) for means, name in cells if name in options.situations]
    return batches


def progress(number, of, found):
    """A line for what is not clean, and now and then one for how far it is."""
    for outcome in found:
        said = [f"{outcome.survivors} live: {', '.join(outcome.left[:5])}"] if outcome.survivors else []
        said += outcome.wrong + [outcome.late] * bool(outcome.late)
        # Others may leave what they like; only what they could not start is told here.
        said = said * outcome.is_ours + [outcome.not_started] * bool(outcome.not_started)
        if said:
            print(f"  {outcome.subject}, {outcome.situation}, {outcome.workload}: {'; '.join(said)}", flush=True)
    if number == of or number % 20 == 0:
        print(f"{number} of {of} managers", flush=True)

//! Stopping a run, and proving it.

use crate::handle::{has_ended, pause, signal};
use crate::{Cgroup, Containment, Members, Process, Proof, Stop, Stopped, Survivor, Verdict};
use rustix::process::Signal;
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How often is heard, while something may end by itself, whether somebody wants it sooner.
const HEAR: Duration = Duration::from_millis(20);
/// How often is looked then who is there, where nothing else tells of those that leave all by which they are found.
const LOOK: Duration = Duration::from_millis(100);
/// Rounds of killing at most, and looks in each.
const ROUNDS: u32 = 10;
const LOOKS: u32 = 16;
/// What was killed takes a moment to be gone, the longer the busier the machine is: that of the first look of a round, which
/// is doubled at each, and the longest.
const MOMENT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_millis(80);
/// Looks in a row that have to find nothing, and what lies between them.
const PASSES: u32 = 2;
const BETWEEN: Duration = Duration::from_millis(200);

/// How a run is asked to end, before what lives is killed.
pub enum Ask<'a> {
    /// With this signal, sent to all of it.
    Signal(Signal),
    /// By what this starts.
    Command(&'a mut dyn FnMut()),
}

impl Ask<'_> {
    /// As usual.
    pub const TERM: Self = Self::Signal(Signal::TERM);
}

/// Stops all of a run, and says what came of it. Blocks for at most the times of `how` and some seconds of killing. Who wants
/// it to be over sooner meanwhile says so through `sooner`.
#[must_use]
pub fn stop(
    members: &Members<'_>,
    how: Stop,
    ask: Ask<'_>,
    sooner: &mut dyn FnMut() -> Option<Stop>,
) -> Stopped {
    let began = Instant::now();
    let left = members.living();
    let mut before = Process::described(left.clone());
    let mut killed_by = "nothing: it ended by itself";
    // What was said while one thing was waited for holds for the next one too.
    let mut bound = None;
    let mut bound = || {
        if let Some(Stop { wait_ms, grace_ms }) = sooner() {
            let end = Instant::now() + Duration::from_millis(wait_ms.saturating_add(grace_ms));
            bound = Some(bound.map_or(end, |bound: Instant| bound.min(end)));
        }
        bound
    };
    let mut left = wait(members, left, how.wait_ms, &mut bound);
    if !left.is_empty() {
        killed_by = match ask {
            Ask::Signal(gently) => {
                for process in &left {
                    let _ = signal(process, gently);
                    // Whoever is stopped cannot end before it goes on.
                    let _ = signal(process, Signal::CONT);
                }
                name_of(gently)
            }
            Ask::Command(run) => {
                run();
                "its stop command"
            }
        };
        left = wait(members, left, how.grace_ms, &mut bound);
    }
    let mut rounds = 0;
    let passes = loop {
        // What came into sight only now was there before.
        before.extend(new(&left, &before));
        if left.is_empty() {
            let passes = look_again(members, &mut left);
            if left.is_empty() {
                break passes;
            }
        }
        if rounds == ROUNDS || (rounds > 0 && left.iter().all(is_out_of_reach)) {
            break 0;
        }
        rounds += 1;
        (left, killed_by) = kill(members, left);
    };
    let kernel = if left.is_empty() { members.kernel_knows_of_one() } else { None };
    if let Some(folder) = members.started.cgroup.as_ref().filter(|_| left.is_empty()) {
        Cgroup::at(folder).remove();
    }
    let verdict = match (left.is_empty(), before.is_empty()) {
        (false, _) => Verdict::Partial,
        // What the kernel knows of, and `/proc` does not show, can be neither named nor denied.
        (true, _) if kernel == Some(true) => Verdict::Unconfirmed,
        (true, true) => Verdict::AlreadyEnded,
        (true, false) => Verdict::Stopped,
    };
    let looked_by = looked_by(members, kernel == Some(false));
    Stopped {
        verdict,
        took_ms: began.elapsed().as_millis().try_into().unwrap_or(u64::MAX),
        before,
        survivors: Process::described(left).into_iter().map(survivor).collect(),
        proof: Proof { scope: scope(members).into(), killed_by: killed_by.into(), looked_by, passes },
    }
}

fn name_of(signal: Signal) -> &'static str {
    const NAMES: [(Signal, &str); 6] = [
        (Signal::TERM, "SIGTERM"),
        (Signal::INT, "SIGINT"),
        (Signal::HUP, "SIGHUP"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::USR2, "SIGUSR2"),
    ];
    NAMES.into_iter().find(|(known, _)| *known == signal).map_or("its own signal", |(_, name)| name)
}

/// Waits until nothing lives of what was seen last, at most so long, and gives what does.
fn wait(
    members: &Members<'_>,
    mut left: Vec<Process>,
    at_most_ms: u64,
    bound: &mut dyn FnMut() -> Option<Instant>,
) -> Vec<Process> {
    let longest = Instant::now() + Duration::from_millis(at_most_ms);
    loop {
        if left.is_empty() || Instant::now() >= bound().map_or(longest, |bound| bound.min(longest)) {
            return left;
        }
        let look = (members.started.containment == Containment::Group).then(|| Instant::now() + LOOK);
        // Whether all of these ended is not asked of `/proc`, which tells of every process of the machine.
        let mut waiting = left.iter().peekable();
        while let Some(process) = waiting.peek() {
            let until = [bound(), look].into_iter().flatten().fold(longest, Instant::min);
            let now = Instant::now();
            if now >= until {
                break;
            }
            if has_ended(process, until.min(now + HEAR)) {
                waiting.next();
            }
        }
        left = members.living();
    }
}

/// Kills until nothing is found, and says what is and by what means.
fn kill(members: &Members<'_>, mut left: Vec<Process>) -> (Vec<Process>, &'static str) {
    let at_once = members.started.cgroup.as_ref().is_some_and(|folder| Cgroup::at(folder).kill());
    let mut moment = MOMENT;
    for _ in 0..LOOKS {
        let may_end = |process: &&Process| signal(process, Signal::KILL) != Err(rustix::io::Errno::PERM);
        let ending: Vec<_> = left.iter().filter(may_end).collect();
        if ending.is_empty() {
            break;
        }
        let until = Instant::now() + moment;
        let _ = ending.into_iter().all(|process| has_ended(process, until));
        moment = LONG.min(2 * moment);
        left = members.living();
    }
    (left, if at_once { "cgroup.kill and SIGKILL" } else { "SIGKILL" })
}

/// Nothing was found: looks again until that was so often enough, or something is found after all.
fn look_again(members: &Members<'_>, left: &mut Vec<Process>) -> u32 {
    for _ in 1..PASSES {
        pause(BETWEEN);
        *left = members.living();
        if !left.is_empty() {
            return 0;
        }
    }
    PASSES
}

fn scope(members: &Members<'_>) -> &'static str {
    match members.started.containment {
        Containment::Namespace | Containment::Subreaper if members.keeper_is_lost() => {
            "all that it started itself, and what came to the gate without a mark, which may be that of another run whose \
             keeper was lost at the same moment; what it had a service of the machine start for it (systemd, cron, docker) \
             is outside"
        }
        Containment::Cgroup | Containment::Namespace | Containment::Subreaper => {
            "all that it started itself; what it had a service of the machine start for it (systemd, cron, docker) is outside"
        }
        Containment::Group => {
            "its session, its process group, and all that kept its mark or was seen before; what left all of these is not seen"
        }
    }
}

fn looked_by(members: &Members<'_>, kernel_knows_of_none: bool) -> Vec<String> {
    let mut ways = vec!["mark in /proc", "session and group in /proc", "descendants in /proc"];
    if members.started.containment == Containment::Cgroup {
        ways.push("processes of the control group");
    }
    if kernel_knows_of_none {
        ways.push("the kernel: the keeper has no child left");
    }
    ways.into_iter().map(str::to_owned).collect()
}

/// Whether it belongs to somebody whose processes this user may not end, however often it is tried.
fn is_out_of_reach(process: &Process) -> bool {
    signal(process, Signal::KILL) == Err(rustix::io::Errno::PERM)
}

/// Those of `now` that are not among `known`, which may be many: a storm of forks has hundreds.
fn new(now: &[Process], known: &[Process]) -> Vec<Process> {
    let known: HashSet<(i32, u64)> = known.iter().map(|it| (it.pid, it.start_time)).collect();
    let fresh = now.iter().filter(|it| !known.contains(&(it.pid, it.start_time)));
    Process::described(fresh.cloned().collect())
}

fn survivor(process: Process) -> Survivor {
    let why = match (process.kin.state, signal(&process, Signal::KILL)) {
        ('D', _) => "it waits for a device and cannot be interrupted",
        (_, Err(rustix::io::Errno::PERM)) => "not permitted: it belongs to another user",
        _ => "it was killed again and again and is still there",
    };
    Survivor { process, why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Started, Watcher};

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a child of the test itself")]
    fn what_the_kernel_knows_of_and_nobody_sees_is_not_called_stopped() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let mut process = Process::of(i32::try_from(child.id()).unwrap()).unwrap();
        let started = |process| Started { process, containment: Containment::Subreaper, cgroup: None };
        let mark = ("PORTCULLIS_TEST_RUN".to_owned(), "none".to_owned());
        // It counts as older than the run, so no look finds it.
        process.start_time += 1_000_000;
        let unseen = started(process.clone());
        let members = Members::of(&unseen, &mark, Watcher::Keeper);
        let how = Stop { wait_ms: 0, grace_ms: 10 };
        let stopped = stop(&members, how, Ask::TERM, &mut || None);
        assert_eq!((stopped.verdict, stopped.proof.passes), (Verdict::Unconfirmed, PASSES), "{stopped:?}");
        assert!(stopped.summary().contains("none is seen"), "{}", stopped.summary());

        process.start_time -= 1_000_000;
        let seen = started(process);
        let stopped = stop(&Members::of(&seen, &mark, Watcher::Keeper), how, Ask::TERM, &mut || None);
        assert_eq!(stopped.verdict, Verdict::Stopped, "{stopped:?}");
        assert!(stopped.proof.looked_by.iter().any(|way| way.contains("no child left")), "{stopped:?}");
        let _ = child.wait();
    }
}

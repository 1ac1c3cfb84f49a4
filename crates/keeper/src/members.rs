//! Who belongs to a run.

use crate::process::variable;
use crate::{Cgroup, Containment, Process, Started, processes};
use rustix::process::{Pid, WaitOptions};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Looks at most until one finds nobody, and nobody who ended meanwhile.
const LOOKS: u32 = 4;

/// Who looks for a run's processes.
#[derive(Debug, Clone, Copy)]
pub enum Watcher<'a> {
    /// Its keeper: the parent of the command, and of what lost its own.
    Keeper,
    /// The gate whose keeper was killed, which became the parent of what lost its own. The program at this path is that of
    /// other keepers, which are its children too.
    Gate(&'a Path),
    /// Somebody who looks while the keeper, which has this pid, holds the run.
    Beside(i32),
    /// Somebody for whom the run is over. Its session's number may mean another by now.
    Later,
}

/// A run's processes, looked for in many ways.
#[derive(Debug)]
pub struct Members<'a> {
    pub(crate) started: &'a Started,
    mark: &'a (String, String),
    watcher: Watcher<'a>,
    /// Who was found before, by pid and start time. Whoever was a member once is one until it ends, also where it has
    /// left everything by which it was found.
    known: RefCell<HashSet<(i32, u64)>>,
    /// Who was seen not to carry the mark. It comes from the parent alone, so nobody gets it later.
    unmarked: RefCell<HashSet<(i32, u64)>>,
    /// Whether somebody was there of whom it could not be told.
    untold: Cell<bool>,
    /// What each of them had used when it was seen last.
    spent: RefCell<HashMap<(i32, u64), (u64, u64)>>,
}

/// What a run uses at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Processor time that its processes have had so far, in ms.
    pub cpu_ms: u64,
    /// Memory that they have now and share with nobody, in bytes.
    pub memory: u64,
}

impl<'a> Members<'a> {
    /// Those of a command and whatever it started: that has `mark`, a variable and its value, in its environment.
    #[must_use]
    pub fn of(started: &'a Started, mark: &'a (String, String), watcher: Watcher<'a>) -> Self {
        Self {
            started,
            mark,
            watcher,
            known: RefCell::default(),
            unmarked: RefCell::default(),
            untold: Cell::default(),
            spent: RefCell::default(),
        }
    }

    /// What holds them.
    #[must_use]
    pub fn started(&self) -> &Started {
        self.started
    }

    /// These were seen before.
    #[must_use]
    pub fn with(self, known: &[Process]) -> Self {
        self.known.borrow_mut().extend(known.iter().map(|process| (process.pid, process.start_time)));
        self
    }

    /// All that live: the container's, the session's and the group's, those with the mark, those that were found before,
    /// and whoever descends from one of them or from the keeper. Never a process with a pid of 1 or less, nor this one, nor one that it descends from.
    /// What ended and is this process's to fetch is fetched. User and command are left empty: [`Process::described`].
    #[must_use]
    pub fn living(&self) -> Vec<Process> {
        for _ in 1..LOOKS {
            match self.look() {
                (living, true) if living.is_empty() => {}
                (living, _) => return living,
            }
        }
        self.look().0
    }

    /// One look: those that live, and whether somebody was there who could not be told, or who ended meanwhile and may have left
    /// a child that was not there yet.
    fn look(&self) -> (Vec<Process>, bool) {
        self.untold.set(false);
        let all = processes();
        self.reap(&all);
        let by_pid: HashMap<i32, &Process> = all.iter().map(|process| (process.pid, process)).collect();
        let me = rustix::process::getpid().as_raw_nonzero().get();
        let untouchable = with_ancestors(me, &by_pid);
        let contained: HashSet<i32> =
            self.started.cgroup.iter().flat_map(|folder| Cgroup::at(folder).pids()).collect();
        let parent = if let Watcher::Beside(keeper) = self.watcher { keeper } else { me };
        let own_session = by_pid.get(&me).map_or(0, |process| process.kin.session);
        let pinned =
            matches!(self.watcher, Watcher::Keeper | Watcher::Beside(_)) || self.started.process.lives();
        let others: Vec<&Process> = all
            .iter()
            // Whoever was there before the command is none of its making.
            .filter(|process| process.pid > 1 && process.start_time >= self.started.process.start_time)
            .filter(|process| !untouchable.contains(&process.pid))
            .collect();
        let mut members: HashSet<i32> = others
            .iter()
            .filter(|process| {
                contained.contains(&process.pid)
                    || (pinned && self.is_in_session(process))
                    || (process.kin.parent == parent && self.is_orphan(process, own_session))
                    || self.known.borrow().contains(&(process.pid, process.start_time))
                    || self.has_mark(process)
            })
            .map(|process| process.pid)
            .collect();
        // A child of a member is one, and so on.
        loop {
            let more: Vec<i32> = others
                .iter()
                .filter(|process| members.contains(&process.kin.parent) && !members.contains(&process.pid))
                .map(|process| process.pid)
                .collect();
            if more.is_empty() {
                break;
            }
            members.extend(more);
        }
        let there = others
            .into_iter()
            .filter(|process| members.contains(&process.pid) && !process.kin.is_over())
            .cloned();
        // What ended since then is no member any more.
        let (living, ended): (Vec<Process>, Vec<Process>) = there.partition(Process::lives);
        self.known.borrow_mut().extend(living.iter().map(|process| (process.pid, process.start_time)));
        (living, !ended.is_empty() || self.untold.get())
    }

    /// Whether the gate looks, since the keeper was killed.
    pub(crate) fn keeper_is_lost(&self) -> bool {
        matches!(self.watcher, Watcher::Gate(_))
    }

    fn has_mark(&self, process: &Process) -> bool {
        let who = (process.pid, process.start_time);
        if self.unmarked.borrow().contains(&who) {
            return false;
        }
        let Some(all) = self.told(process) else { return false };
        match variable(&all, &self.mark.0) {
            Some(value) => value == self.mark.1,
            None => {
                // That it has none at all proves nothing.
                if !all.is_empty() {
                    self.unmarked.borrow_mut().insert(who);
                }
                false
            }
        }
    }

    fn told(&self, process: &Process) -> Option<Vec<u8>> {
        let all = process.variables();
        if all.is_none() {
            self.untold.set(true);
        }
        all
    }

    /// The session and the group have the command's pid as their number. Nobody else can get it as long as the command
    /// lives, or its keeper does not fetch its exit status.
    fn is_in_session(&self, process: &Process) -> bool {
        let leader = self.started.process.pid;
        process.kin.session == leader || process.kin.group == leader
    }

    /// Whether a child of this process came to it because it lost its parent.
    fn is_orphan(&self, child: &Process, own_session: i32) -> bool {
        match self.watcher {
            // A keeper starts the command and nothing else.
            Watcher::Keeper | Watcher::Beside(_) => true,
            // A keeper leaves the gate's session at its start. Of a group, and of a control group, no orphan is known to be
            // its own by coming here: it may be that of another run, which is well.
            Watcher::Gate(keepers) => {
                let program = std::fs::read_link(format!("/proc/{}/exe", child.pid));
                matches!(self.started.containment, Containment::Subreaper | Containment::Namespace)
                    && child.kin.session != own_session
                    && program.is_ok_and(|program| program != keepers)
                    // Two keepers may have been killed: what has another's mark is another's.
                    && self.told(child).is_some_and(|all| {
                        variable(&all, &self.mark.0).is_none_or(|value| value == self.mark.1)
                    })
            }
            Watcher::Later => false,
        }
    }

    /// Looks after them while they run: who is there is known from now on, and whoever ended and came to the keeper has its
    /// exit status fetched, but not the command, which so keeps its pid.
    pub fn look_after(&self) {
        match self.started.containment {
            Containment::Group => drop(self.living()),
            Containment::Cgroup | Containment::Namespace | Containment::Subreaper => self.reap_children(),
        }
    }

    /// As [`Self::reap`], without a look at all processes of the machine.
    fn reap_children(&self) {
        // The kernel names the command again and again once it has ended; then all are stopped anyway.
        while let Some(pid) =
            an_ended_child().filter(|pid| pid.as_raw_nonzero().get() != self.started.process.pid)
        {
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }

    /// What they use: processor time, in ms, and memory that they share with nobody, in bytes.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let living = self.living();
        let mut now = self.spent.borrow_mut();
        for process in &living {
            let (cpu_ms, memory) = process.usage();
            now.insert((process.pid, process.start_time), (cpu_ms, memory));
        }
        let lives = |id: &(i32, u64)| living.iter().any(|process| (process.pid, process.start_time) == *id);
        Usage {
            // What ended has spent what it had when it was seen last.
            cpu_ms: now.values().map(|(cpu_ms, _)| cpu_ms).sum(),
            memory: now.iter().filter(|(id, _)| lives(id)).map(|(_, (_, memory))| memory).sum(),
        }
    }

    /// Fetches the exit status of all that ended and came to the keeper, but not the command's: that keeps its pid.
    fn reap(&self, all: &[Process]) {
        let me = rustix::process::getpid().as_raw_nonzero().get();
        let known = self.known.borrow();
        for ended in all.iter().filter(|process| process.kin.parent == me && process.kin.is_over()) {
            let own = match self.watcher {
                Watcher::Keeper => ended.pid != self.started.process.pid,
                // Other children of a gate are waited for elsewhere.
                Watcher::Beside(_) => false,
                Watcher::Gate(_) | Watcher::Later => known.contains(&(ended.pid, ended.start_time)),
            };
            if let Some(pid) = Pid::from_raw(ended.pid).filter(|_| own) {
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
    }

    /// Whether the kernel says that something lives, which needs no look at `/proc`: the keeper has a child that did not
    /// end (where all that lose their parent become its children, it has a descendant else neither), or the control group
    /// has somebody in it. `None` where the kernel cannot be asked. Gives up the command's pid.
    pub(crate) fn kernel_knows_of_one(&self) -> Option<bool> {
        if self.started.cgroup.as_ref().is_some_and(|folder| Cgroup::at(folder).is_populated()) {
            return Some(true);
        }
        if !matches!(self.watcher, Watcher::Keeper) || self.started.containment == Containment::Group {
            return None;
        }
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return Some(true),
                Err(error) => return Some(error != rustix::io::Errno::CHILD),
            }
        }
    }
}

/// A child of this process that ended and whose exit status is still to be fetched.
#[allow(unsafe_code, reason = "the safe interface does not say which child it was")]
fn an_ended_child() -> Option<Pid> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is to a variable of this function, and a `siginfo_t` of zeros is a valid one, which
    // `waitid` leaves as it is where no child has ended (`man 2 waitid`).
    let pid = unsafe {
        if libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) != 0 {
            return None;
        }
        info.assume_init().si_pid()
    };
    Pid::from_raw(pid)
}

/// Fetches the exit status of all children of this process that ended.
pub fn fetch_ended_children() {
    while let Some(pid) = an_ended_child() {
        if rustix::process::waitpid(Some(pid), WaitOptions::NOHANG).is_err() {
            return;
        }
    }
}

fn with_ancestors(me: i32, by_pid: &HashMap<i32, &Process>) -> HashSet<i32> {
    let mut found = HashSet::new();
    let mut at = me;
    while at > 0 && found.insert(at) {
        at = by_pid.get(&at).map_or(0, |process| process.kin.parent);
    }
    found
}

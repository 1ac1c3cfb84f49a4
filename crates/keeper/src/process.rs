//! What `/proc` says of processes.

use crate::handle::pause;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// Characters of a command line that are kept.
const SHOWN: usize = 160;
/// In the midst of an exec a process has no environment yet. That is over soon, also where it has to wait for its turn on the
/// processor; so often is looked, and this lies between.
const LOOKS: u32 = 250;
const MOMENT: Duration = Duration::from_millis(1);
/// Longer than most environments, in bytes.
const PIECE: usize = 128 * 1024;
/// A thread of the kernel (`PF_KTHREAD` in its flags) never has one, and who is on the way to its end (`PF_EXITING`) has none any more.
const KERNEL: u64 = 0x0020_0000;
const EXITING: u64 = 0x4;

/// A process, told from any other that has or had its pid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its pid.
    pub pid: i32,
    /// When it was started, in clock ticks since the machine was.
    pub start_time: u64,
    /// The name of its user, or the number where it has none.
    pub user: String,
    /// Its command line, cut to a readable length.
    pub command: String,
    /// Its parent, session, group and state; they change, so they are not part of a message.
    #[serde(skip)]
    pub kin: Kin,
}

/// What may change while a process lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kin {
    /// The parent's pid.
    pub parent: i32,
    /// The process group.
    pub group: i32,
    /// The session.
    pub session: i32,
    /// The state's letter (`man 5 proc`).
    pub state: char,
    /// How many threads it has.
    pub threads: u32,
}

impl Kin {
    /// Whether only its exit status is left. One whose first thread has ended has the same letter, and others go on.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, 'Z' | 'X') && self.threads <= 1
    }
}

impl Process {
    /// Looks a process up. `None` where there is none of that pid, or it ended meanwhile.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let (start_time, kin) = stat(pid)?;
        let bare = Self { pid, start_time, user: String::new(), command: String::new(), kin };
        Self::described(vec![bare]).pop().filter(|process| !process.user.is_empty())
    }

    /// The same with their users and command lines, where they are still there.
    #[must_use]
    pub fn described(mut processes: Vec<Self>) -> Vec<Self> {
        let mut names = HashMap::new();
        for process in &mut processes {
            let found = user(process.pid).map(|uid| {
                names.entry(uid).or_insert_with_key(|uid| name_of(uid).unwrap_or_else(|| uid.clone())).clone()
            });
            let command = command(process.pid, &process.kin);
            let Some((start_time, kin)) = stat(process.pid) else { continue };
            // It is the same that the user and the command line were read of.
            if let Some(user) = found.filter(|_| start_time == process.start_time) {
                (process.user, process.command, process.kin) = (user, command, kin);
            }
        }
        processes
    }

    /// Whether both are one process, and not two that had one pid after the other.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.pid == other.pid && self.start_time == other.start_time
    }

    /// Whether it is there, and not only its exit status.
    #[must_use]
    pub fn lives(&self) -> bool {
        stat(self.pid).is_some_and(|(start, kin)| start == self.start_time && !kin.is_over())
    }

    /// The processor time that it has had, in ms, and the memory that it shares with
    /// nobody, in bytes. Nothing where it ended.
    #[must_use]
    pub fn usage(&self) -> (u64, u64) {
        let read = |name: &str| text(self.pid, name).unwrap_or_default();
        let stat = read("stat");
        let fields: Vec<u64> = stat
            .rsplit_once(") ")
            .map_or("", |(_, fields)| fields)
            .split(' ')
            .map(|field| field.parse().unwrap_or(0))
            .collect();
        // Of the fields counted from 1, these are the 14th and the 15th, and the state, which is the first here, the 3rd.
        let ticks: u64 = fields.iter().skip(11).take(2).sum();
        let statm = read("statm");
        let mut pages = statm.split(' ').skip(1).map(|pages| pages.parse::<u64>().unwrap_or(0));
        let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
        let own = resident.saturating_sub(shared) * rustix::param::page_size() as u64;
        (ticks * 1000 / rustix::param::clock_ticks_per_second().max(1), own)
    }

    /// A variable of its environment, as it was started with. `None` where it has none, or may not be read.
    #[must_use]
    pub fn environment(&self, name: &str) -> Option<String> {
        variable(&self.variables()?, name)
    }

    /// Its environment as the kernel gives it; empty where it has none, or may not be read. Who is in the midst of an exec is
    /// waited for, a while. `None` where it still was, or is on the way to its end: that nothing is there says nothing of whose it is.
    pub(crate) fn variables(&self) -> Option<Vec<u8>> {
        for _ in 0..LOOKS {
            let all = of_the_first_or_another(self.pid, &self.kin, "environ");
            if !all.is_empty() {
                return Some(all);
            }
            match self.why_empty() {
                Empty::HasNone => return Some(all),
                Empty::Ends => return None,
                Empty::NotYet => pause(MOMENT),
            }
        }
        None
    }

    fn why_empty(&self) -> Empty {
        let readable = fs::File::open(format!("/proc/{}/environ", self.pid)).is_ok();
        let Some(stat) = text(self.pid, "stat").filter(|_| readable) else { return Empty::HasNone };
        let fields: Vec<&str> = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ').collect();
        // Of the fields counted from 1, of which the state, the first here, is the 3rd.
        let number = |field: usize| fields.get(field - 3).and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
        let (flags, start_time, code, begin, end) =
            (number(9), number(22), number(26), number(50), number(51));
        let is_over = matches!(fields.first(), Some(&("Z" | "X"))) || start_time != self.start_time;
        // The place of the code is the last that an exec writes down: until then an environment may look empty.
        match () {
            () if is_over || flags & KERNEL != 0 || code != 0 && begin == end => Empty::HasNone,
            () if flags & EXITING != 0 => Empty::Ends,
            () => Empty::NotYet,
        }
    }
}

/// Why an environment is empty.
enum Empty {
    /// There is none, or none that may be read.
    HasNone,
    /// Its process has given it up.
    Ends,
    /// Its process is in the midst of an exec.
    NotYet,
}

/// One of the variables of a process.
pub(crate) fn variable(all: &[u8], name: &str) -> Option<String> {
    let mut variables = all.split(|byte| *byte == 0);
    let value = variables.find_map(|it| it.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// All processes that `/proc` shows, without those that end while it is read. Command and user are left empty, since
/// most of them are nobody's business: [`Process::of`] has them.
#[must_use]
pub fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let (start_time, kin) = stat(pid)?;
            Some(Process { pid, start_time, user: String::new(), command: String::new(), kin })
        })
        .collect()
}

/// The parent's pid. `None` where there is no process of that pid.
#[must_use]
pub fn parent_of(pid: i32) -> Option<i32> {
    Some(stat(pid)?.1.parent)
}

/// Start time and kin. Whoever looks reads this of each process of the machine.
fn stat(pid: i32) -> Option<(u64, Kin)> {
    // Longer than any: fifty numbers and a name of 64 bytes at most.
    let mut buffer = [0; 1536];
    let path = format!("/proc/{pid}/stat");
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let read = rustix::io::read(&file, &mut buffer).ok()?;
    parsed(buffer.get(..read)?)
}

/// The name is in parentheses and may hold anything, also what is no text; what follows the last one is plain.
fn parsed(stat: &[u8]) -> Option<(u64, Kin)> {
    let name_ends = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(stat.get(name_ends + 2..)?).ok()?.split(' ');
    let state = fields.next()?.chars().next()?;
    let mut number = || fields.next()?.parse().ok();
    let (parent, group, session) = (number()?, number()?, number()?);
    // Of the fields counted from 1, the session is the 6th, the number of threads the 20th and the start time the 22nd.
    let threads = fields.nth(13)?.parse().ok()?;
    Some((fields.nth(1)?.parse().ok()?, Kin { parent, group, session, state, threads }))
}

/// A file of `/proc` that a thread which has ended has nothing in any more: then that of another one.
fn of_the_first_or_another(pid: i32, kin: &Kin, name: &str) -> Vec<u8> {
    if kin.state != 'Z' {
        return at_once(Path::new(&format!("/proc/{pid}/{name}"))).unwrap_or_default();
    }
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut said = threads.filter_map(|thread| at_once(&thread.path().join(name)));
    said.find(|said| !said.is_empty()).unwrap_or_default()
}

/// Reads a file of `/proc` in one piece: whoever becomes another program between two pieces has no second one.
fn at_once(path: &Path) -> Option<Vec<u8>> {
    let mut file = fs::File::open(path).ok()?;
    let mut all = vec![0; PIECE];
    let read = file.read(&mut all).ok()?;
    all.truncate(read);
    if read == PIECE {
        file.read_to_end(&mut all).ok()?;
    }
    Some(all)
}

/// A file of `/proc` about it. What is no text in it was named by the process, and is shown as far as it can be.
fn text(pid: i32, name: &str) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/{name}")).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The number of its user.
fn user(pid: i32) -> Option<String> {
    let status = text(pid, "status")?;
    Some(status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().nth(1)?.to_owned())
}

fn command(pid: i32, kin: &Kin) -> String {
    let said = of_the_first_or_another(pid, kin, "cmdline");
    let line = String::from_utf8_lossy(&said).trim_end_matches('\0').replace(['\0', '\n'], " ");
    if line.is_empty() {
        return format!("[{}]", text(pid, "comm").unwrap_or_default().trim_end());
    }
    line.chars().take(SHOWN).collect()
}

fn name_of(uid: &str) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_text_and_reads_like_more_hides_nothing() {
        let fields = "S 7 42 41 0 -1 0 0 0 0 0 1 2 0 0 20 0 3 0 1234 0 0";
        let expected = Kin { parent: 7, group: 42, session: 41, state: 'S', threads: 3 };
        for name in [&b"sh"[..], b"\xff\xfe", b"a) Z 1 1 1 0 0", b"(", b") "] {
            let line = [b"42 (", name, b") ", fields.as_bytes(), b"\n"].concat();
            assert_eq!(parsed(&line), Some((1234, expected)), "{}", String::from_utf8_lossy(&line));
        }
        assert_eq!(parsed(b"42 (sh"), None);
        assert_eq!(parsed(b"42 (sh)"), None);
        // The first thread has ended, and two go on.
        assert!(!Kin { state: 'Z', ..expected }.is_over());
        assert!(Kin { state: 'Z', threads: 1, ..expected }.is_over());
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a child of the test itself")]
    fn whoever_becomes_another_program_keeps_its_environment_meanwhile() {
        // It becomes itself, again and again.
        let again = r#"exec sh -c "$0" "$0""#;
        let mut child =
            std::process::Command::new("sh").args(["-c", again, again]).env("MARKED", "so").spawn().unwrap();
        let becoming = Process::of(i32::try_from(child.id()).unwrap()).unwrap();
        let unseen = (0..5_000).filter(|_| becoming.environment("MARKED").is_none()).count();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(unseen, 0);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a child of the test itself")]
    fn a_process_is_found_with_its_kin_and_told_from_another_of_its_pid() {
        let own = i32::try_from(std::process::id()).unwrap();
        let me = Process::of(own).unwrap();
        assert!(me.lives() && me.command.contains("keeper"), "{me:?}");
        assert_eq!(Some(me.kin.parent), rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get()));
        assert!(!Process { start_time: me.start_time + 1, ..me.clone() }.lives());
        let mut child = std::process::Command::new("sleep").arg("100").env("MARKED", "so").spawn().unwrap();
        let sleeper = Process::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert_eq!(sleeper.kin.parent, own);
        child.kill().unwrap();
        while sleeper.lives() {
            std::thread::yield_now();
        }
        // Its exit status is still to be fetched, so its pid is still taken.
        assert!(processes().iter().any(|process| process.same_as(&sleeper) && process.kin.state == 'Z'));
        child.wait().unwrap();
        assert!(Process::of(sleeper.pid).is_none());
    }
}

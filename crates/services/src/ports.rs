//! Who listens on which port. A port proves nothing by itself: that a service is up is known only where one of its own
//! processes holds the socket.

use portcullis_runs::{Process, processes};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;

/// A socket that is listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listening {
    port: u16,
    inode: u64,
}

/// All of them, of this network namespace.
fn listening() -> Vec<Listening> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| fs::read_to_string(file).unwrap_or_default());
    tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(read).collect()
}

/// A row: slot, local address, remote address, state, …, inode as the tenth (`man 5 proc`). `0A` is listening.
fn read(row: &str) -> Option<Listening> {
    let mut fields = row.split_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?.parse().ok()?;
    (state == "0A").then_some(Listening { port: u16::from_str_radix(port, 16).ok()?, inode })
}

/// Sockets that a process has open.
fn sockets_of(pid: i32) -> BTreeSet<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

/// The ports that these processes listen on.
pub(crate) fn of(members: &[Process]) -> BTreeSet<u16> {
    let own: BTreeSet<u64> = members.iter().flat_map(|process| sockets_of(process.pid)).collect();
    listening().into_iter().filter(|it| own.contains(&it.inode)).map(|it| it.port).collect()
}

/// Who holds a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Nobody.
    Free,
    /// One of the processes that were asked for.
    Own,
    /// Somebody else: the process where it can be seen.
    Stranger(Option<Process>),
}

/// Who listens on a port: one of `members`, or somebody else.
pub(crate) fn holder(port: u16, members: impl FnOnce() -> Vec<Process>) -> Holder {
    let inodes: BTreeSet<u64> =
        listening().into_iter().filter(|it| it.port == port).map(|it| it.inode).collect();
    if inodes.is_empty() {
        return Holder::Free;
    }
    let holds = |process: &Process| !sockets_of(process.pid).is_disjoint(&inodes);
    if members().iter().any(holds) {
        return Holder::Own;
    }
    Holder::Stranger(processes().into_iter().find(holds).and_then(|process| Process::of(process.pid)))
}

/// In words: who holds a port that a service wants.
pub(crate) fn taken(port: u16, by: Option<&Process>) -> String {
    match by {
        Some(Process { pid, command, user, .. }) => {
            format!("port {port} is held by pid {pid} of {user} ({command})")
        }
        None => format!("port {port} is held by a process that this user may not see"),
    }
}

/// A port of the loopback interface that is free now.
pub(crate) fn free() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Processor time and memory of processes together: ms, bytes.
pub(crate) fn usage(members: &[Process]) -> (u64, u64) {
    let used: BTreeMap<i32, (u64, u64)> =
        members.iter().map(|process| (process.pid, process.usage())).collect();
    used.values().fold((0, 0), |(cpu, memory), (more_cpu, more)| (cpu + more_cpu, memory + more))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_its_own_where_the_socket_is_held_by_one_of_its_processes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let me = Process::of(std::process::id().try_into().unwrap()).unwrap();
        assert_eq!(holder(port, || vec![me.clone()]), Holder::Own);
        assert!(of(std::slice::from_ref(&me)).contains(&port));
        let Holder::Stranger(Some(found)) = holder(port, Vec::new) else { panic!("nobody is found") };
        assert!(found.same_as(&me) && taken(port, Some(&found)).contains(&format!("pid {}", me.pid)));
        drop(listener);
        assert_eq!(holder(port, Vec::new), Holder::Free);
    }
}

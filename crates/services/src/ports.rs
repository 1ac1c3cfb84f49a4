//! Who listens on which port. A port proves nothing by itself: that a service is up is known only where one of its own
//! processes holds the socket.

use portcullis_runs::{Process, processes};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};

/// A socket that is listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listening {
    address: IpAddr,
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
    let (address, port) = fields.nth(1)?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?.parse().ok()?;
    let (address, port) = (read_address(address)?, u16::from_str_radix(port, 16).ok()?);
    (state == "0A").then_some(Listening { address, port, inode })
}

/// An address as the kernel prints it: words of 32 bits in hexadecimal, each in the machine's own order of bytes.
fn read_address(digits: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(digits.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match digits.len() {
        8 => Some(IpAddr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            Some(IpAddr::from(<[u8; 16]>::try_from(words.concat()).ok()?).to_canonical())
        }
        _ => None,
    }
}

/// The address at which this machine reaches a socket that listens there.
fn reached(listening: IpAddr) -> IpAddr {
    // Whoever listens everywhere in IPv6 is reached by IPv4 too, unless the system is told otherwise.
    if listening.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listening }
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

/// The ports that these processes listen on, each with the address at which it is reached: that of IPv4 where there are
/// several.
pub(crate) fn of(members: &[Process]) -> BTreeMap<u16, IpAddr> {
    let own: BTreeSet<u64> = members.iter().flat_map(|process| sockets_of(process.pid)).collect();
    let mut ports = BTreeMap::new();
    for it in listening().into_iter().filter(|it| own.contains(&it.inode)) {
        let address = reached(it.address);
        let known = ports.entry(it.port).or_insert(address);
        *known = address.min(*known);
    }
    ports
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
    fn an_address_is_read_as_the_kernel_prints_it() {
        for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let local = listener.local_addr().unwrap();
            let me = Process::of(std::process::id().try_into().unwrap()).unwrap();
            assert_eq!(of(&[me])[&local.port()], reached(local.ip()), "{address}");
        }
        assert_eq!(reached("::".parse().unwrap()).to_string(), "127.0.0.1");
        assert_eq!(reached("::1".parse().unwrap()).to_string(), "::1");
    }

    #[test]
    fn a_port_is_its_own_where_the_socket_is_held_by_one_of_its_processes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let me = Process::of(std::process::id().try_into().unwrap()).unwrap();
        assert_eq!(holder(port, || vec![me.clone()]), Holder::Own);
        assert!(of(std::slice::from_ref(&me)).contains_key(&port));
        let Holder::Stranger(Some(found)) = holder(port, Vec::new) else { panic!("nobody is found") };
        assert!(found.same_as(&me) && taken(port, Some(&found)).contains(&format!("pid {}", me.pid)));
        drop(listener);
        assert_eq!(holder(port, Vec::new), Holder::Free);
    }
}

//! The machine: processes, devices, services, time.

use crate::operator::command::entry::{Entry, FACE, Face, Kind, PLAIN};
use crate::operator::command::options::{NO_OPTIONS, Options};

const SYSTEMCTL: Options = Options {
    short: "alqn:o:p:t:",
    long: "all full no-pager lines: output: failed state: type: plain no-legend quiet property: value",
    ..NO_OPTIONS
};

pub(super) const TABLE: &[Entry] = &[
    Entry {
        names: "ps",
        checked: "procps 4.0.2",
        options: Options {
            short: "AFHLMTacdefjlwxyC:G:O:U:g:o:p:q:s:t:u:",
            long: "sort: no-headers no-heading forest headers cols: width: pid: ppid: user: format:",
            ..NO_OPTIONS
        },
        open: true,
        ..PLAIN
    },
    Entry {
        names: "free uptime w who last id groups users vmstat pgrep lscpu lsblk lsmod lspci lsusb",
        checked: "procps 4.0.2, coreutils 9.1, util-linux 2.38.1",
        options: Options {
            short: "GHSTVZabcdefghiklmpqrtuvwxzn::o::s::",
            long: "all bytes full giga gibi human kilo kibi mega mebi lohi total wide pretty since short no-header name real user \
                group groups zero kernel-name kernel-release kernel-version machine nodename operating-system processor json \
                list list-full list-name newest oldest exact count ignore-case",
            ..NO_OPTIONS
        },
        open: true,
        ..PLAIN
    },
    // `arch` runs its words on macOS, and the others have none.
    Entry {
        names: "arch logname nproc tty uname whoami",
        checked: "coreutils 9.1",
        options: Options {
            short: "aimnoprsv",
            long: "all ignore: kernel-name kernel-release kernel-version machine nodename operating-system processor quiet silent",
            ..NO_OPTIONS
        },
        most: Some(0),
        ..PLAIN
    },
    // -D writes.
    Entry {
        names: "lsof",
        checked: "lsof 4.95.0",
        options: Options { short: "PRUalntc:d:i::p:u:", ..NO_OPTIONS },
        begins: "+",
        ..PLAIN
    },
    // A word without a + sets the time, and so does -s.
    Entry {
        names: "date gdate",
        checked: "coreutils 9.1",
        options: Options {
            short: "Rud:r:I::",
            long: "date: iso-8601:: reference: rfc-3339: rfc-email universal utc",
            ..NO_OPTIONS
        },
        begin: "+",
        ..PLAIN
    },
    // A word is the new name.
    Entry {
        names: "hostname dnsdomainname domainname nisdomainname ypdomainname",
        checked: "hostname 3.23",
        options: Options {
            short: "AIadfisy",
            long: "alias all-fqdns all-ip-addresses domain fqdn ip-address long short",
            ..NO_OPTIONS
        },
        most: Some(0),
        ..PLAIN
    },
    // A word with = sets one.
    Entry {
        names: "sysctl",
        checked: "procps 4.0.2",
        options: Options { short: "aNen", long: "all names values pattern:", ..NO_OPTIONS },
        has: "=",
        ..PLAIN
    },
    Entry {
        names: "mount",
        checked: "util-linux 2.38.1",
        options: Options { short: "lv", ..NO_OPTIONS },
        most: Some(0),
        ..PLAIN
    },
    // -c and -C clear what they show, and -H starts a pager.
    Entry {
        names: "dmesg",
        checked: "util-linux 2.38.1",
        options: Options {
            short: "Pdekrtuxf:l:",
            long: "ctime decode facility: level: kernel nopager raw reltime since: until: userspace notime time-format:",
            ..NO_OPTIONS
        },
        most: Some(0),
        ..PLAIN
    },
    // Not what reads other files, or removes and writes.
    Entry {
        names: "journalctl",
        checked: "systemd 252",
        options: Options {
            short: "aefkmqrxb::n::g:o:p:t:u:S:U:",
            long: "all boot:: catalog dmesg follow full grep: identifier: lines:: list-boots no-full no-hostname no-pager \
                no-tail output: pager-end priority: quiet reverse since: unit: until: user-unit: utc disk-usage",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
    // Another host or machine is another place to run, and an editor is a program.
    Entry {
        names: "systemctl",
        checked: "systemd 252",
        faces: &[Face {
            names: "status show cat is-active is-enabled is-failed list-units list-unit-files list-timers list-sockets \
                list-dependencies list-jobs start stop restart reload",
            options: SYSTEMCTL,
            ..FACE
        }],
        kind: Kind::Runs,
        ..PLAIN
    },
];

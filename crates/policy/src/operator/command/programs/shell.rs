//! What a shell does itself.

use crate::operator::command::entry::{Entry, Kind, PLAIN};
use crate::operator::command::options::{NO_OPTIONS, Options};

pub(super) const TABLE: &[Entry] = &[
    // What they take is run, or changes what runs, and no shell but bash has some of them.
    Entry {
        names: "alias bind compgen complete coproc declare enable eval fc getopts hash jobs history let \
            local mapfile readarray shopt trap typeset unalias",
        kind: Kind::Never,
        ..PLAIN
    },
    // They load a file.
    Entry { names: ". source", kind: Kind::Runs, ..PLAIN },
    // Any variable, and with it PATH; `a[$(id)]` is computed.
    Entry { names: "export read readonly unset", kind: Kind::Variables, ..PLAIN },
    Entry {
        names: "echo true false :",
        checked: "bash 5.2, dash 0.5.12",
        kind: Kind::Text,
        open: true,
        ..PLAIN
    },
    // -v 'a[$(id)]' is computed.
    Entry {
        names: "[ test",
        checked: "bash 5.2, dash 0.5.12",
        options: Options {
            single: "a b c d e ef eq f g ge gt h k L le lt n ne nt o O G N ot p r s S t u w x z",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
    // -v and %n set a variable.
    Entry { names: "printf", checked: "bash 5.2, dash 0.5.12", kind: Kind::Printf, ..PLAIN },
    Entry {
        names: "cd pushd popd chdir",
        checked: "bash 5.2, dash 0.5.12",
        options: Options { short: "LP", ..NO_OPTIONS },
        most: Some(1),
        ..PLAIN
    },
    Entry {
        names: "pwd",
        checked: "coreutils 9.1",
        options: Options { short: "LP", long: "logical physical", ..NO_OPTIONS },
        ..PLAIN
    },
    // -k and -a make variables of words, and variables that programs see.
    Entry {
        names: "set",
        checked: "bash 5.2, dash 0.5.12",
        options: Options { short: "Cefnuvxo:", ..NO_OPTIONS },
        begins: "+",
        has: "keyword allexport",
        ..PLAIN
    },
    Entry { names: "wait exit return shift break continue times", checked: "bash 5.2, dash 0.5.12", ..PLAIN },
    Entry {
        names: "type which",
        checked: "debianutils 5.7",
        options: Options { short: "a", ..NO_OPTIONS },
        ..PLAIN
    },
    Entry {
        names: "kill",
        checked: "bash 5.2, procps 4.0.2",
        options: Options {
            short: "0123456789ls:n:",
            single: "HUP INT QUIT KILL USR1 USR2 TERM CONT STOP",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
];

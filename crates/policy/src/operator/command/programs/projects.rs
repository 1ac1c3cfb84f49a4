//! Tools whose first word says what of a project, an image or a machine they run. A policy must name that word by `arguments`.

use crate::operator::command::entry::{Entry, FACE, Face, Kind, PLAIN};
use crate::operator::command::options::{NO_OPTIONS, Options};

pub(super) const TABLE: &[Entry] = &[
    // A makefile is a program, and every variable of it may be set.
    Entry {
        names: "gmake make",
        checked: "GNU make 4.3",
        options: Options { short: "kinqsBj::", long: "keep-going dry-run silent quiet jobs::", ..NO_OPTIONS },
        has: "=",
        kind: Kind::Runs,
        ..PLAIN
    },
    // Not --config, --manifest-path, --target-dir, -Z and -C.
    Entry {
        names: "cargo",
        checked: "cargo 1.95.0",
        faces: &[
            Face {
                names: "check build test bench doc tree metadata run fetch nextest",
                options: Options {
                    short: "qrvp:j:F:",
                    long: "package: workspace all exclude: lib bins bin: examples example: tests test: benches bench: all-targets doc \
                        features: all-features no-default-features release profile: locked offline frozen no-run \
                        no-fail-fast quiet verbose keep-going jobs: message-format: color: no-deps depth: nocapture \
                        exact show-output",
                    ..NO_OPTIONS
                },
                ..FACE
            },
            Face {
                names: "clippy fmt",
                options: Options {
                    short: "qvp:D:W:A:",
                    long: "package: workspace all lib bins tests all-targets features: all-features no-default-features \
                        release locked offline frozen quiet verbose check no-deps message-format: color:",
                    ..NO_OPTIONS
                },
                ..FACE
            },
        ],
        kind: Kind::Runs,
        ..PLAIN
    },
    Entry {
        names: "npm",
        checked: "npm 11.19",
        faces: &[Face {
            names: "test t ls list outdated view audit",
            options: Options {
                short: "sq",
                long: "silent json all depth: long parseable omit: production",
                ..NO_OPTIONS
            },
            ..FACE
        }],
        kind: Kind::Runs,
        ..PLAIN
    },
    Entry {
        names: "docker",
        checked: "Docker 28.2.2",
        faces: &[
            Face {
                names: "ps images version info inspect diff history top port search",
                options: Options {
                    short: "alqsn:f:",
                    long: "all latest last: no-trunc quiet size filter: format: type: digests",
                    ..NO_OPTIONS
                },
                ..FACE
            },
            Face {
                names: "logs stats",
                options: Options {
                    short: "aftn:",
                    long: "follow tail: since: until: timestamps details no-stream all no-trunc",
                    ..NO_OPTIONS
                },
                ..FACE
            },
        ],
        kind: Kind::Runs,
        ..PLAIN
    },
    // A file of settings may name a program that hands out tokens.
    Entry {
        names: "kubectl",
        checked: "kubectl 1.32",
        faces: &[
            Face {
                names: "get describe top explain api-resources events version cluster-info",
                options: Options {
                    short: "Awn:o:l:L:",
                    long: "namespace: all-namespaces output: selector: label-columns: show-labels watch sort-by: no-headers \
                        field-selector: context: containers recursive client",
                    ..NO_OPTIONS
                },
                ..FACE
            },
            Face {
                names: "logs",
                options: Options {
                    short: "fpn:c:l:",
                    long: "follow previous namespace: container: all-containers selector: tail: since: timestamps prefix context:",
                    ..NO_OPTIONS
                },
                ..FACE
            },
        ],
        kind: Kind::Runs,
        ..PLAIN
    },
    // An alias may be a line for a shell, and an extension is a program.
    Entry {
        names: "gh",
        checked: "gh 2.23.0",
        faces: &[Face {
            names: "issue pr repo release run workflow search label status",
            options: Options {
                short: "L:R:S:l:s:A:",
                long: "limit: repo: search: label: state: author: assignee: json: jq: comments log log-failed",
                ..NO_OPTIONS
            },
            ..FACE
        }],
        kind: Kind::Runs,
        ..PLAIN
    },
];

//! Files and archives.

use crate::operator::command::entry::{Entry, Kind, PLAIN};
use crate::operator::command::options::{NO_OPTIONS, Options};

pub(super) const TABLE: &[Entry] = &[
    Entry {
        names: "ls dir vdir",
        checked: "coreutils 9.1",
        options: Options {
            short: "1ABCDGHLNQRSUXZabcdfghiklmnoqrstuvxI:T:p:w:F::",
            long: "all almost-all author block-size: classify:: color:: context dereference directory escape file-type format: \
                full-time group-directories-first hide: human-readable hyperlink:: ignore: ignore-backups indicator-style: inode \
                kibibytes literal no-group numeric-uid-gid quote-name quoting-style: recursive reverse si size sort: tabsize: \
                time: time-style: width: zero",
            ..NO_OPTIONS
        },
        open: true,
        ..PLAIN
    },
    // -exec and -ok run, -delete removes, -fprint and -fls write.
    Entry {
        names: "find",
        checked: "findutils 4.9.0",
        options: Options {
            short: "HLP",
            single: "a amin: and anewer: atime: cmin: cnewer: ctime: daystart depth empty executable false follow fstype: gid: \
                group: ilname: iname: inum: ipath: iregex: iwholename: links: lname: ls maxdepth: mindepth: mmin: mount mtime: \
                name: newer: newermt: newerat: newerct: nogroup noleaf not nouser o or path: perm: print print0 printf: prune quit \
                readable regex: regextype: samefile: size: true type: uid: used: user: wholename: writable xdev xtype:",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
    // -x runs, and -l runs ls.
    Entry {
        names: "fd fdfind",
        checked: "fd 8.6.0",
        options: Options {
            short: "0FHILagispue:t:d:E:S:",
            long: "hidden no-ignore type: extension: max-depth: exclude: absolute-path glob fixed-strings ignore-case \
                case-sensitive full-path follow print0 size: color:",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
    Entry {
        names: "tree",
        checked: "tree 2.1.0",
        options: Options {
            short: "ACDFNSadfghilnpqrstuL:I:P:",
            long: "noreport dirsfirst gitignore prune du si filesfirst",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
    // -C writes a file, -z runs a program, -m is a file for its reader.
    Entry {
        names: "file",
        checked: "file 5.44",
        options: Options {
            short: "0LNbhiknprs",
            long: "brief mime mime-type mime-encoding dereference no-dereference no-pad raw",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
    Entry {
        names: "stat du df",
        checked: "coreutils 9.1",
        options: Options {
            short: "0DHLPSTabfhiklmsvxB:X:c::d::t::",
            long: "all apparent-size block-size: bytes count-links dereference dereference-args exclude: exclude-type: file-system \
                human-readable inodes local max-depth: no-dereference null one-file-system output:: portability print-type \
                printf: format: separate-dirs si summarize terse threshold: time:: time-style: total type:",
            ..NO_OPTIONS
        },
        open: true,
        ..PLAIN
    },
    Entry {
        names: "basename dirname readlink realpath",
        checked: "coreutils 9.1",
        options: Options {
            short: "LPaefmnqvz",
            long: "multiple zero canonicalize canonicalize-existing canonicalize-missing logical physical no-newline quiet silent \
                verbose no-symlinks strip relative-base: relative-to: suffix:",
            ..NO_OPTIONS
        },
        open: true,
        ..PLAIN
    },
    Entry {
        names: "mkdir rmdir touch rm chmod",
        checked: "coreutils 9.1",
        options: Options {
            short: "IRacdfhimprvt:",
            long: "dir force interactive:: no-preserve-root one-file-system recursive verbose parents ignore-fail-on-non-empty \
                mode: date: no-create no-dereference changes quiet silent",
            ..NO_OPTIONS
        },
        open: true,
        ..PLAIN
    },
    // Where they write, their words say anyway.
    Entry {
        names: "cp mv ln",
        checked: "coreutils 9.1",
        options: Options {
            short: "FHLPRTabdfilnprsuvxS:t:",
            long: "archive attributes-only backup:: dereference force interactive link no-clobber no-dereference \
                no-target-directory one-file-system parents preserve:: recursive reflink:: sparse: strip-trailing-slashes \
                suffix: symbolic symbolic-link target-directory: update verbose relative logical physical",
            ..NO_OPTIONS
        },
        open: true,
        ..PLAIN
    },
    // --strip-program runs, and so does -s.
    Entry {
        names: "install",
        checked: "coreutils 9.1",
        options: Options {
            short: "CDTbcdpvg:m:o:t:",
            long: "compare directory group: mode: no-target-directory owner: preserve-timestamps target-directory: verbose",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
    // They write what their words name, or files with names of their own.
    Entry {
        names: "csplit dd gcsplit gdd gsplit gtee gtruncate split sponge tee truncate uudecode",
        checked: "coreutils 9.1, moreutils 0.67",
        options: Options {
            short: "acdeikopqsuxzC:b:f:l:n:r:t:",
            long: "append ignore-interrupts output-error:: bytes: lines: numeric-suffixes:: suffix-length: number: size: \
                no-create prefix: digits: quiet silent",
            ..NO_OPTIONS
        },
        kind: Kind::Writes,
        ..PLAIN
    },
    // Not -I, -F, -g, -M, -P, -T and the long ones that run a program, write a file or read options. An archive with a host before a
    // colon is fetched by a program.
    Entry {
        names: "bsdtar gtar tar",
        checked: "GNU tar 1.34",
        options: Options {
            short: "JOSachjkmoprtuvxzdf:C:",
            long: "create extract list append update diff get file: directory: gzip bzip2 xz zstd verbose exclude: \
                strip-components: wildcards no-same-owner same-owner numeric-owner owner: group: mtime: sort: \
                keep-old-files totals exclude-vcs to-stdout auto-compress dereference",
            ..NO_OPTIONS
        },
        has: ":",
        kind: Kind::Bundled,
        ..PLAIN
    },
    // -T tests with a command, and letters behind one `-` may be a name: -lf writes a log.
    Entry {
        names: "zip",
        checked: "Info-ZIP zip 3.0",
        options: Options {
            single: "0 1 2 3 4 5 6 7 8 9 r q j y u rq qr r9 9r rj ry rqj @",
            long: "recurse-paths quiet junk-paths symlinks update",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
    Entry {
        names: "unzip",
        checked: "Info-ZIP unzip 6.0",
        options: Options { short: "jlnopqtvd:", ..NO_OPTIONS },
        ..PLAIN
    },
    Entry {
        names: "gzip gunzip zcat bzip2 bunzip2 bzcat xz unxz xzcat zstd unzstd zstdcat",
        checked: "gzip 1.12, bzip2 1.0.8, xz 5.4.1, zstd 1.5.4",
        options: Options {
            short: "0123456789cdefklnqrtvz",
            long: "best decompress fast force keep list name no-name quiet recursive stdout test verbose compress extreme",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
];

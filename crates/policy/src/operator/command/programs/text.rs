//! Text and other content.

use crate::operator::command::entry::{Entry, Kind, PLAIN};
use crate::operator::command::options::{NO_OPTIONS, Options};

pub(super) const TABLE: &[Entry] = &[
    Entry {
        names: "head tail",
        checked: "coreutils 9.1",
        options: Options {
            short: "0123456789Fqvzc:n:s:f::",
            long: "bytes: lines: quiet silent verbose zero-terminated follow:: max-unchanged-stats: pid: retry sleep-interval:",
            ..NO_OPTIONS
        },
        open: true,
        ..PLAIN
    },
    Entry {
        names: "cat wc nl tac rev",
        checked: "coreutils 9.1, util-linux 2.38.1",
        options: Options {
            short: "AELTelmpruvb::c::d::f::h::i::n::s::t::w::",
            long: "number number-nonblank show-all show-ends show-nonprinting show-tabs squeeze-blank bytes lines chars \
                max-line-length words body-numbering: header-numbering: footer-numbering: line-increment: number-format: \
                number-separator: number-width: starting-line-number: before regex separator:",
            ..NO_OPTIONS
        },
        open: true,
        ..PLAIN
    },
    Entry {
        names: "grep egrep fgrep",
        checked: "GNU grep 3.8",
        options: Options {
            short: "0123456789EFGHILPRTUVZabchilnoqrsvwxyzA:B:C:D:d:e:f:m:",
            long: "after-context: basic-regexp before-context: binary binary-files: byte-offset color:: colour:: context: count \
                dereference-recursive devices: directories: exclude: exclude-dir: exclude-from: extended-regexp file: \
                files-with-matches files-without-match fixed-strings group-separator: ignore-case include: initial-tab \
                invert-match label: line-buffered line-number line-regexp max-count: no-filename no-group-separator \
                no-ignore-case no-messages null null-data only-matching perl-regexp quiet recursive regexp: silent text \
                with-filename word-regexp",
            ..NO_OPTIONS
        },
        open: true,
        ..PLAIN
    },
    // --pre and --hostname-bin run, and -z runs what unpacks.
    Entry {
        names: "rg",
        checked: "ripgrep 13.0.0",
        options: Options {
            short: "0FHILNPSUachilnopqsuvwxA:B:C:M:T:d:e:f:g:j:m:r:t:",
            long: "after-context: before-context: case-sensitive color: column context: count count-matches files \
                files-with-matches files-without-match fixed-strings follow glob: heading hidden iglob: ignore-case \
                invert-match json line-number max-columns: max-count: max-depth: multiline no-filename no-heading no-ignore \
                no-line-number no-messages null only-matching pcre2 pretty quiet regexp: replace: smart-case sort: sortr: \
                stats text trim type: type-list type-not: vimgrep with-filename word-regexp",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
    // -o writes and --compress-program runs.
    Entry {
        names: "sort",
        checked: "coreutils 9.1",
        options: Options {
            short: "MRVbcdfghimnrsuzCk:t:S:",
            long: "check:: debug dictionary-order field-separator: general-numeric-sort human-numeric-sort ignore-case \
                ignore-leading-blanks ignore-nonprinting key: merge month-sort numeric-sort parallel: random-sort reverse \
                sort: stable unique version-sort zero-terminated",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
    // The second word is written.
    Entry {
        names: "guniq uniq",
        checked: "coreutils 9.1",
        options: Options {
            short: "Dcdiuzf:s:w:",
            long: "all-repeated:: check-chars: count group:: ignore-case repeated skip-chars: skip-fields: unique zero-terminated",
            ..NO_OPTIONS
        },
        most: Some(1),
        ..PLAIN
    },
    // The second word is written, with -r in the middle of what is there.
    Entry {
        names: "xxd",
        checked: "xxd 2022-01-14",
        options: Options { single: "a b e i p ps u E C c: g: l: s: o: n: cols: len: seek:", ..NO_OPTIONS },
        most: Some(1),
        ..PLAIN
    },
    // -l runs pr.
    Entry {
        names: "diff",
        checked: "diffutils 3.8",
        options: Options {
            short: "BENTZabdeinpqrstvwyI:W:X:x:C::U::c::u::",
            long: "brief color:: context:: exclude: exclude-from: expand-tabs ignore-all-space ignore-blank-lines ignore-case \
                ignore-space-change ignore-trailing-space label: minimal new-file no-dereference normal recursive \
                report-identical-files show-c-function side-by-side strip-trailing-cr suppress-common-lines tabsize: text \
                unified:: width:",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
    Entry {
        names: "cmp comm cut join paste tr fold fmt expand unexpand od seq",
        checked: "coreutils 9.1, diffutils 3.8",
        options: Options {
            short: "123CMailuxzA::N::S::b::c::d::e::f::j::n::o::p::s::t::v::w::",
            long: "bytes: check-order characters: complement delete delimiter: delimiters: equal-width fields: format: header \
                ignore-case ignore-initial: nocheck-order only-delimited output-delimiter: print-bytes quiet read-bytes: \
                separator: serial silent skip-bytes: spaces squeeze-repeats tabs: total truncate-set1 verbose width: \
                zero-terminated address-radix:",
            ..NO_OPTIONS
        },
        open: true,
        ..PLAIN
    },
    Entry {
        names: "base64 base32 md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum cksum sum",
        checked: "coreutils 9.1",
        options: Options {
            short: "bcditrszl:a:w::",
            long: "binary check decode ignore-garbage ignore-missing quiet status strict tag text warn wrap: zero length: algorithm:",
            ..NO_OPTIONS
        },
        open: true,
        ..PLAIN
    },
    Entry {
        names: "column hexdump hd",
        checked: "util-linux 2.38.1",
        options: Options {
            short: "CJbcdetvxn:s:o:N:",
            long: "table json separator: output-separator: table-columns: fillrows canonical length: skip: no-squeezing",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
    // A word that begins with @ is a file of options.
    Entry {
        names: "strings",
        checked: "binutils 2.40",
        options: Options {
            short: "adfowe:n:t:",
            long: "all bytes: radix: encoding: print-file-name",
            ..NO_OPTIONS
        },
        begins: "@",
        ..PLAIN
    },
    Entry {
        names: "jq",
        checked: "jq 1.6",
        options: Options {
            short: "CMRSacejnrsf:",
            long: "arg: args argjson: ascii-output color-output compact-output exit-status from-file: indent: jsonargs join-output \
                monochrome-output null-input raw-input raw-output rawfile: slurp slurpfile: sort-keys tab",
            ..NO_OPTIONS
        },
        open: true,
        ..PLAIN
    },
    // -i and -s write.
    Entry { names: "yq", checked: "yq 3.1.0", options: Options { short: "CMNPenr", ..NO_OPTIONS }, ..PLAIN },
    // -o and --shell write, and a word may be an address, which it fetches.
    Entry {
        names: "xmllint",
        checked: "libxml2 2.9.14",
        options: Options {
            single: "noout format html valid nonet noblanks xpath: schema:",
            long: "noout format html valid nonet noblanks xpath: schema:",
            ..NO_OPTIONS
        },
        has: "://",
        ..PLAIN
    },
    Entry {
        names: "iconv shuf",
        checked: "glibc 2.36, coreutils 9.1",
        options: Options {
            short: "celrszf:t:i:n:",
            long: "from-code: to-code: list silent echo head-count: input-range: repeat zero-terminated",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
    // A script may run and write; -i writes.
    Entry { names: "gsed sed", checked: "GNU sed 4.9", kind: Kind::Sed, ..PLAIN },
    // system(…), "…" | getline, print > "…", @load; -f and -i read a script that is not seen.
    Entry {
        names: "awk gawk mawk nawk original-awk",
        checked: "mawk 1.3.4, gawk 5.2.1",
        options: Options { short: "F:v:", long: "field-separator: assign:", ..NO_OPTIONS },
        has: "system | > getline @ ARGV SYMTAB /inet/ /inet4/ /inet6/ \\\n",
        ..PLAIN
    },
    // Commands and keys at the beginning, and logs. A new line in a name ends the quotes around it in what LESSOPEN runs (CVE-2024-32487).
    Entry {
        names: "less zless",
        checked: "less 590",
        options: Options { short: "EFGIJMNQRSXacegimnqrswx:j:", ..NO_OPTIONS },
        begins: "+",
        has: "\n",
        ..PLAIN
    },
    Entry {
        names: "more most pg zmore",
        checked: "util-linux 2.38.1",
        options: Options { short: "0123456789cdflpsun:", ..NO_OPTIONS },
        begins: "+",
        ..PLAIN
    },
    // The pager and the browser are programs; a word with a slash is a file, and no page.
    Entry {
        names: "apropos man whatis",
        checked: "man-db 2.11.2",
        options: Options {
            short: "afkwes:",
            long: "all whatis apropos where path sections: locale:",
            ..NO_OPTIONS
        },
        has: "/",
        ..PLAIN
    },
    Entry {
        names: "bat batcat",
        checked: "bat 0.22.1",
        options: Options {
            short: "Apnul:r:H:",
            long: "plain number show-all language: line-range: style:",
            ..NO_OPTIONS
        },
        ..PLAIN
    },
];

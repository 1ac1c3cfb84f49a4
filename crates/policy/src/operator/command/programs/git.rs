//! git: its faces, and the options of each.

use crate::operator::command::entry::{Entry, FACE, Face, PLAIN};
use crate::operator::command::options::{NO_OPTIONS, Options};

/// What looks at commits and differences. Not -O, -c, -C, --output, --ext-diff, --textconv and --show-signature, which run or write.
const LOOKS: Options = Options {
    short: "0123456789EFPRWabegilpqrstwzn:G:L:S:B::M::U::X::",
    long: "abbrev-commit abbrev:: after: all all-match author-date-order author: before: branches:: cached check cherry-pick color:: \
        committer: count date-order date: decorate:: diff-algorithm: diff-filter: dirstat:: email exit-code extended-regexp \
        find-renames:: first-parent fixed-strings follow format: full-index function-context graph grep: histogram \
        ignore-all-space ignore-blank-lines ignore-space-change invert-grep left-right line-porcelain max-count: merge-base \
        merges minimal name-only name-status no-abbrev-commit no-color no-decorate no-ext-diff no-merges no-patch no-prefix \
        no-renames no-textconv numbered numstat oneline patch patch-with-stat patience pickaxe-all pickaxe-regex porcelain \
        pretty:: quiet raw regexp-ignore-case relative:: remotes:: reverse root shortstat show-email show-name since: \
        simplify-by-decoration skip: staged stat:: summary tags:: topo-order unified: until: walk-reflogs word-diff::",
    ..NO_OPTIONS
};

/// What asks for names and states.
const ASKS: Options = Options {
    short: "abdlqrstvz",
    long: "abbrev-ref abbrev:: ahead-behind all always branch branches contains:: count: deleted dirty:: error-unmatch \
        exact-match exclude-standard exit-code format: full-name full-tree head heads ignored:: is-ancestor \
        is-inside-work-tree long match: merged:: modified name-only no-ahead-behind no-merged:: no-renames others points-at: \
        porcelain:: quiet refs short:: show-current show-stash show-toplevel sort: symref tags untracked-files:: verbose verify",
    ..NO_OPTIONS
};

/// What changes the repository, and runs its hooks.
const CHANGES: Options = Options {
    short: "Aadfnqtvm:b:",
    long: "abort all allow-empty amend cached continue create: detach discard-changes dry-run ff ff-only force hard \
        include-untracked index keep keep-index mainline: merge message: mixed no-commit no-edit no-ff no-stat no-track ours \
        patch quiet signoff skip soft source: squash staged stat theirs track:: update verbose worktree",
    ..NO_OPTIONS
};

/// What talks to other repositories. Not -u of clone, --upload-pack, --receive-pack, --exec, -c and --template.
const TALKS: Options = Options {
    short: "anpqtvfdb:j:",
    long: "all atomic bare branch: deepen: delete depth: dry-run ff-only follow-tags force force-with-lease:: mirror no-checkout \
        no-progress no-rebase no-tags porcelain progress prune quiet rebase:: set-upstream shallow-since: single-branch tags \
        unshallow verbose",
    ..NO_OPTIONS
};

pub(super) const TABLE: &[Entry] = &[Entry {
    names: "git",
    checked: "git 2.47.3",
    options: Options {
        short: "P",
        long: "no-pager namespace: attr-source: no-optional-locks no-replace-objects literal-pathspecs version",
        ..NO_OPTIONS
    },
    faces: &[
        Face {
            names: "log show diff shortlog whatchanged blame annotate rev-list diff-tree diff-index diff-files range-diff \
                cherry show-branch",
            options: LOOKS,
            ..FACE
        },
        Face {
            names: "status ls-files ls-tree cat-file rev-parse describe show-ref name-rev merge-base for-each-ref \
                count-objects version check-ignore",
            options: ASKS,
            ..FACE
        },
        Face {
            names: "grep",
            options: Options {
                short: "0123456789EFHILPWachilnpqvwA:B:C:e:m:",
                long: "all-match and break cached color:: count extended-regexp files-with-matches fixed-strings function-context \
                    heading ignore-case line-number max-depth: name-only no-color not or perl-regexp quiet show-function \
                    text untracked word-regexp",
                ..NO_OPTIONS
            },
            ..FACE
        },
        Face { names: "branch", options: Options { short: "DMadflmqrtv", ..ASKS }, ..FACE },
        Face {
            names: "tag",
            options: Options {
                short: "adflm:n::",
                long: "list annotate message: sort: contains:: format: merged::",
                ..NO_OPTIONS
            },
            ..FACE
        },
        Face { names: "reflog", second: "show exists HEAD", options: LOOKS, ..FACE },
        Face {
            names: "remote",
            second: "show get-url",
            options: Options { short: "v", long: "verbose all push", ..NO_OPTIONS },
            has: "::",
        },
        Face {
            names: "worktree",
            second: "list",
            options: Options { short: "v", long: "porcelain verbose", ..NO_OPTIONS },
            ..FACE
        },
        Face { names: "stash", second: "list show push pop apply drop", options: CHANGES, ..FACE },
        // Not -s of merge, which names a program, and not -S, which signs with one.
        Face { names: "add checkout cherry-pick commit merge mv reset revert rm", options: CHANGES, ..FACE },
        Face { names: "restore", options: Options { short: "SWqs:", ..CHANGES }, ..FACE },
        Face { names: "switch", options: Options { short: "dfqtc:", ..CHANGES }, ..FACE },
        Face { names: "clean", options: Options { short: "Xdfnqxe:", ..NO_OPTIONS }, ..FACE },
        // A word with :: names the program that talks.
        Face { names: "fetch pull clone ls-remote", options: TALKS, has: "::", ..FACE },
        Face { names: "push", options: Options { short: "dfnquv", ..TALKS }, has: "::", ..FACE },
        Face {
            names: "init",
            options: Options { short: "qb:", long: "quiet bare initial-branch:", ..NO_OPTIONS },
            ..FACE
        },
    ],
    begins: "ext:: fd::",
    folder: true,
    ..PLAIN
}];

//! What is known of programs: which of their options and words run something else, or write a file.
//!
//! It is data, as lists of words with a blank between. It holds what a program does that one would not expect of it; that `rm` removes and `cp` writes is what they are
//! for. A program that is not here is one whose words do not matter.

/// One program, or several that are alike.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) names: &'static str,
    /// Long options, without `--`. A beginning of one is refused too, as programs take it for the whole.
    pub(super) long: &'static str,
    /// Letters of short options, refused wherever they stand behind one `-`.
    pub(super) short: &'static str,
    /// Options of a single `-` and a whole name, as `find` has them.
    pub(super) whole: &'static str,
    /// Words that begin with this are refused.
    pub(super) begins: &'static str,
    /// Words that have this in them are refused.
    pub(super) has: &'static str,
    /// Refused as the first word that is no option, unless `arguments` names it as the first of all.
    pub(super) faces: &'static str,
    /// What it says.
    pub(super) kind: Kind,
}

/// How a program's words are judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// By the options that are refused.
    Options,
    /// As with `tar`, whose first word may be options without a `-`.
    Bundled,
    /// It runs what it reads, or has a face for everything: not without `arguments` that name its first word.
    Runs,
    /// As `sed`, whose first word is a program.
    Sed,
    /// As `printf`, of which some write how much they wrote into a variable.
    Printf,
    /// It sets the variables that it names.
    Variables,
    /// Never.
    Never,
}

const NONE: Entry =
    Entry { names: "", long: "", short: "", whole: "", begins: "", has: "", faces: "", kind: Kind::Options };

/// The table. Each line says why.
pub(super) const TABLE: &[Entry] = &[
    // What they take is run, or changes what runs, and no shell but bash has some of them.
    Entry {
        names: "alias bind compgen complete coproc declare enable eval fc getopts hash jobs history let \
            local mapfile readarray shopt trap typeset unalias",
        kind: Kind::Never,
        ..NONE
    },
    // They start a program behind options that are not followed here.
    Entry {
        names: "at batch chroot crontab dbus-run-session entr fakeroot firejail flock gdb ld.so ld-linux \
            ltrace nsenter parallel perf pkexec proot prlimit run-parts runuser script setarch \
            setpriv start-stop-daemon strace su systemd-run unshare valgrind xvfb-run",
        kind: Kind::Never,
        ..NONE
    },
    // Any variable, and with it PATH; `a[$(id)]` is computed.
    Entry { names: "export read readonly unset", kind: Kind::Variables, ..NONE },
    // -v 'a[$(id)]' is computed.
    Entry { names: "[ test", whole: "-v -R", ..NONE },
    // -v and %n set a variable.
    Entry { names: "printf", short: "v", kind: Kind::Printf, ..NONE },
    Entry { names: "wait", short: "p", ..NONE },
    // With -k, `ls PATH=.` sets PATH.
    Entry { names: "set", short: "k", has: "keyword", ..NONE },
    // They load a file.
    Entry { names: ". source", kind: Kind::Runs, ..NONE },
    // Languages: they run what they read, also from a pipe.
    Entry {
        names: "bc bun clisp csh dc deno elixir erl expect fish ghci gnuplot groovy guile irb java julia \
            jshell ksh lua luajit mksh node nodejs ocaml osascript perl php powershell pwsh pypy \
            python r racket rscript ruby scala swift tclsh tcsh ts-node wish yash zsh",
        short: "ceEmMrSI",
        long: "eval exec print require run command import",
        kind: Kind::Runs,
        ..NONE
    },
    // Editors and what has a shell behind a key or a command.
    Entry {
        names: "ed emacs emacsclient ex gvim info joe mail mailx mc mutt mysql nano nvim pico psql \
            ranger red rview rvim screen sqlite tmux top htop vi view vim vimdiff w3m lynx ftp \
            telnet gdbserver socat nc ncat netcat",
        short: "ceESrsuUW",
        long: "cmd command eval exec execute sh-exec lua-exec",
        begins: "+",
        kind: Kind::Runs,
        ..NONE
    },
    // Tools whose faces run what a project, a package or an image holds.
    Entry {
        names: "ansible ansible-playbook apt apt-get aptitude brew bundle cargo cmake composer conda \
            ctest dnf docker dpkg flatpak gem go gradle helm just kubectl meson mvn ninja npm npx \
            opkg pacman pip pipx pnpm podman poetry rake rpm rustup snap systemctl terraform tox uv \
            uvx vagrant yarn yum zypper",
        short: "oHM",
        long: "config exec option host plugin unsafe",
        kind: Kind::Runs,
        ..NONE
    },
    // A makefile is a program, and every variable of it may be set.
    Entry {
        names: "gmake make",
        short: "CEfIo",
        long: "directory eval file include-dir makefile old-file",
        has: "=",
        kind: Kind::Runs,
        ..NONE
    },
    // -c sets what pagers and transports are; others name a program or a file, or another repository with a configuration
    // of its own.
    Entry {
        names: "git",
        short: "cCoOux",
        long: "config config-env exec exec-path extcmd git-dir open-files-in-pager output \
            output-directory receive-pack sendmail-cmd template upload-pack work-tree",
        begins: "ext:: fd::",
        faces: "bisect citool config credential credential-cache credential-store cvsserver daemon \
            difftool filter-branch for-each-repo gui hook http-backend instaweb lfs maintenance \
            merge-index merge-one-file mergetool p4 rebase receive-pack remote-ext remote-fd replay \
            send-email shell submodule svn upload-archive upload-pack web--browse",
        ..NONE
    },
    Entry {
        names: "hg svn",
        short: "eR",
        long: "config config-dir config-option diff-cmd diff3-cmd editor-cmd repository cwd ssh",
        begins: "ext::",
        ..NONE
    },
    // Commands, files and removal.
    Entry {
        names: "find",
        whole: "-delete -exec -execdir -fls -fprint -fprint0 -fprintf -ok -okdir -files0-from",
        ..NONE
    },
    Entry { names: "fd fdfind", short: "xX", long: "exec exec-batch", ..NONE },
    // -I, -F and the long ones run a program, a list of files may hold options, and an archive with a host before a colon is
    // fetched by a program.
    Entry {
        names: "bsdtar gtar tar",
        short: "FIT",
        long: "checkpoint-action files-from info-script new-volume-script rmt-command rsh-command to-command \
            use-compress-program index-file volno-file",
        has: ":",
        kind: Kind::Bundled,
        ..NONE
    },
    Entry { names: "cpio", short: "FO", long: "rsh-command file", ..NONE },
    // -T tests with a command.
    Entry { names: "zip zipnote zipsplit", short: "T", long: "test unzip-command", whole: "-TT", ..NONE },
    Entry { names: "sort", short: "o", long: "compress-program output", ..NONE },
    Entry { names: "shuf tree iconv xmllint yq", short: "oi", long: "output inplace", ..NONE },
    Entry { names: "split", long: "filter", ..NONE },
    // A script may run and write; -i writes.
    Entry { names: "gsed sed", kind: Kind::Sed, ..NONE },
    // system(…), "…" | getline, print > "…", @load; -f and -i read a script that is not seen.
    Entry {
        names: "awk gawk mawk nawk original-awk",
        short: "dDefiEloipW",
        long: "debug dump-variables exec file include load pretty-print profile source",
        has: "system | > getline @ \\\n",
        ..NONE
    },
    // -e names the program that connects, and words for another host may hold options for it.
    Entry {
        names: "rsync",
        short: "eM",
        long: "rsh rsync-path remote-option log-file write-batch only-write-batch early-input daemon \
            config copy-as",
        ..NONE
    },
    // ProxyCommand and the like stand behind -o and in a file behind -F; -S names the program.
    Entry { names: "scp sftp", short: "oFSDb", ..NONE },
    // -D and -s load a library.
    Entry { names: "ssh-add ssh-keygen", short: "DIsS", ..NONE },
    Entry {
        names: "curl",
        short: "cDEKoOT",
        long: "alt-svc config cookie-jar dump-header engine etag-save hsts libcurl output output-dir \
            remote-header-name remote-name remote-name-all stderr trace trace-ascii upload-file",
        has: "%output",
        ..NONE
    },
    // -e runs as if in .wgetrc; a download is a file, wherever it is told to go.
    Entry {
        names: "wget",
        short: "aeoOP",
        long: "append-output config directory-prefix execute hsts-file output-document output-file \
            rejected-log save-cookies use-askpass warc-file",
        ..NONE
    },
    // Keys and commands at the beginning, and logs.
    Entry {
        names: "less more most pg zless zmore",
        short: "okOtT",
        long: "LOG-FILE cmd log-file lesskey-content lesskey-file lesskey-src tag tag-file",
        begins: "+",
        ..NONE
    },
    // The pager and the browser are programs; -C and -l read what is not a page.
    Entry {
        names: "apropos man whatis",
        short: "CHlMPRT",
        long: "config-file gxditview html local-file manpath pager preprocessor troff-device",
        ..NONE
    },
    Entry { names: "rg", long: "pre hostname-bin", ..NONE },
    Entry { names: "ack ag bat batcat delta", long: "pager ackrc config-file", ..NONE },
    // -z runs at each turn of the file that -w writes.
    Entry { names: "tcpdump tshark dumpcap", short: "wzWX", ..NONE },
    Entry { names: "nmap", short: "oi", long: "script datadir resume stylesheet", ..NONE },
    // Engines and providers are libraries.
    Entry {
        names: "openssl",
        whole: "-engine -out -provider -provider-path -config -writerand -keyout",
        ..NONE
    },
    Entry {
        names: "gpg gpg2",
        short: "o",
        long: "agent-program dirmngr-program exec-path homedir keyserver-options load-extension options \
            output photo-viewer",
        ..NONE
    },
    // A compiler's parts are programs, and a file of options may name them.
    Entry {
        names: "c++ cc clang clang++ g++ gcc ld rustc",
        short: "BoC",
        long: "codegen output specs",
        whole: "-wrapper -specs -fplugin",
        begins: "@ -specs= -fplugin= -Wl, -Xlinker",
        ..NONE
    },
    Entry {
        names: "pandoc latex pdflatex tex xelatex",
        short: "oFL",
        long: "filter lua-filter output pdf-engine extract-media data-dir defaults shell-escape",
        whole: "-shell-escape",
        ..NONE
    },
    // A name space and a batch hold commands.
    Entry { names: "ip tc bridge", short: "b", long: "batch", whole: "-batch", faces: "netns vrf", ..NONE },
    Entry { names: "dmidecode", long: "dump-bin", ..NONE },
    Entry { names: "journalctl", long: "file vacuum-files vacuum-size vacuum-time rotate flush", ..NONE },
    Entry {
        names: "loginctl machinectl busctl networkctl resolvectl",
        short: "HM",
        long: "host machine",
        faces: "login shell edit",
        ..NONE
    },
];

/// The words of a list.
pub(super) fn listed(list: &str) -> impl Iterator<Item = &str> {
    list.split(' ').filter(|word| !word.is_empty())
}

pub(super) fn has(list: &str, word: &str) -> bool {
    listed(list).any(|own| own == word)
}

/// What is known of a program, by its name without its folder and version.
pub(super) fn known(program: &str) -> Option<&'static Entry> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let find = |name: &str| TABLE.iter().find(|entry| has(entry.names, name));
    find(name).or_else(|| find(&unversioned(name).to_ascii_lowercase()))
}

/// `python` of `python3.11`, `clang` of `clang-15`.
pub(super) fn unversioned(name: &str) -> &str {
    name.trim_end_matches(|sign: char| sign.is_ascii_digit() || sign == '.' || sign == '-')
}

#[cfg(test)]
mod tests {
    use super::{Entry, Kind, TABLE, has, known, listed};

    /// What a row of `docs/policy.md` says of an entry.
    fn row(entry: &Entry) -> String {
        let list = |begin: &str, words: &str| -> Vec<String> {
            listed(words)
                .map(|word| format!("`{begin}{}`", word.replace('|', r"\|").replace('\n', "⏎")))
                .collect()
        };
        let letters: Vec<String> = entry.short.chars().map(|letter| format!("`-{letter}`")).collect();
        let options = [letters, list("", entry.whole), list("--", entry.long)].concat().join(" ");
        let said = |before: &str, words: &str| {
            (!words.is_empty()).then(|| format!("{before} {}", list("", words).join(" ")))
        };
        let kind = match entry.kind {
            Kind::Options => None,
            Kind::Bundled => Some("the same without `-` in their first word"),
            Kind::Runs => Some("anything, without `arguments` for them"),
            Kind::Sed => Some(
                "other options than `-n` `-E` `-r` `-s` `-u` `-z`, and a script that is more than lines and `p` `d` `q` `=` `l`, or `s` with the flags `g` `p` `i` and a number",
            ),
            Kind::Printf => Some("a `%n` in a word"),
            Kind::Variables => Some("variables that may not be assigned"),
            Kind::Never => Some("anything"),
        };
        let parts = [
            kind.map(str::to_owned),
            (!options.is_empty()).then_some(options),
            said("words that begin with", entry.begins),
            said("words with", entry.has),
            said("the first word, unless `arguments` names it,", entry.faces),
        ];
        format!(
            "| {} | {} |\n",
            list("", entry.names).join(" "),
            parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
        )
    }

    #[test]
    fn the_documentation_has_the_whole_table() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md");
        let page = std::fs::read_to_string(page).unwrap();
        let rows: String = TABLE.iter().map(row).collect();
        let head = "<!-- options -->\n| programs | do not hold with |\n|---|---|\n";
        let expected = format!("{head}{rows}<!-- /options -->");
        assert!(page.contains(&expected), "expected in docs/policy.md:\n{expected}");
    }

    #[test]
    fn a_program_is_in_the_table_once_and_found_with_folder_and_version() {
        let mut names: Vec<_> = TABLE.iter().flat_map(|entry| listed(entry.names)).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
        for (program, name) in [
            ("git", "git"),
            ("/usr/bin/git", "git"),
            ("python3.11", "python"),
            ("clang-15", "clang"),
            ("Rscript", "rscript"),
        ] {
            assert!(has(known(program).unwrap().names, name), "{program}");
        }
        assert!(known("ls").is_none());
    }
}

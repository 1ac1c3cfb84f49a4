//! Programs that start another: where, among their words, the other one begins.
//!
//! Their options are those that are known to be harmless. With any other, a wrapper does not hold.

use super::options::{NO_OPTIONS, Options, Takes, is_value};
use super::programs::unversioned;
use super::word::Word;

/// How one starts another.
#[derive(Debug)]
pub(super) struct Wrapper {
    names: &'static [&'static str],
    options: Options,
    /// Words before the command that are its own.
    own: usize,
    dashes: Dashes,
    /// Whether `NAME=value` may stand before the command.
    assigns: bool,
    /// Whether it does something harmless without a command.
    alone: bool,
    inner: Inner,
}

#[derive(Debug, Clone, Copy)]
enum Inner {
    /// The rest is a program with its words.
    Words,
    /// And more words follow that are not seen.
    MoreWords,
    /// The rest, joined by blanks, is a line.
    Line,
}

/// What `--` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dashes {
    EndOptions,
    /// What follows is read for options all the same.
    Refused,
}

const NONE: Wrapper = Wrapper {
    names: &[],
    options: NO_OPTIONS,
    own: 0,
    dashes: Dashes::EndOptions,
    assigns: false,
    alone: false,
    inner: Inner::Words,
};

const WRAPPERS: &[Wrapper] = &[
    Wrapper { names: &["builtin", "nohup", "busybox", "toybox"], ..NONE },
    Wrapper { names: &["chrt"], options: Options { short: "bfior", ..NO_OPTIONS }, own: 1, ..NONE },
    Wrapper { names: &["command"], options: Options { short: "pvV", ..NO_OPTIONS }, alone: true, ..NONE },
    Wrapper { names: &["doas"], options: Options { short: "nu:", ..NO_OPTIONS }, ..NONE },
    // Not -S, which splits a word, and not -C, which goes to another folder.
    Wrapper {
        names: &["env"],
        options: Options { short: "i0u:", long: "ignore-environment null unset:", ..NO_OPTIONS },
        assigns: true,
        alone: true,
        ..NONE
    },
    // Not -a, by whose name some programs are another, and not -l, which makes a shell load its profile.
    Wrapper { names: &["exec"], options: Options { short: "c", ..NO_OPTIONS }, alone: true, ..NONE },
    Wrapper {
        names: &["ionice"],
        options: Options { short: "tc:n:", long: "class: classdata: ignore", ..NO_OPTIONS },
        alone: true,
        ..NONE
    },
    Wrapper {
        names: &["nice"],
        options: Options { short: "0123456789n:", long: "adjustment:", ..NO_OPTIONS },
        alone: true,
        ..NONE
    },
    Wrapper {
        names: &["setsid"],
        options: Options { short: "cfw", long: "ctty fork wait", ..NO_OPTIONS },
        ..NONE
    },
    // What is on the other host is a line for its shell. Not -o, -F, -J, -S and what forwards. `--` does not end its options.
    Wrapper {
        names: &["ssh"],
        options: Options { short: "46CnqTtvxl:p:", ..NO_OPTIONS },
        own: 1,
        dashes: Dashes::Refused,
        inner: Inner::Line,
        ..NONE
    },
    Wrapper {
        names: &["stdbuf"],
        options: Options { short: "e:i:o:", long: "error: input: output:", ..NO_OPTIONS },
        ..NONE
    },
    // Not -s, -i, -e, which start a shell or an editor.
    Wrapper {
        names: &["sudo"],
        options: Options {
            short: "EHknPSg:u:",
            long: "group: non-interactive preserve-env set-home user:",
            ..NO_OPTIONS
        },
        assigns: true,
        ..NONE
    },
    Wrapper { names: &["taskset"], options: Options { short: "ac", ..NO_OPTIONS }, own: 1, ..NONE },
    // To bash it is a word of the grammar, which takes an option of the program's for the command.
    Wrapper { names: &["time"], alone: true, ..NONE },
    Wrapper {
        names: &["timeout"],
        options: Options {
            short: "vk:s:",
            long: "foreground kill-after: preserve-status signal: verbose",
            ..NO_OPTIONS
        },
        own: 1,
        ..NONE
    },
    Wrapper {
        names: &["watch"],
        options: Options {
            short: "bcegtd::n:",
            long: "beep color differences:: errexit interval: no-title",
            ..NO_OPTIONS
        },
        inner: Inner::Line,
        ..NONE
    },
    // Not -I and -i, with which what it reads may become the program.
    Wrapper {
        names: &["xargs"],
        options: Options {
            short: "0rtxd:E:L:n:P:s:",
            long: "delimiter: max-args: max-procs: no-run-if-empty null verbose",
            ..NO_OPTIONS
        },
        inner: Inner::MoreWords,
        ..NONE
    },
];

/// Shells of which all read a line as this crate does.
const SHELLS: [&str; 4] = ["ash", "bash", "dash", "sh"];

/// What a wrapper starts.
#[derive(Debug, PartialEq)]
pub(super) enum Starts {
    Nothing,
    Words(Vec<Word>),
    Line(String),
}

fn name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// Whether a program is one that starts another.
pub(super) fn is_wrapper(program: &str) -> bool {
    let name = name(program);
    is_shell(program) || WRAPPERS.iter().any(|wrapper| wrapper.names.contains(&name))
}

pub(super) fn is_shell(program: &str) -> bool {
    let name = name(program);
    SHELLS.contains(&name) || SHELLS.contains(&unversioned(name))
}

/// The line that a shell with `-c` runs.
pub(super) fn shell(words: &[Word]) -> Option<String> {
    let harmless = |letters: &str| letters.chars().all(|letter| matches!(letter, 'e' | 'u' | 'x'));
    for (at, word) in words.iter().enumerate() {
        let letters = word.text.strip_prefix('-').filter(|letters| !word.open && !letters.is_empty())?;
        if letters.strip_suffix('c').is_some_and(harmless) {
            // What begins so is one more option, and the line stands behind it.
            let line = words.get(at + 1).filter(|line| !line.open && !line.text.starts_with(['-', '+']))?;
            return Some(line.text.clone());
        }
        if !harmless(letters) {
            return None;
        }
    }
    None
}

/// The options that are a wrapper's own, and what it starts; `None` where that cannot be told.
/// `may_set` says which variables may be set to what.
pub(super) fn followed(
    program: &str,
    words: &[Word],
    may_set: &dyn Fn(&str, &str) -> bool,
) -> Option<(usize, Starts)> {
    let wrapper = WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&name(program)))?;
    let options = wrapper.options(words)?;
    let mut at = options + wrapper.own;
    // An open word may be several, or none.
    if words.get(..at)?.iter().any(|word| word.open) {
        return None;
    }
    // An odd one may be an option, or a line for another shell.
    if !words.get(options..at)?.iter().all(|word| is_plain(&word.text)) {
        return None;
    }
    if wrapper.assigns {
        while let Some((name, value)) = words.get(at).and_then(|word| word.text.split_once('=')) {
            if !may_set(name, value) || words.get(at)?.open {
                return None;
            }
            at += 1;
        }
    }
    let inner = words.get(at..)?;
    if inner.is_empty() {
        return wrapper.alone.then_some((options, Starts::Nothing));
    }
    let starts = match wrapper.inner {
        Inner::Words => Starts::Words(inner.to_vec()),
        Inner::MoreWords => Starts::Words(inner.iter().cloned().chain([Word::unknown()]).collect()),
        Inner::Line if inner.iter().any(|word| word.open) => return None,
        Inner::Line => {
            Starts::Line(inner.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" "))
        }
    };
    Some((options, starts))
}

impl Wrapper {
    /// How many words are options and their values.
    fn options(&self, words: &[Word]) -> Option<usize> {
        let mut at = 0;
        while let Some(word) = words.get(at) {
            let text = word.text.as_str();
            if word.open || !text.starts_with('-') || text == "-" {
                break;
            }
            at += 1;
            if text == "--" {
                return (self.dashes == Dashes::EndOptions).then_some(at);
            }
            at += match (self.options.takes(text)?, words.get(at)) {
                (Takes::Nothing, _) => 0,
                (Takes::Word, Some(next)) if is_value(&next.text) => 1,
                (Takes::Word, _) => return None,
            };
        }
        Some(at)
    }
}

/// Whether a wrapper's own word is a host, a time or a number.
fn is_plain(word: &str) -> bool {
    word.starts_with(|sign: char| sign.is_ascii_alphanumeric())
        && word.chars().all(|sign| sign.is_ascii_alphanumeric() || "_.@:,/+%-".contains(sign))
}

#[cfg(test)]
mod tests {
    use super::super::programs::known;
    use super::{SHELLS, Starts, WRAPPERS, Word, followed, shell};

    fn may_set(name: &str, _: &str) -> bool {
        name != "PATH"
    }

    fn words(line: &str) -> Vec<Word> {
        line.split('_').map(Word::plain).collect()
    }

    #[test]
    fn the_command_begins_behind_a_wrappers_own_words() {
        for (program, line, inner) in [
            ("env", "-i_A=b_ls_-l", "ls_-l"),
            ("env", "-u_A_ls", "ls"),
            ("env", "--unset=A_ls", "ls"),
            ("sudo", "-n_-u_root_--_ls", "ls"),
            ("sudo", "-nuroot_ls", "ls"),
            ("timeout", "-k_5_10_ls", "ls"),
            ("nice", "-10_ls", "ls"),
            ("nice", "-n_10_ls", "ls"),
            ("stdbuf", "-oL_ls", "ls"),
            ("exec", "-c_ls", "ls"),
            ("/usr/bin/env", "ls", "ls"),
            ("command", "-v_ls", "ls"),
        ] {
            assert_eq!(
                followed(program, &words(line), &may_set).unwrap().1,
                Starts::Words(words(inner)),
                "{program} {line}"
            );
        }
        assert_eq!(
            followed("ssh", &words("-p_22_host_ls_-l"), &may_set).unwrap().1,
            Starts::Line("ls -l".into())
        );
        assert_eq!(followed("env", &[], &may_set), Some((0, Starts::Nothing)));
        for (program, line) in [
            ("env", "-S_ls"),
            ("env", "PATH=._ls"),
            ("sudo", "-s"),
            ("sudo", "-i_ls"),
            ("sudo", "-n"),
            ("sudo", "-u"),
            ("xargs", "-I{}_ls"),
            ("timeout", "5"),
            ("time", "-o_x_ls"),
            ("ssh", "host"),
            ("ssh", "-oProxyCommand=id_host_ls"),
            ("ssh", "--_-oProxyCommand=id_ls"),
            ("ssh", "--_host_ls"),
            ("ssh", "-l_-oProxyCommand=id_host_ls"),
            ("ssh", "a;id_ls"),
            ("timeout", "--_-5_ls"),
            ("sudo", "-u_-s_ls"),
            ("env", "--ignore_ls"),
        ] {
            assert_eq!(followed(program, &words(line), &may_set), None, "{program} {line}");
        }
        assert_eq!(followed("env", &words("A=b_ls"), &|_, _| false), None);
    }

    #[test]
    fn a_shell_runs_the_line_behind_c() {
        for (line, inner) in [("-c_ls -l", "ls -l"), ("-ec_ls", "ls"), ("-e_-u_-c_ls_a_b", "ls")] {
            assert_eq!(shell(&words(line)).as_deref(), Some(inner), "{line}");
        }
        for line in ["", "x.sh", "-s", "-c", "-c_-x_ls", "-ic_ls", "-o_x_-c_ls", "--norc_-c_ls", "-_x"] {
            assert_eq!(shell(&words(line)), None, "{line}");
        }
    }

    #[test]
    fn a_program_is_in_one_table() {
        for name in WRAPPERS.iter().flat_map(|wrapper| wrapper.names).chain(&SHELLS) {
            assert!(known(name).is_none(), "{name}");
        }
    }
}

//! Which variables a line may set.
//!
//! Thousands of variables change what some program runs or where it writes, so what holds is a list of those that do not: how
//! text is shown and sorted. A policy may name more. A variable that is not exported is the line's own, and may have any name in
//! small letters; POSIX keeps those free for this.

use super::Commands;
use super::options::has;
use super::word::Word;

/// They change how a program shows text and time, and nothing else.
const HARMLESS: &str = "CLICOLOR CLICOLOR_FORCE COLORTERM COLUMNS FORCE_COLOR LANG LANGUAGE LC_ADDRESS LC_ALL LC_COLLATE LC_CTYPE \
    LC_IDENTIFICATION LC_MEASUREMENT LC_MESSAGES LC_MONETARY LC_NAME LC_NUMERIC LC_PAPER LC_TELEPHONE LC_TIME LINES NO_COLOR TERM TZ";

/// Those that no policy may name, as they change which program runs, or how: by their whole names.
const NAMES: [&str; 38] = [
    "BROWSER",         // what opens pages
    "CC",              // what make starts
    "CDPATH",          // where cd goes
    "CXX",             // as CC
    "ENV",             // what sh loads first
    "EUID",            // as RANDOM
    "FCEDIT",          // what fc starts
    "FPATH",           // where functions are found
    "GCC_EXEC_PREFIX", // where gcc finds its parts
    "GLIBC_TUNABLES",  // how the loader works
    "GLOBIGNORE",      // what * stands for
    "HOME",            // where every program finds its configuration
    "HOSTALIASES",     // where a name leads
    "IFS",             // where words end
    "INFOPATH",        // what info reads
    "INPUTRC",         // what readline loads
    "LD",              // what make starts
    "LESS",            // options of less
    "LESSCLOSE",       // what less starts
    "LESSOPEN",        // what less starts
    "LINENO",          // as RANDOM
    "MORE",            // options of more
    "OLDPWD",          // where cd goes
    "POSIXLY_CORRECT", // how options are read
    "PPID",            // as RANDOM
    "PROMPT_COMMAND",  // what bash runs
    "PWD",             // where programs believe to be
    "RANDOM",          // bash computes what it is set to, as in a[$(id)]
    "RUSTC",           // what cargo starts
    "SECONDS",         // as RANDOM
    "SHELL",           // what programs start for a shell
    "SRANDOM",         // as RANDOM
    "TERMCAP",         // what terminals are sent
    "TERMINFO",        // what terminals are sent
    "TMPDIR",          // where what runs next may be written
    "UID",             // as RANDOM
    "VISUAL",          // what edits
    "ZDOTDIR",         // what zsh loads
];

/// By what they begin with.
const BEGINNINGS: [&str; 38] = [
    "BASH", // BASH_ENV, BASHOPTS, BASH_FUNC_…
    "BUNDLE_",
    "CARGO",
    "CURL_",
    "DOCKER_",
    "DOTNET_",
    "DYLD_", // LD_ of macOS
    "EMACS",
    "EPOCH",  // as RANDOM
    "GCONV_", // libraries that iconv loads
    "GEM_",
    "GIT", // GIT_SSH_COMMAND, GIT_PAGER, GIT_CONFIG_…
    "GNUPG",
    "HIST", // HISTCMD is as RANDOM, HISTFILE is written
    "JAVA",
    "JDK_",
    "KUBE",
    "LD_", // LD_PRELOAD
    "LUA_",
    "MAKE",
    "MALLOC_",
    "NODE",
    "NPM_",
    "OPENSSL_", // engines that are loaded
    "OPT",      // OPTIND is as RANDOM
    "PERL",
    "PHP",
    "PIP_",
    "PS", // PS1 to PS4 are expanded
    "PYTHON",
    "RSYNC_",
    "RUBY",
    "RUSTC_",
    "SHELLOPTS",
    "SSH_",  // SSH_ASKPASS
    "SUDO_", // SUDO_ASKPASS
    "XDG_",  // where programs find their configuration
    "ZSH",
];

/// By what they end with.
const ENDINGS: [&str; 17] = [
    "ASKPASS", "EDITOR", // EDITOR, SUDO_EDITOR
    "PAGER",  // PAGER, MANPAGER, SYSTEMD_PAGER
    "PATH",   // PATH, LUA_PATH, LOCPATH
    "RSH",    // CVS_RSH
    "SHELL", "_CMD", "_COMMAND", "_CONF", "_CONFIG", "_FILE", "_FLAGS", "_HOME",
    "_OPTIONS", // TAR_OPTIONS, GREP_OPTIONS
    "_OPTS", "_PROXY", "RC", // WGETRC, SYSTEM_WGETRC
];

/// Whether POSIX has `name` for a variable.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|sign: char| sign.is_ascii_alphabetic() || sign == '_')
        && name.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_')
}

/// Whether a policy may allow to set `name`. What is no name of a variable may hide anything, such as `a[$(id)]`, which bash
/// computes.
pub(super) fn can_allow(name: &str) -> bool {
    // Some are read in small letters too.
    let capital = name.to_ascii_uppercase();
    is_name(name)
        && !NAMES.contains(&capital.as_str())
        && !BEGINNINGS.iter().any(|beginning| capital.starts_with(beginning))
        && !ENDINGS.iter().any(|ending| capital.ends_with(ending))
}

/// Whether a value of a variable that is harmless is one of its kind: a locale, a zone, a terminal, a number. A path may lead to a
/// file that is made for this.
fn is_plain(value: &str) -> bool {
    let is_path = value.starts_with(['/', ':', '.']) || value.contains("..");
    !is_path && value.chars().all(|sign| sign.is_ascii_alphanumeric() || "_.@+:,/-".contains(sign))
}

impl Commands {
    /// Whether `name` may be set for a program that is started, to `value` where that is known.
    pub(super) fn may_export(&self, name: &str, value: Option<&str>) -> bool {
        let is_listed = self.variables.iter().any(|own| **own == *name);
        let is_harmless = || has(HARMLESS, name) && value.is_none_or(is_plain);
        self.parts.assignments && (is_listed || is_harmless())
    }

    /// Whether `name` may be set for the line alone: where the variable is exported already, programs get it all the same.
    pub(super) fn may_set(&self, name: &str, value: Option<&str>) -> bool {
        let is_small = name.chars().all(|sign| !sign.is_ascii_uppercase()) && name != "_";
        self.parts.assignments && ((is_small && can_allow(name)) || self.may_export(name, value))
    }

    /// Whether `export`, `read` and their like may have these words, all of which are known.
    pub(super) fn sets_harmless(&self, program: &str, words: &[Word]) -> bool {
        let options: &[&str] = match program {
            "export" | "readonly" => &["-p"],
            "read" => &["-r", "-s"],
            _ => &["-v"],
        };
        words.iter().map(|word| word.text.as_str()).filter(|word| !options.contains(word)).all(|word| {
            let (name, value) =
                word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            if program == "export" { self.may_export(name, value) } else { self.may_set(name, value) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{HARMLESS, can_allow, is_plain};
    use crate::operator::command::options::listed;

    #[test]
    fn no_policy_may_name_a_variable_that_changes_what_runs() {
        for name in [
            "PATH",
            "LD_PRELOAD",
            "IFS",
            "ENV",
            "BASH_ENV",
            "SHELLOPTS",
            "PS4",
            "GIT_SSH_COMMAND",
            "GIT_PAGER",
            "PAGER",
            "EDITOR",
            "VISUAL",
            "PYTHONSTARTUP",
            "PERL5OPT",
            "NODE_OPTIONS",
            "LESSOPEN",
            "MANPAGER",
            "TAR_OPTIONS",
            "HOME",
            "XDG_CONFIG_HOME",
            "RSYNC_RSH",
            "CVS_RSH",
            "WGETRC",
            "BASH_FUNC_ls%%",
            "RANDOM",
            "SRANDOM",
            "OPTIND",
            "HISTCMD",
            "https_proxy",
            "npm_config_script_shell",
            "a[0]",
            "",
            "1a",
            "é",
        ] {
            assert!(!can_allow(name), "{name}");
        }
        for name in ["FOO", "DEBUG", "_x", "CI", "RUST_LOG"].into_iter().chain(listed(HARMLESS)) {
            assert!(can_allow(name), "{name}");
        }
    }

    #[test]
    fn a_value_that_may_lead_to_a_file_is_not_plain() {
        for value in ["", "C", "C.UTF-8", "de_DE@euro", "Europe/Berlin", "UTC+2", "xterm-256color", "80"] {
            assert!(is_plain(value), "{value}");
        }
        for value in ["/tmp/x", ":/tmp/x", "../x", "a/../../x", "./x", "$x", "a b", "a[$(id)]", "é", "%n"] {
            assert!(!is_plain(value), "{value}");
        }
    }
}

//! Variables that change which program runs, or how. Setting one is never allowed.

/// By their whole names.
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
const ENDINGS: [&str; 16] = [
    "ASKPASS", "EDITOR", // EDITOR, SUDO_EDITOR
    "PAGER",  // PAGER, MANPAGER, SYSTEMD_PAGER
    "PATH",   // PATH, LUA_PATH, LOCPATH
    "RSH",    // CVS_RSH
    "SHELL", "_CMD", "_COMMAND", "_CONF", "_CONFIG", "_FILE", "_FLAGS", "_HOME",
    "_OPTIONS", // TAR_OPTIONS, GREP_OPTIONS
    "_OPTS", "RC", // WGETRC, SYSTEM_WGETRC
];

/// Whether POSIX has `name` for a variable.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|sign: char| sign.is_ascii_alphabetic() || sign == '_')
        && name.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_')
}

/// Whether setting `name` changes nothing but what a program reads of it. What is no name of a variable may hide anything, such
/// as `a[$(id)]`, which bash computes.
pub(super) fn is_harmless(name: &str) -> bool {
    // Some are read in small letters too.
    let capital = name.to_ascii_uppercase();
    is_name(name)
        && !NAMES.contains(&capital.as_str())
        && !BEGINNINGS.iter().any(|beginning| capital.starts_with(beginning))
        && !ENDINGS.iter().any(|ending| capital.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::is_harmless;

    #[test]
    fn a_variable_that_changes_what_runs_is_not_harmless() {
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
            "a[0]",
            "",
            "1a",
            "é",
        ] {
            assert!(!is_harmless(name), "{name}");
        }
        for name in ["FOO", "LANG", "LC_ALL", "TZ", "DEBUG", "COLUMNS", "_x", "CI"] {
            assert!(is_harmless(name), "{name}");
        }
    }
}

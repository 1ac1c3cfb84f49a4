//! What follows a program's name: which of its options and words it may have.

use super::table::{Entry, Kind, has, listed};
use super::variables::is_harmless;
use super::word::Word;

/// The options that a policy allows of one program.
#[derive(Debug)]
pub(super) struct Flags(Vec<Box<str>>);

impl Flags {
    pub(super) fn of(flags: Vec<Box<str>>) -> Self {
        Self(flags)
    }

    /// Whether a word is no option, or one of these: as it is listed, `--max=5` where `--max` is, `-n5` where `-n` is, and `-ab`
    /// where both `-a` and `-b` are. `-` is no option, and `--` only ends them.
    pub(super) fn allow(&self, word: &str) -> bool {
        let lists = |flag: &str| self.0.iter().any(|own| **own == *flag);
        if !word.starts_with('-') || matches!(word, "-" | "--") || lists(word) {
            return true;
        }
        if word.starts_with("--") {
            return word.split_once('=').is_some_and(|(name, _)| lists(name));
        }
        let letters = || word.chars().skip(1);
        let is_counted = word.chars().count() > 2 && letters().skip(1).all(|sign| sign.is_ascii_digit());
        let first: String = word.chars().take(2).collect();
        (is_counted && lists(&first)) || letters().all(|letter| lists(&format!("-{letter}")))
    }
}

impl Entry {
    /// Why a program of that name may not have these words, none of which is open; `told` if the policy says itself what the first
    /// may be. `None` where it may.
    pub(super) fn refusal(
        &self,
        name: &str,
        words: &[Word],
        told: bool,
        flags: Option<&Flags>,
    ) -> Option<String> {
        match self.kind {
            Kind::Never => return Some(format!("`{name}` never holds")),
            Kind::Runs if !told => {
                return Some(format!(
                    "`{name}` runs what its first word names, and no `arguments` say what that may be"
                ));
            }
            Kind::Sed if sed(words, flags) => return None,
            Kind::Sed => {
                return Some(format!("`{name}` holds with one plain command and harmless options alone"));
            }
            _ => {}
        }
        let counted = |word: &&Word| self.kind == Kind::Printf && counts(&word.text);
        let first = words.iter().find(|word| !word.text.starts_with('-'));
        let another = first.filter(|first| !told && has(self.faces, &first.text));
        let refused = words.iter().find(|word| counted(word) || self.refuses(&word.text)).or(another);
        let refused = refused.or_else(|| {
            let mut all = words.iter().enumerate();
            all.find(|(at, word)| !self.has_option(*at, &word.text, flags)).map(|(_, word)| word)
        });
        refused.map(|word| format!("`{}` may make `{name}` do more than it seems to", word.text))
    }

    /// Whether a word is no option, or one that it may have.
    fn has_option(&self, at: usize, word: &str, flags: Option<&Flags>) -> bool {
        let is_bundled = at == 0 && self.kind == Kind::Bundled && !word.starts_with('-');
        let bundled = is_bundled.then(|| format!("-{word}"));
        let option = bundled.as_deref().unwrap_or(word);
        flags.map_or_else(|| !self.refuses_option(option), |flags| flags.allow(option))
    }

    fn refuses(&self, word: &str) -> bool {
        listed(self.begins).any(|begin| word.starts_with(begin))
            || listed(self.has).any(|part| word.contains(part))
    }

    fn refuses_option(&self, word: &str) -> bool {
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        // Some take them behind two as well.
        if has(self.whole, name) || name.strip_prefix('-').is_some_and(|name| has(self.whole, name)) {
            return true;
        }
        if matches!(name, "" | "-" | "--") {
            return false;
        }
        match (name.strip_prefix("--"), word.strip_prefix('-')) {
            (Some(name), _) => listed(self.long).any(|long| long.starts_with(name)),
            (None, Some(letters)) => letters.chars().any(|letter| self.short.contains(letter)),
            (None, None) => false,
        }
    }

    /// Whether a word may be set by `export` and its like. `assigned` if the policy allows assignments.
    pub(super) fn sets_harmless(words: &[Word], assigned: bool) -> bool {
        words.iter().filter(|word| !matches!(word.text.as_str(), "-r" | "-p" | "-s" | "--")).all(|word| {
            match word.text.split_once('=') {
                Some((name, _)) => assigned && is_harmless(name),
                None => is_harmless(&word.text),
            }
        })
    }
}

/// Whether a format has a `%n` in it, with whatever between.
fn counts(format: &str) -> bool {
    let between = |sign: char| sign.is_ascii_digit() || "-+ #'.*hlLjzqt$".contains(sign);
    format.split('%').skip(1).any(|behind| behind.trim_start_matches(between).starts_with('n'))
}

/// `sed` holds with options that only change how it reads, and a first word that is one plain command.
fn sed(words: &[Word], flags: Option<&Flags>) -> bool {
    const OPTIONS: &str = "-n -E -r -s -u -z -nE -nr -En -rn --quiet --silent --regexp-extended --posix";
    let (options, others): (Vec<&Word>, Vec<&Word>) =
        words.iter().partition(|word| word.text.starts_with('-') && word.text != "-");
    options.iter().all(|word| flags.map_or_else(|| has(OPTIONS, &word.text), |flags| flags.allow(&word.text)))
        && others.first().is_some_and(|script| is_plain_script(&script.text))
}

/// Whether a script of `sed` is one command that neither runs nor reads nor writes: lines, then `p`, `d`, `q`, `=`, `l`, or `s`
/// with the flags `g`, `p`, `i` and a number.
fn is_plain_script(script: &str) -> bool {
    let command = script.trim_start_matches(|sign: char| {
        sign.is_ascii_digit() || matches!(sign, ',' | '$' | '~' | '+' | '!' | ' ')
    });
    if matches!(command, "p" | "d" | "q" | "=" | "l") {
        return true;
    }
    let mut signs = command.chars();
    let (Some('s'), Some(delimiter)) = (signs.next(), signs.next()) else { return false };
    // A delimiter behind a backslash is not one to sed, and a new line ends the command for some.
    if delimiter.is_ascii_alphanumeric() || matches!(delimiter, '\\' | '\n') || command.contains('\n') {
        return false;
    }
    let parts: Vec<&str> = signs.as_str().split(delimiter).collect();
    let [pattern, replacement, flags] = parts.as_slice() else { return false };
    !pattern.ends_with('\\')
        && !replacement.ends_with('\\')
        && flags.chars().all(|flag| matches!(flag, 'g' | 'p' | 'i' | 'I' | '0'..='9'))
}

#[cfg(test)]
mod tests {
    use super::super::table::known;
    use super::{Entry, Flags, Word};

    fn allows(line: &str) -> bool {
        let mut words = line.split('_').map(Word::plain);
        let program = words.next().unwrap().text;
        known(&program).unwrap().refusal("it", &words.collect::<Vec<_>>(), false, None).is_none()
    }

    #[test]
    fn refused_options_are_seen_through_abbreviations_and_joins() {
        for line in [
            "sort_-o_x",
            "sort_-ox",
            "sort_-rox",
            "sort_--output=x",
            "sort_--out_x",
            "sort_--o=x",
            "sort_a_-ox",
            "tar_xIf_a",
            "tar_-xzfI",
            "tar_xf_a_--to-comm=x",
            "find_._-exec",
            "find_-fprintf",
            "git_-ccore.pager=x_log",
            "git_log_--outp=x",
            "git_config_x",
            "git_--no-pager_config",
            "sed_-i_s/a/b/",
            "sed_-n_w x",
            "sed_1e id",
            "sed_s/a/b/w x",
            "sed_s/a/b/e",
            "sed_-e_p",
            "sed_s/a\\/b/w x/g",
            "sed_s/[/]/b/w x/",
            "awk_BEGIN{system(\"id\")}",
            "awk_{print > \"x\"}",
            "gawk_-f_x",
            "less_+!id",
            "python3.11_x.py",
            "python_",
        ] {
            assert!(!allows(line), "{line}");
        }
        for line in [
            "sort_-rn_-k2",
            "sort_--reverse",
            "tar_tzf_a.tgz",
            "tar_-tf_a",
            "find_._-name_*.c",
            "git_log_--oneline_-n_5",
            "git_status_--short",
            "sed_-n_1,5p_x",
            "sed_s/a/b/g_x",
            "sed_s|/a|/b|_x",
            "awk_{print $1}",
            "less_x",
        ] {
            assert!(allows(line), "{line}");
        }
    }

    #[test]
    fn flags_are_what_is_listed_and_what_is_made_of_it() {
        let flags = Flags::of(["-n", "-a", "--max", "-la"].map(Into::into).into());
        for word in ["x", "", "-", "--", "-n", "-n5", "-n12", "-a", "-an", "-nna", "-la", "--max", "--max=5"]
        {
            assert!(flags.allow(word), "{word}");
        }
        for word in
            ["-b", "-ab", "-n5a", "-nfile", "-5", "--maximum", "--ma", "--ma=5", "-l", "-n=5", "-é", "--max5"]
        {
            assert!(!flags.allow(word), "{word}");
        }
    }

    #[test]
    fn only_harmless_variables_are_set() {
        let sets = |line: &str, assigned| {
            Entry::sets_harmless(&line.split(' ').map(Word::plain).collect::<Vec<_>>(), assigned)
        };
        assert!(sets("A B=c", true) && sets("-r A", false));
        assert!(
            !sets("B=c", false) && !sets("PATH=.", true) && !sets("PATH", true) && !sets("a[$(id)]", true)
        );
    }
}

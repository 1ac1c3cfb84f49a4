use proptest::prelude::*;
use serde_json::json;

use super::super::entry::{Entry, Kind, Said};
use super::super::options::{Options, listed};
use super::super::word::Word;
use super::super::{Commands, Parts};
use super::{all, has, known};

/// What a row of `docs/commands.md` says of an entry.
fn row(entry: &Entry) -> String {
    let code = |words: &str| -> String {
        let words = words.replace('|', r"\|").replace('\n', "⏎");
        listed(&words).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" ")
    };
    let kind = match entry.kind {
        Kind::Options => None,
        Kind::Bundled => Some("the first word may be options without `-`"),
        Kind::Runs => Some("only with `arguments` for it"),
        Kind::Writes => Some("only with `redirections`"),
        Kind::Sed => Some(
            "`-n` `-E` `-r` `-s` `-u` `-z`, and a script that is one command: lines and `p` `d` `q` `=` `l`, or `s` with the flags `g` `p` `i` and a number",
        ),
        Kind::Printf => Some("no word with `%n`"),
        Kind::Text => Some("any words"),
        Kind::Variables => Some("variables that may be assigned"),
        Kind::Never => Some("never"),
    };
    let faces = entry.faces.iter().map(|face| {
        let second =
            if face.second.is_empty() { String::new() } else { format!(", then {}", code(face.second)) };
        format!("{}{second}: {}", code(face.names), options(&face.options))
    });
    let of_entry = options(&entry.options);
    let said = [
        kind.map(str::to_owned),
        (!of_entry.is_empty()).then_some(of_entry),
        entry.most.map(|most| format!("at most {most} other words")),
        (!entry.begin.is_empty()).then(|| format!("other words begin with {}", code(entry.begin))),
        (!entry.begins.is_empty()).then(|| format!("no word begins with {}", code(entry.begins))),
        (!entry.has.is_empty()).then(|| format!("no word has {}", code(entry.has))),
    ];
    let said: Vec<String> = said.into_iter().flatten().chain(faces).collect();
    let said = if said.is_empty() { "no options".to_owned() } else { said.join("<br>") };
    format!("| {} | {} | {said} |\n", code(entry.names), entry.checked)
}

fn options(options: &Options) -> String {
    let short = (!options.short.is_empty()).then(|| format!("`-{}`", options.short));
    let list = |begin: &str, names: &str| -> Vec<String> {
        listed(names).map(|name| format!("`{begin}{name}`")).collect()
    };
    let all = [short.into_iter().collect(), list("-", options.single), list("--", options.long)].concat();
    all.join(" ")
}

#[test]
fn the_documentation_has_the_whole_table() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
    let written = std::fs::read_to_string(&page).unwrap();
    let head = "<!-- programs -->\n| programs | looked up in | what holds |\n|---|---|---|\n";
    let expected = format!("{head}{}<!-- /programs -->", all().map(row).collect::<String>());
    let place = written.split_once("<!-- programs -->").zip(written.split_once("<!-- /programs -->"));
    let ((before, _), (_, behind)) = place.expect("docs/commands.md has the marks");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, format!("{before}{expected}{behind}")).unwrap();
    } else {
        assert!(
            written.contains(&expected),
            "run with UPDATE_DOCS=1; expected in docs/commands.md:\n{expected}"
        );
    }
}

#[test]
fn a_program_is_in_one_table_once_and_found_with_folder_and_version() {
    let mut names: Vec<_> = all().flat_map(|entry| listed(entry.names)).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    for (program, name) in [
        ("git", "git"),
        ("/usr/bin/git", "git"),
        ("python3.11", "python"),
        ("Rscript", "rscript"),
        ("docker-compose", "docker-compose"),
    ] {
        assert!(has(known(program).unwrap().names, name), "{program}");
    }
    assert!(known("frobnicate").is_none());
    for entry in all() {
        let has_options =
            !matches!(entry.kind, Kind::Never | Kind::Runs | Kind::Variables) || !entry.faces.is_empty();
        assert!(!has_options || !entry.checked.is_empty(), "{} says where it was looked up", entry.names);
    }
}

/// A policy that allows a program, and its first word where it must.
fn allows(program: &str, first: Option<&str>) -> Commands {
    let parts = Parts {
        sequences: true,
        pipes: true,
        redirections: true,
        substitutions: true,
        background: true,
        assignments: true,
    };
    let arguments = first.map(|first| (program.into(), vec![first.into()])).into_iter().collect();
    Commands::of(vec![program.into()], arguments, Default::default(), parts, Vec::new())
}

fn holds(allows: &Commands, words: &[&str]) -> bool {
    allows.hold(&json!(words).to_string()).is_ok_and(|holds| holds)
}

/// Options of which each runs a program, loads one, or writes a file, of some program: none is in a table by its whole name.
const DANGEROUS: &str = "agent-program askpass batch checkpoint-action command compress-program config config-env cookie-jar \
    copy-as data-dir diag diff-program dump-header engine eval exec exec-batch exec-path export-marks ext-diff extcmd file-script \
    files-from files0-from fprint git-dir host hostname-bin info-script init-file inplace in-place interpreter kubeconfig \
    lesskey-src libcurl listed-incremental load log-file logger-file machine manifest-path new-volume-script \
    open-files-in-pager output output-dir output-document output-file pager photo-viewer plugin pre preload provider rcfile \
    receive-pack remote-name rmt-command root rsh rsh-command rsync-path script script-shell shell-escape split-exp stderr \
    strip strip-program template-dir to-command trace unzip-command upload-file upload-pack use-askpass \
    use-compress-program vacuum-time warc-file work-tree";

/// Programs, each with a first word that a policy may name.
fn programs() -> Vec<(&'static str, Option<&'static str>)> {
    let with_face = |entry: &'static Entry| {
        let program = listed(entry.names).next().unwrap_or_default();
        let faces = entry.faces.iter().flat_map(|face| listed(face.names)).map(Some);
        let firsts: Vec<_> = if entry.faces.is_empty() { vec![None, Some("x")] } else { faces.collect() };
        firsts.into_iter().map(move |first| (program, first))
    };
    all().filter(|entry| entry.kind != Kind::Text).flat_map(with_face).collect()
}

/// What `--output` of these says is how something is shown.
fn shows(program: &str, option: &str) -> bool {
    let whole = known(program).unwrap();
    let of_faces = whole.faces.iter().map(|face| face.options.long);
    [whole.options.long]
        .into_iter()
        .chain(of_faces)
        .any(|long| listed(long).any(|own| own.trim_end_matches(':') == option))
}

#[test]
fn the_dangerous_options_that_a_table_has_are_those_that_show() {
    let mut shown: Vec<String> = all()
        .flat_map(|entry| listed(entry.names))
        .flat_map(|program| {
            listed(DANGEROUS)
                .filter(move |option| shows(program, option))
                .map(move |option| format!("{program} --{option}"))
        })
        .collect();
    shown.sort();
    insta::assert_snapshot!(shown.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn an_unknown_option_never_holds(
        (program, first) in prop::sample::select(programs()),
        option in prop_oneof!["--[a-z]{1,3}zq[a-z]{0,6}", "--zq[a-z-]{1,10}=x", "-[%_~^!][a-z]{0,3}"],
        before in prop::collection::vec(prop_oneof![Just("--"), Just("x")], 0..3),
    ) {
        for first in [first, None] {
            let own: Vec<&str> = first.into_iter().collect();
            let words = [&[program][..], &own, &before, &[option.as_str()]].concat();
            prop_assert!(!holds(&allows(program, first), &words), "{:?}", words);
            let words = [&[program][..], &own, &[option.as_str()], &before].concat();
            prop_assert!(!holds(&allows(program, first), &words), "{:?}", words);
        }
    }

    #[test]
    fn a_dangerous_option_never_holds_whole_short_or_attached(
        (program, first) in prop::sample::select(programs()),
        option in prop::sample::select(listed(DANGEROUS).collect::<Vec<_>>()),
        cut in 1usize..20,
    ) {
        let cut = option.get(..cut.max(2)).unwrap_or(option);
        let own: Vec<&str> = first.into_iter().collect();
        for written in [format!("--{cut}"), format!("--{cut}=x"), format!("-{option}"), format!("--{option}")] {
            let name = written.trim_start_matches('-').split('=').next().unwrap_or_default();
            // The whole name of an option that shows.
            if shows(program, name) || is_single(program, name) {
                continue;
            }
            for behind in [&["x"][..], &[]] {
                let words = [&[program][..], &own, &[written.as_str()], behind].concat();
                if written.starts_with("--") {
                    prop_assert!(!holds(&allows(program, first), &words), "{:?}", words);
                }
            }
        }
    }

    #[test]
    fn what_is_no_face_never_holds(program in prop::sample::select(vec!["git", "ip", "openssl", "bridge"]), word in "[a-z]{1,9}", rest in "[a-z]{0,5}") {
        let faces = known(program).unwrap().faces;
        prop_assume!(!faces.iter().any(|face| has(face.names, &word)));
        prop_assert!(!holds(&allows(program, None), &[program, &word, &rest]));
    }

    #[test]
    fn judging_words_ends_without_a_panic(
        (program, first) in prop::sample::select(programs()), words in prop::collection::vec("[-+@=:.a-zA-Z0-9 ]{0,6}", 0..6)
    ) {
        let words: Vec<Word> = words.into_iter().map(Word::plain).collect();
        let parts = allows(program, None).parts;
        let _ = known(program).unwrap().judge(program, &words, Said { told: first.is_some(), flags: None, parts });
    }
}

fn is_single(program: &str, option: &str) -> bool {
    let entry = known(program).unwrap();
    let of_faces = entry.faces.iter().map(|face| face.options.single);
    [entry.options.single]
        .into_iter()
        .chain(of_faces)
        .any(|single| listed(single).any(|own| own.trim_end_matches(':') == option))
}

//! Names and sentences as words.

/// The words of a name in lower case: `getUserById`, `get_user_by_id` and `get-user-by-id` are the same ones.
pub(crate) fn of_name(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let letters: Vec<char> = name.chars().collect();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| letters.get(at));
        let after = letters.get(at + 1);
        let begins = letter.is_uppercase()
            && (before.is_some_and(|it| it.is_lowercase() || it.is_ascii_digit())
                // `HTTPServer` has two.
                || (before.is_some_and(|it| it.is_uppercase()) && after.is_some_and(|it| it.is_lowercase())));
        if (begins || !letter.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The words of a text in lower case.
pub(crate) fn of_text(text: &str) -> impl Iterator<Item = String> {
    in_text(text).map(str::to_lowercase)
}

/// The words of a text as they stand there.
pub(crate) fn in_text(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '\'')
        .map(|word| word.trim_matches('\''))
        .filter(|word| !word.is_empty())
}

/// The words of a text that are known as a name, each with the byte at which it stands. A name that is a word like any other
/// has to stand in quotes.
pub(crate) fn names_in(text: &str, is_known: impl Fn(&str) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |letter: char| letter.is_alphanumeric() || "_-./".contains(letter);
    let is_quote = |letter: Option<char>| letter.is_some_and(|letter| "`'\"".contains(letter));
    let mut at = 0;
    text.split(move |letter| !is_part(letter)).filter_map(move |part| {
        let begins = at;
        at += part.len();
        at += text.get(at..)?.chars().next().map_or(0, char::len_utf8);
        let word = part.trim_end_matches(['.', '-', '/']);
        let (before, after) = (text.get(..begins)?, text.get(begins + word.len()..)?);
        let is_plain = word.chars().all(char::is_lowercase);
        let is_quoted = is_quote(before.chars().next_back()) && is_quote(after.chars().next());
        ((!is_plain || is_quoted) && is_known(word)).then_some((begins, word))
    })
}

/// Longest first sentence, in characters.
const SENTENCE: usize = 300;

/// The first sentence of a text. A dot ends it where a space and no small letter follow.
pub(crate) fn first_sentence(text: &str) -> &str {
    let text = text.trim_start();
    let end = text
        .char_indices()
        .enumerate()
        .find(|(number, (at, letter))| {
            let rest = text.get(at + letter.len_utf8()..).unwrap_or_default();
            match letter {
                '\n' => rest.trim_start_matches([' ', '\t', '\r']).starts_with('\n') || *number > SENTENCE,
                '.' | '!' | '?' | ';' => {
                    let next = rest.trim_start().chars().next();
                    next.is_none_or(|next| rest.starts_with(char::is_whitespace) && !next.is_lowercase())
                }
                _ => *number > SENTENCE,
            }
        })
        .map_or(text.len(), |(_, (at, _))| at);
    text.get(..end).unwrap_or(text)
}

/// What a word may be an inflection of, the likeliest first: `queries` of `query`, `creating` of `create`.
pub(crate) fn roots(word: &str) -> impl Iterator<Item = String> {
    let cut = |end: &str, more: &str| word.strip_suffix(end).map(|root| format!("{root}{more}"));
    let doubled = |end: &str| {
        let root = word.strip_suffix(end)?;
        let mut letters = root.chars().rev();
        (letters.next()? == letters.next()?).then(|| root.get(..root.len() - 1).map(str::to_owned))?
    };
    let found = [
        Some(word.to_owned()),
        cut("ies", "y"),
        cut("es", ""),
        cut("s", ""),
        cut("ing", ""),
        cut("ing", "e"),
        doubled("ing"),
        cut("ed", ""),
        cut("ed", "e"),
        doubled("ed"),
    ];
    found.into_iter().flatten().filter(|root| root.len() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_styles_are_the_same_words() {
        for name in ["getHTTPUserById", "get_http_user_by_id", "get-http-user-by-id", "Get.HTTP/user by ID"] {
            assert_eq!(of_name(name), ["get", "http", "user", "by", "id"], "{name}");
        }
        assert_eq!(of_name("n8n_run2Times"), ["n8n", "run2", "times"]);
        assert!(of_name("__").is_empty());
    }

    #[test]
    fn a_sentence_ends_where_another_begins() {
        assert_eq!(
            first_sentence("Reads a file, e.g. a.txt or b.txt. Then more."),
            "Reads a file, e.g. a.txt or b.txt"
        );
        assert_eq!(first_sentence("Stops it\n\nAnd so on"), "Stops it");
        assert_eq!(first_sentence("  One line\nand the same sentence."), "One line\nand the same sentence");
        assert_eq!(first_sentence(""), "");
        assert!(first_sentence(&"word ".repeat(1000)).len() < 320);
    }

    #[test]
    fn a_verb_is_found_in_its_inflections() {
        let has = |word: &str, root: &str| assert!(roots(word).any(|it| it == root), "{word} {root}");
        has("queries", "query");
        has("creating", "create");
        has("getting", "get");
        has("fetches", "fetch");
        has("deleted", "delete");
        has("runs", "run");
    }
}

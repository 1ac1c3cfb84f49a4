//! Where a file lies, by its path alone: nothing on the disk is looked at, so symbolic links are not seen.

use crate::address::{Escapes, escaped, segment};
use crate::literal::Equal;
use crate::truth::Why;

/// Folders, each as the names that lead to it.
#[derive(Debug)]
pub(crate) struct Folders(Vec<Box<[Box<str>]>>);

impl Folders {
    /// Those with these paths; the error says what is wrong with one of them.
    pub(crate) fn of<'a>(paths: impl Iterator<Item = &'a str>) -> Result<Self, (&'a str, &'static str)> {
        let folder = |path: &'a str| {
            check(path).map_err(|why| (path, why))?;
            Ok(names(path).map(Into::into).collect())
        };
        paths.map(folder).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a path leads into one of them, or to one itself. A path that different programs may follow to different places
    /// cannot be judged.
    pub(crate) fn hold(&self, path: &str) -> Equal {
        check(path).map_err(Why::Form)?;
        let leads_into = |folder: &[Box<str>]| {
            let mut names = names(path);
            folder.iter().all(|own| names.next() == Some(&**own))
        };
        Ok(self.0.iter().any(|folder| leads_into(folder)))
    }
}

/// The names of a path, without empty ones and `.`.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|name| !matches!(*name, "" | "."))
}

fn check(path: &str) -> Result<(), &'static str> {
    // What begins with `-` may be taken for an option, and with `~` for somebody's home.
    match path.as_bytes().first() {
        Some(b'/') => {}
        Some(b'-') => return Err("it begins with `-`, as options do"),
        Some(b'~') => return Err("it begins with `~`, which stands for another folder"),
        _ => return Err("it is not an absolute path: begin it with `/`"),
    }
    escaped(path, Escapes::FilePath)?;
    path.split('/').filter(|name| *name != ".").try_for_each(segment)?;
    if path.contains('\\') {
        return Err("it has a backslash in it, which some take for a slash");
    }
    if path.contains(char::is_control) {
        return Err("it has a character in it that is not seen");
    }
    Ok(())
}

//! Where in a line a command stands, and what the rest of the line means for it.

use std::cell::RefCell;

/// Where a command stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// How many lines are around it.
    pub(super) depth: usize,
    pub(super) folder: &'a Folder,
}

impl Place<'_> {
    pub(super) fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

/// The folder that a line's programs run in. A program that obeys a file of it (`.git/config`, `package.json`, `Makefile`) does what
/// that file says, so a line may not lead it to a folder that the policy did not name.
#[derive(Debug, Default)]
pub(super) struct Folder(RefCell<Seen>);

/// Whether a program of this name changes the folder.
pub(super) fn moves(name: &str) -> bool {
    matches!(name, "cd" | "pushd" | "popd" | "chdir")
}

#[derive(Debug, Default)]
struct Seen {
    moved: bool,
    obeyed_by: Option<String>,
}

impl Folder {
    pub(super) fn moved(&self) {
        self.0.borrow_mut().moved = true;
    }

    pub(super) fn obeyed_by(&self, name: &str) {
        self.0.borrow_mut().obeyed_by.get_or_insert_with(|| name.to_owned());
    }

    /// Why the whole line does not hold.
    pub(super) fn refusal(&self) -> Option<String> {
        let seen = self.0.borrow();
        let name = seen.obeyed_by.as_ref().filter(|_| seen.moved)?;
        Some(format!(
            "it goes to a folder, and `{name}` may obey what it finds there (`arguments` of `cd` name folders)"
        ))
    }
}

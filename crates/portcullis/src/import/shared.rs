//! Whether a file is shared in a repository: what stands in it is then not this machine's affair alone.

use std::path::Path;
use std::process::{Command, Stdio};

/// Whether a file is in a git work tree and git has it, or would take it.
pub(crate) fn is_shared(file: &Path) -> bool {
    let Some(folder) = file.parent() else { return false };
    if !folder.ancestors().any(|folder| folder.join(".git").exists()) {
        return false;
    }
    // 0 where it is ignored, 1 where it is not. Without an answer it counts as shared. A file that git has is none that
    // it ignores. What a repository ignores is spread over many files, which git alone reads as git does; it is asked
    // for nothing that runs a program of the repository's.
    let asked = Command::new("git")
        .args(["-c", "core.fsmonitor=false", "-C"])
        .arg(folder)
        .args(["check-ignore", "--quiet", "--"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    !asked.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_ignores_is_not_shared() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".mcp.json");
        std::fs::write(&file, "{}").unwrap();
        assert!(!is_shared(&file));
        let made = Command::new("git").args(["init", "-q"]).arg(folder.path()).status().unwrap();
        assert!(made.success() && is_shared(&file));
        std::fs::write(folder.path().join(".gitignore"), ".mcp.json\n").unwrap();
        assert!(!is_shared(&file));
    }
}

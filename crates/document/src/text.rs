//! Durations, sizes and secrets in configuration values.

use std::path::Path;
use std::time::Duration;

/// Reads `90s`, `10m`, `2h`, `7d`, `500ms`.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(split)?;
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        "d" => number.checked_mul(86_400).map(Duration::from_secs),
        _ => None,
    }
}

/// Reads `16MiB`, `64KiB`, `1GiB`, `4096`, `10MB`: bytes.
#[must_use]
pub fn size(text: &str) -> Option<usize> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split)?;
    let number: usize = number.parse().ok()?;
    let factor = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Fills in `${VAR}`, `${env:VAR}` and `${file:PATH}` (relative to `folder`); `$$` is a `$`.
///
/// # Errors
/// Which one cannot be resolved, and why.
pub fn fill(text: &str, folder: &Path) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        if let Some(after) = from.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if let Some(after) = from.strip_prefix("${") {
            let (name, after) = after.split_once('}').ok_or("`${` without its `}`")?;
            out.push_str(&resolve(name, folder)?);
            rest = after;
        } else {
            out.push('$');
            rest = from.strip_prefix('$').unwrap_or("");
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn resolve(name: &str, folder: &Path) -> Result<String, String> {
    if let Some(path) = name.strip_prefix("file:") {
        let path = folder.join(path);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        return Ok(text.trim_end_matches(['\n', '\r']).to_owned());
    }
    let variable = name.strip_prefix("env:").unwrap_or(name);
    let (variable, default) = match variable.split_once(":-") {
        Some((variable, default)) => (variable, Some(default)),
        None => (variable, None),
    };
    match (std::env::var(variable), default) {
        (Ok(value), _) => Ok(value),
        (Err(_), Some(default)) => Ok(default.to_owned()),
        (Err(_), None) => Err(format!("the environment variable `{variable}` is not set")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_have_units() {
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(duration("90d"), Some(Duration::from_secs(7_776_000)));
        assert_eq!(size("16MiB"), Some(16 << 20));
        assert_eq!(size("4096"), Some(4096));
        for bad in ["", "5", "m", "5 m", "-1s", "5w"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        for bad in ["", "MiB", "1.5MB", "1TB"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn secrets_come_from_outside_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("t"), "s3\n").unwrap();
        assert_eq!(fill("a${file:t}b$$c$d", folder.path()).unwrap(), "as3b$c$d");
        assert_eq!(fill("${PORTCULLIS_NOT_SET:-x}", folder.path()).unwrap(), "x");
        assert!(fill("${env:PORTCULLIS_NOT_SET}", folder.path()).unwrap_err().contains("not set"));
        assert!(fill("${file:nope}", folder.path()).is_err());
        assert!(fill("${open", folder.path()).is_err());
    }
}

//! What is read from the file itself, whether a gate runs or not.

use crate::schema::{Failure, open_reader};
use crate::{Grant, TokenHash};
use std::path::Path;

/// All grants with the hashes of their tokens.
///
/// # Errors
/// Where the file cannot be read.
pub fn grants(folder: &Path) -> Result<Vec<(TokenHash, Grant)>, Failure> {
    let conn = open_reader(folder)?;
    let read = || -> rusqlite::Result<Vec<(TokenHash, String)>> {
        let mut statement = conn.prepare("SELECT token_hash, body FROM grants ORDER BY name")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    read()
        .map_err(|error| Failure::read(&error))?
        .into_iter()
        .map(|(hash, body)| {
            let grant = serde_json::from_str(&body).map_err(|error| Failure::Read(error.to_string()))?;
            Ok((hash, grant))
        })
        .collect()
}

/// What servers listed last: upstream, list and body.
///
/// # Errors
/// Where the file cannot be read.
pub fn definitions(folder: &Path) -> Result<Vec<(String, String, String)>, Failure> {
    let conn = open_reader(folder)?;
    let read = || -> rusqlite::Result<Vec<(String, String, String)>> {
        let mut statement = conn.prepare("SELECT upstream, list, body FROM definitions")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect()
    };
    read().map_err(|error| Failure::read(&error))
}

//! Reading the record a few rows at a time.
//!
//! Whoever reads holds the log: it cannot begin anew before the reader has ended, and grows with everything that is written
//! meanwhile. So nobody reads for longer than a few milliseconds at a time, however long the record is, and whatever he
//! does with the rows he does while he reads none.

use crate::chain::Hash;
use rusqlite::{Connection, OptionalExtension, params};

/// Rows at most in one slice.
const ROWS: usize = 256;
/// Bytes of text from which on a slice ends.
const BYTES: usize = 1 << 20;

/// A row as it stands in the file.
pub(crate) struct Stored {
    /// Its number.
    pub n: u64,
    /// The time in the column beside it in milliseconds since 1970, its text and its hash; `None` where they cannot be read.
    pub body: Option<(i64, String, Hash)>,
}

/// The first rows from `from` to `to`, both included; the last ones, in the order from the last on, where `down`.
pub(crate) fn slice(conn: &Connection, from: u64, to: u64, down: bool) -> rusqlite::Result<Vec<Stored>> {
    let mut statement = conn.prepare_cached(match down {
        false => "SELECT n, time, text, hash FROM ledger WHERE n BETWEEN ?1 AND ?2 ORDER BY n",
        true => "SELECT n, time, text, hash FROM ledger WHERE n BETWEEN ?1 AND ?2 ORDER BY n DESC",
    })?;
    let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![number(from), number(to)])?;
    let (mut slice, mut bytes) = (Vec::new(), 0);
    while slice.len() < ROWS
        && bytes < BYTES
        && let Some(row) = rows.next()?
    {
        let n = row.get::<_, i64>(0)?.cast_unsigned();
        let body = match (row.get(1), row.get::<_, String>(2), row.get(3)) {
            (Ok(time), Ok(text), Ok(hash)) => Some((time, text, hash)),
            _ => None,
        };
        bytes += body.as_ref().map_or(0, |(_, text, _)| text.len());
        slice.push(Stored { n, body });
    }
    Ok(slice)
}

/// The numbers of the first and the last row that count: what retention let go of may still be there, until its room is needed.
/// `None` where there is no row.
pub(crate) fn bounds(conn: &Connection) -> rusqlite::Result<Option<(u64, u64)>> {
    // Each for itself: SQLite finds either end at once, and both together by reading everything.
    let find = "SELECT (SELECT min(n) FROM ledger), (SELECT max(n) FROM ledger), (SELECT max(n) FROM anchor)";
    let (first, last, gone): (Option<i64>, Option<i64>, Option<i64>) =
        conn.prepare_cached(find)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let first = first.map(|first| first.max(gone.unwrap_or(0).saturating_add(1)));
    let numbers = first.zip(last).filter(|(first, last)| first <= last);
    Ok(numbers.map(|(first, last)| (first.cast_unsigned(), last.cast_unsigned())))
}

/// The number of the first row of which, and of all behind it, it can be said that they were written at or after a time: the row
/// behind the last one that is older. One past the end where there is none.
pub(crate) fn first_since(conn: &Connection, time: i64) -> rusqlite::Result<u64> {
    let Some((first, last)) = bounds(conn)? else { return Ok(crate::store::read_head(conn)?.0.rows + 1) };
    // Times go on, but for where a clock was set back. Between two such places a row is found without an index on time.
    let has_clock = "SELECT EXISTS(SELECT 1 FROM sqlite_schema WHERE name = 'clock')";
    // A file of an older layout that no gate has opened since has none, and times that never go back.
    let mut starts: Vec<u64> = if conn.query_row(has_clock, [], |row| row.get::<_, bool>(0))? {
        let mut statement = conn.prepare_cached("SELECT n FROM clock WHERE n > ?1 ORDER BY n")?;
        let found = statement.query_map([first.cast_signed()], |row| row.get::<_, i64>(0))?;
        found.map(|n| n.map(i64::cast_unsigned)).collect::<rusqlite::Result<_>>()?
    } else {
        Vec::new()
    };
    starts.insert(0, first);
    let mut end = last + 1;
    for start in starts.into_iter().rev() {
        let (mut low, mut high) = (start, end);
        while low < high {
            let middle = low + (high - low) / 2;
            if time_at(conn, middle)?.is_some_and(|at| at < time) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if low > start {
            return Ok(low);
        }
        end = start;
    }
    Ok(first)
}

/// The time of a row, where it is there.
pub(crate) fn time_at(conn: &Connection, n: u64) -> rusqlite::Result<Option<i64>> {
    let mut statement = conn.prepare_cached("SELECT time FROM ledger WHERE n = ?1")?;
    statement.query_row([n.cast_signed()], |row| row.get(0)).optional()
}

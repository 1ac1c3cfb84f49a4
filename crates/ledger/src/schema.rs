//! The tables, and what can go wrong with the file.

use crate::ApprovalRow;
use crate::check::Check;
use crate::writer::Writer;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};

/// File name of the store in the data folder.
pub const FILE: &str = "ledger.db";

/// The layout this program writes; a file with a higher number is refused.
const VERSION: i64 = 5;

/// Bytes of a page of a new file. Most rows carry arguments: twice SQLite's own size takes half as many new pages,
/// each of which puts three more into the log.
const PAGE: u32 = 8192;

/// Pages that the writer keeps in memory. It appends, so what it needs again is the end of the file: a few pages that
/// stay in the processor's cache are better than many that do not.
const CACHED: u32 = 32;

/// Pages of the log after which the writer itself folds it into the file, which stops it for some syncs. The
/// folder thread does most of that work before it comes to this.
const WAL_PAGES: u32 = 8_000;

/// Bytes of the log beyond which it is cut when it begins anew: a reader that stood still, or a disk that was slow, let it grow.
const LOG: u32 = 32 << 20;
const LOG_WHERE_SCARCE: u32 = 1 << 20;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS ledger (
    n    INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    text TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS ledger_is_never_changed BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the record is only ever appended to'); END;
CREATE TRIGGER IF NOT EXISTS ledger_is_never_cut BEFORE DELETE ON ledger
    WHEN OLD.n > (SELECT coalesce(max(n), 0) FROM anchor)
    BEGIN SELECT RAISE(ABORT, 'the record is only ever appended to'); END;
-- The last row that retention let go: the chain is verified from here.
CREATE TABLE IF NOT EXISTS anchor (n INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
-- Who let it go: signed with the key of the gate. Files of layout 2 and before have none for theirs.
CREATE TABLE IF NOT EXISTS let_go (
    n INTEGER PRIMARY KEY, time TEXT NOT NULL, rule TEXT NOT NULL, chain_rows INTEGER NOT NULL, chain_head TEXT NOT NULL,
    unsigned INTEGER NOT NULL, signature TEXT NOT NULL
) STRICT;
-- Rows from which on times are earlier than before: the clock was set back.
CREATE TABLE IF NOT EXISTS clock (n INTEGER PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS grants (
    name       TEXT PRIMARY KEY,
    token_hash BLOB NOT NULL,
    body       TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS counters (
    policy TEXT NOT NULL, counter TEXT NOT NULL, window TEXT NOT NULL, scope TEXT NOT NULL,
    window_start INTEGER NOT NULL, used TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (policy, counter, window, scope)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS approvals (
    id TEXT PRIMARY KEY, body TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS definitions (
    upstream TEXT NOT NULL, list TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (upstream, list)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pins (
    upstream TEXT NOT NULL, tool TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (upstream, tool)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tasks (
    id TEXT PRIMARY KEY, run TEXT NOT NULL, owner TEXT NOT NULL, upstream TEXT NOT NULL, theirs TEXT NOT NULL,
    tool TEXT NOT NULL, digest TEXT NOT NULL, design TEXT NOT NULL, state TEXT NOT NULL, why TEXT, ttl_ms INTEGER,
    created INTEGER NOT NULL, stamp TEXT NOT NULL, looked INTEGER NOT NULL, stop TEXT, said TEXT NOT NULL, places TEXT, version INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
";

/// Columns that files of earlier layouts have not: the table, the column, what it holds.
const ADDED: [(&str, &str, &str); 3] = [
    ("tasks", "places", "TEXT"),
    ("tasks", "version", "INTEGER NOT NULL DEFAULT 0"),
    ("approvals", "version", "INTEGER NOT NULL DEFAULT 0"),
];
const HAS_COLUMN: &str = "SELECT EXISTS(SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2)";

/// What can go wrong with the store.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// The file cannot be opened or is not ours.
    #[error("the ledger at {path} cannot be opened: {why}")]
    Open {
        /// The file.
        path: PathBuf,
        /// SQLite's or our reason.
        why: String,
    },
    /// The key of the gate cannot be used.
    #[error("the key of the gate at {path} cannot be used: {why}")]
    Key {
        /// The file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
    /// Rows cannot be written at present.
    #[error("the ledger cannot be written: {0}")]
    Write(String),
    /// Rows cannot be read.
    #[error("the ledger cannot be read: {0}")]
    Read(String),
    /// A grant of that name exists.
    #[error("a grant named `{0}` exists already")]
    GrantExists(String),
    /// No grant of that name exists.
    #[error("there is no grant named `{0}`")]
    NoGrant(String),
    /// The writer has ended.
    #[error("the ledger is closed")]
    Closed,
}

impl Failure {
    pub(crate) fn read(error: &rusqlite::Error) -> Self {
        Self::Read(error.to_string())
    }

    pub(crate) fn write(error: &rusqlite::Error) -> Self {
        Self::Write(error.to_string())
    }
}

/// Opens the file for writing and brings its tables up.
pub(crate) fn open_writer(folder: &Path) -> Result<Connection, Failure> {
    let path = folder.join(FILE);
    let failed = |why: String| Failure::Open { path: path.clone(), why };
    let set_up = || -> rusqlite::Result<(Connection, i64)> {
        let conn = Connection::open(&path)?;
        conn.busy_timeout(std::time::Duration::from_secs(5))?;
        conn.pragma_update(None, "page_size", PAGE)?;
        conn.pragma_update(None, "journal_mode", "WAL")?;
        conn.pragma_update(None, "synchronous", "NORMAL")?;
        conn.pragma_update(None, "cache_size", CACHED)?;
        conn.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
        conn.pragma_update(
            None,
            "journal_size_limit",
            if is_scarce(folder) { LOG_WHERE_SCARCE } else { LOG },
        )?;
        let version = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version <= VERSION {
            conn.execute_batch(TABLES)?;
            for (table, column, holds) in ADDED {
                if !conn.query_row(HAS_COLUMN, [table, column], |row| row.get::<_, bool>(0))? {
                    conn.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {holds}"))?;
                }
            }
            conn.execute("DELETE FROM approvals WHERE body = ?1", [ApprovalRow::OVER])?;
            conn.pragma_update(None, "user_version", VERSION)?;
        }
        Ok((conn, version))
    };
    let (conn, version) = set_up().map_err(|error| failed(error.to_string()))?;
    if version > VERSION {
        return Err(failed(format!("layout {version} is newer than this program's {VERSION}")));
    }
    Ok(conn)
}

/// Looks after the files from time to time while the writer goes on: whether they are still there, and the log
/// folded into the file, so that the writer has little left to do when its turn comes; and the record is checked, a little each
/// time. Ends with the writer.
///
/// The log begins at its start again only once all of it is folded, and under load the writer is always some pages
/// ahead: for those it has to stop for a moment. It is worth it: a sync takes longer while the file grows.
pub(crate) fn keep_house(folder: &Path, writer: &Writer, mut check: Check, ended: &Receiver<()>) {
    let Ok(conn) = Connection::open(folder.join(FILE)) else { return };
    let _ = conn.pragma_update(None, "cache_size", CACHED);
    // Gives the pages in the log, and those of them that are not folded. Busy or full: the writer's own turn comes, and reports
    // what is wrong.
    let fold = || {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u32>(1)?, row.get::<_, u32>(2)?));
        let (log, folded) = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], read).unwrap_or_default();
        (log, log.saturating_sub(folded))
    };
    loop {
        let (long, every) = if is_scarce(folder) { (LONG_WHERE_SCARCE, OFTEN) } else { (LONG, EVERY) };
        // Folded is up to where the oldest reader stands, and the writer is one. What is written while this goes on is left over:
        // each round takes less time than the one before and leaves less, and the writer stops for the last one alone.
        if writer.look_after_files() && writer.pause(|| ()).is_some() {
            let (log, mut left) = fold();
            if log >= long {
                for _ in 0..ROUNDS {
                    if left <= FEW || writer.pause(|| ()).is_none() {
                        break;
                    }
                    left = fold().1;
                }
                writer.pause(fold);
            }
        }
        check.go_on(&conn);
        if ended.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// Pages of the log from which on it is worth to stop the writer for the rest of it.
const LONG: u32 = 2000;

/// Rounds at most before that.
const ROUNDS: u32 = 4;
/// Pages that are folded in no time.
const FEW: u32 = 50;

/// How often the files are looked after.
const EVERY: std::time::Duration = std::time::Duration::from_millis(500);

/// The same where there is little room: a log that fills the disk cannot be folded any more, because the file has no room to grow.
const LONG_WHERE_SCARCE: u32 = 200;
const OFTEN: std::time::Duration = std::time::Duration::from_millis(50);
/// Bytes that are free on the disk below which room is scarce: some times what the log may come to.
const SCARCE: u64 = 256 << 20;

fn is_scarce(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < SCARCE)
}

/// Opens the file for reading only.
pub(crate) fn open_reader(folder: &Path) -> Result<Connection, Failure> {
    let path = folder.join(FILE);
    let open = || -> rusqlite::Result<Connection> {
        let conn = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        conn.busy_timeout(std::time::Duration::from_secs(5))?;
        Ok(conn)
    };
    open().map_err(|error| Failure::Open { path: path.clone(), why: error.to_string() })
}

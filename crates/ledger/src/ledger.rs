//! The handle through which the rest of the gate remembers.

use crate::check::{self, Check, Checked};
use crate::clock::{now_ms, stamp};
use crate::files::Files;
use crate::let_go::{last_before, let_go, remove, trusted_now};
use crate::offline;
use crate::row::Written;
use crate::schema::{FILE, Failure, keep_house, open_reader, open_writer};
use crate::store::{Store, put_approval};
use crate::tasks;
use crate::writer::Writer;
use crate::{
    ApprovalRow, Beside, CounterKey, CounterRow, Draft, GateKey, Grant, Head, Kind, PinRow, SignedHead,
    TaskRow, TokenHash,
};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What must be true before a waiting caller goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The row is in the operating system's hands: it survives a SIGKILL of the gate.
    Process,
    /// The row is on the disk: it survives a power cut.
    Disk,
}

/// How long one step of taking rows out of the file is to hold up others.
const SLICE: Duration = Duration::from_millis(8);
/// Rows in such a step.
const FEWEST: u32 = 64;
const MOST: u32 = 2048;

/// The open store. Clones share one writer.
#[derive(Debug, Clone)]
pub struct Ledger(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    key: GateKey,
    writer: Arc<Writer>,
    checked: Arc<Mutex<Checked>>,
    anew: bool,
    /// Whether there were tasks in it when it was opened.
    had_tasks: bool,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.writer.abandon();
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens the store of a data folder and starts its writer. The folder must exist.
    ///
    /// # Errors
    /// Where the file or the key cannot be used.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let anew = GateKey::is_in(folder) && !folder.join(FILE).exists();
        let key = GateKey::open(folder)?;
        let conn = open_writer(folder)?;
        let had_tasks = conn.query_row("SELECT EXISTS(SELECT 1 FROM tasks)", [], |row| row.get(0));
        let had_tasks = had_tasks.unwrap_or(true);
        let checked = Arc::default();
        check::tail(&conn, &checked);
        let store = Store::new(conn)?;
        let writer = Arc::new(Writer::new(store, Files::of(folder)));
        let failed = |error: std::io::Error| Failure::Write(error.to_string());
        let (writing, ended) = mpsc::channel::<()>();
        let (place, kept) = (folder.to_owned(), writer.clone());
        let check = Check::new(checked.clone(), key.public_hex());
        let house = std::thread::Builder::new()
            .name("ledger-house".into())
            .spawn(move || keep_house(&place, &kept, check, &ended))
            .map_err(failed)?;
        let thread = writer.clone();
        std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || {
                thread.run(move || {
                    drop(writing);
                    let _ = house.join();
                });
            })
            .map_err(failed)?;
        Ok(Self(Arc::new(Inner { folder: folder.to_owned(), key, writer, checked, anew, had_tasks })))
    }

    /// The keyed hash under which arguments are recorded, hexadecimal.
    #[must_use]
    pub fn arguments_digest(&self, json: &str) -> String {
        self.0.key.arguments_digest(json)
    }

    /// A text that is kept so that only this gate reads it.
    ///
    /// # Errors
    /// Where it cannot be sealed.
    pub fn seal(&self, text: &str) -> Result<String, Failure> {
        self.0.key.seal(text)
    }

    /// A text that this gate sealed.
    ///
    /// # Errors
    /// Where it was sealed with another key, or changed since.
    pub fn unseal(&self, sealed: &str) -> Result<String, Failure> {
        self.0.key.unseal(sealed)
    }

    /// Appends a row together with what it changed, and waits until it is kept. Gives its number.
    ///
    /// # Errors
    /// Where it could not be kept; then nothing of it is, and the call must not pass.
    pub async fn append(&self, row: Written, beside: impl Into<Beside>, keep: Keep) -> Result<u64, Failure> {
        self.0.writer.append(row, beside.into(), keep).await
    }

    /// Appends a row that nobody waits for. It is written with the next transaction, and again until it can
    /// be. The queue has no bound of its own: every row in it belongs to a call whose decision was written
    /// before, and while rows cannot be written no call passes.
    ///
    /// # Errors
    /// Where the ledger is closed.
    pub fn append_later(&self, row: Written, beside: impl Into<Beside>) -> Result<(), Failure> {
        self.0.writer.append_later(row, beside.into())
    }

    async fn change(
        &self,
        row: Option<Written>,
        edit: impl FnOnce(&Connection) -> Result<(), Failure> + Send + 'static,
    ) -> Result<(), Failure> {
        self.0.writer.change(row, Box::new(edit), Keep::Disk).await
    }

    /// Writes what waits and lets go of the file.
    pub async fn close(&self) {
        self.0.writer.close().await;
    }

    /// The end of the chain.
    #[must_use]
    pub fn head(&self) -> Head {
        self.0.writer.head()
    }

    /// The end of the chain, signed now.
    #[must_use]
    pub fn signed_head(&self) -> SignedHead {
        self.head().sign(&self.0.key, stamp(now_ms()))
    }

    /// Why rows cannot be written at present, where they cannot.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.0.writer.trouble()
    }

    /// What the check of the record found that goes on behind.
    #[must_use]
    pub fn checked(&self) -> Checked {
        self.0.checked.lock().clone()
    }

    /// Whether the file was not there when it was opened, though this data folder had been used before.
    #[must_use]
    pub fn begins_anew(&self) -> bool {
        self.0.anew
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// The keyed hash of a token.
    #[must_use]
    pub fn token_hash(&self, token: &str) -> TokenHash {
        self.0.key.token_hash(token)
    }

    /// All counters as they were last written.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn counters(&self) -> Result<Vec<CounterRow>, Failure> {
        let read = || -> rusqlite::Result<Vec<CounterRow>> {
            let conn = open_reader(&self.0.folder).map_err(|_| rusqlite::Error::InvalidQuery)?;
            let mut statement = conn.prepare(
                "SELECT policy, counter, window, scope, window_start, used, version FROM counters",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(CounterRow {
                    key: CounterKey {
                        policy: row.get(0)?,
                        counter: row.get(1)?,
                        window: row.get(2)?,
                        scope: row.get(3)?,
                    },
                    window_start: row.get(4)?,
                    used: row.get(5)?,
                    version: row.get(6)?,
                })
            })?;
            rows.collect()
        };
        read().map_err(|error| Failure::read(&error))
    }

    /// All grants with the hashes of their tokens.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn grants(&self) -> Result<Vec<(TokenHash, Grant)>, Failure> {
        offline::grants(&self.0.folder)
    }

    /// Adds a grant.
    ///
    /// # Errors
    /// Where one of that name exists, or it cannot be written.
    pub async fn add_grant(&self, grant: Grant, token: &str, row: Written) -> Result<(), Failure> {
        let hash = self.token_hash(token);
        let body = serde_json::to_string(&grant).map_err(|error| Failure::Write(error.to_string()))?;
        self.change(Some(row), move |tx| {
            let there = tx
                .query_row("SELECT 1 FROM grants WHERE name = ?1", [&grant.name], |_| Ok(()))
                .optional()
                .map_err(|error| Failure::write(&error))?;
            if there.is_some() {
                return Err(Failure::GrantExists(grant.name));
            }
            tx.execute(
                "INSERT INTO grants (name, token_hash, body) VALUES (?1, ?2, ?3)",
                params![grant.name, hash, body],
            )
            .map(drop)
            .map_err(|error| Failure::write(&error))
        })
        .await
    }

    /// Gives a grant a new token.
    ///
    /// # Errors
    /// Where there is no such grant, or it cannot be written.
    pub async fn rotate_grant(&self, name: String, token: &str, row: Written) -> Result<(), Failure> {
        let hash = self.token_hash(token);
        self.change(Some(row), move |tx| {
            let changed = tx
                .execute("UPDATE grants SET token_hash = ?2 WHERE name = ?1", params![name, hash])
                .map_err(|error| Failure::write(&error))?;
            if changed == 0 { Err(Failure::NoGrant(name)) } else { Ok(()) }
        })
        .await
    }

    /// Takes a grant away.
    ///
    /// # Errors
    /// Where there is no such grant, or it cannot be written.
    pub async fn revoke_grant(&self, name: String, row: Written) -> Result<(), Failure> {
        self.change(Some(row), move |tx| {
            let changed = tx
                .execute("DELETE FROM grants WHERE name = ?1", params![name])
                .map_err(|error| Failure::write(&error))?;
            if changed == 0 { Err(Failure::NoGrant(name)) } else { Ok(()) }
        })
        .await
    }

    /// Lets go of rows older than `before` (milliseconds since 1970), as that rule of the configuration says; the chain is then
    /// verified from the last of them. The act is signed with the gate's key, and a row says it. Then they are taken out of the file
    /// bit by bit, or go on being at the next call where that breaks off. Gives nothing back of the file's size, SQLite reuses the pages.
    ///
    /// # Errors
    /// Where it cannot be written, or the chain does not hold up to there.
    pub async fn prune(&self, before: i64, rule: &str) -> Result<(), Failure> {
        // Only this lets rows go, so the one that is found stays the last of those that are old.
        let inner = self.0.clone();
        let find = move || last_before(&inner.folder, before, &inner.key.public_hex());
        let found = tokio::task::spawn_blocking(find).await;
        let last = found.map_err(|error| Failure::Read(error.to_string()))??;
        let Some(last) = last else { return self.remove().await };
        let message = format!("the rows up to {last} were let go ({rule})");
        let row = Draft { message: Some(&message), ..Draft::of(Kind::Admin) }.write();
        let (inner, rule, time, chain) = (self.0.clone(), rule.to_owned(), stamp(now_ms()), self.head());
        self.change(Some(row), move |tx| let_go(tx, &inner.key, last, (&rule, &time, chain))).await?;
        self.remove().await
    }

    /// Takes what was let go out of the file, a little at a time: no call waits for it for longer than for one of its own.
    async fn remove(&self) -> Result<(), Failure> {
        let more = Arc::new(AtomicBool::new(true));
        let mut rows = FEWEST;
        while more.load(Ordering::Relaxed) {
            let (went, told) = (Instant::now(), more.clone());
            let edit =
                move |tx: &Connection| remove(tx, rows).map(|more| told.store(more, Ordering::Relaxed));
            self.0.writer.change(None, Box::new(edit), Keep::Process).await?;
            let took = went.elapsed();
            rows = if took < SLICE / 2 {
                rows.saturating_mul(2).min(MOST)
            } else if took > SLICE {
                (rows / 2).max(FEWEST)
            } else {
                rows
            };
            // What is taken out goes through the log, whose folding holds up calls, too: there is no hurry.
            tokio::time::sleep((took * 6).max(SLICE)).await;
        }
        Ok(())
    }

    /// What time it is as far as the age of rows is concerned, in milliseconds since 1970. A clock that jumped ahead by more than a day
    /// is believed after a day.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn trusted_now(&self) -> Result<i64, Failure> {
        trusted_now(&self.0.folder, now_ms())
    }

    /// Forgets the counters of windows that began before a time, in milliseconds since 1970.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn forget_counters(&self, before: i64) -> Result<(), Failure> {
        self.change(None, move |tx| {
            let run = tx.execute("DELETE FROM counters WHERE window_start < ?1", [before]);
            run.map(drop).map_err(|error| Failure::write(&error))
        })
        .await
    }

    /// Keeps an approval as it is now, without a row.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn keep_approval(&self, row: ApprovalRow) -> Result<(), Failure> {
        self.change(None, move |tx| put_approval(tx, &row).map_err(|error| Failure::write(&error))).await
    }

    /// The approvals as they were last kept.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn approvals(&self) -> Result<Vec<ApprovalRow>, Failure> {
        let conn = open_reader(&self.0.folder)?;
        let read = || -> rusqlite::Result<Vec<ApprovalRow>> {
            let mut statement =
                conn.prepare("SELECT id, version, body FROM approvals WHERE body <> ?1 ORDER BY id")?;
            let rows = statement.query_map([ApprovalRow::OVER], |row| {
                Ok(ApprovalRow { id: row.get(0)?, version: row.get(1)?, body: row.get(2)? })
            })?;
            rows.collect()
        };
        read().map_err(|error| Failure::read(&error))
    }

    /// Keeps an upstream's list, so that it can be shown before the upstream answers again.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn keep_definitions(
        &self,
        upstream: String,
        list: String,
        body: String,
    ) -> Result<(), Failure> {
        self.change(None, move |tx| {
            tx.execute(
                "INSERT INTO definitions (upstream, list, body) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET body = excluded.body",
                params![upstream, list, body],
            )
            .map(drop)
            .map_err(|error| Failure::write(&error))
        })
        .await
    }

    /// The lists that were kept: upstream, list and body.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn definitions(&self) -> Result<Vec<(String, String, String)>, Failure> {
        offline::definitions(&self.0.folder)
    }

    /// Keeps what was accepted of servers and their tools. It is on the disk when this answers.
    ///
    /// # Errors
    /// Where it cannot be written; then none of it is.
    pub async fn keep_pins(&self, rows: Vec<PinRow>) -> Result<(), Failure> {
        self.change(None, move |tx| {
            let run = || -> rusqlite::Result<()> {
                let mut statement =
                    tx.prepare("INSERT OR REPLACE INTO pins (upstream, tool, body) VALUES (?1, ?2, ?3)")?;
                for PinRow { upstream, tool, body } in &rows {
                    statement.execute(params![upstream, tool, body])?;
                }
                Ok(())
            };
            run().map_err(|error| Failure::write(&error))
        })
        .await
    }

    /// What was kept of one upstream, or of all.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn pins(&self, upstream: Option<&str>) -> Result<Vec<PinRow>, Failure> {
        let conn = open_reader(&self.0.folder)?;
        let read = || -> rusqlite::Result<Vec<PinRow>> {
            let mut statement =
                conn.prepare("SELECT upstream, tool, body FROM pins WHERE ?1 IS NULL OR upstream = ?1")?;
            let rows = statement.query_map([upstream], |row| {
                Ok(PinRow { upstream: row.get(0)?, tool: row.get(1)?, body: row.get(2)? })
            })?;
            rows.collect()
        };
        read().map_err(|error| Failure::read(&error))
    }

    /// Keeps a task as it is now, together with a row of the record where there is one to write. It is on the disk
    /// when this answers. One that is not new and was forgotten meanwhile stays forgotten.
    ///
    /// # Errors
    /// Where it cannot be written; then neither is.
    pub async fn keep_task(&self, task: TaskRow, row: Option<Written>) -> Result<(), Failure> {
        self.change(row, move |tx| {
            let TaskRow { id, run, owner, upstream, theirs, tool, digest, design, .. } = task;
            let TaskRow { state, why, ttl_ms, created, stamp, looked, stop, said, places, version, .. } =
                task;
            let statement = if version == 1 { tasks::ENTER } else { tasks::UPDATE };
            tx.execute(
                statement,
                params![
                    id, run, owner, upstream, theirs, tool, digest, design, state, why, ttl_ms, created,
                    stamp, looked, stop, said, places, version
                ],
            )
            .map(drop)
            .map_err(|error| Failure::write(&error))
        })
        .await
    }

    /// Forgets tasks.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub async fn forget_tasks(&self, ids: Vec<String>) -> Result<(), Failure> {
        self.change(None, move |tx| {
            let run = || -> rusqlite::Result<()> {
                let mut statement = tx.prepare("DELETE FROM tasks WHERE id = ?1")?;
                ids.iter().try_for_each(|id| statement.execute([id]).map(drop))
            };
            run().map_err(|error| Failure::write(&error))
        })
        .await
    }

    /// The tasks that were kept before it was opened: none where there were none then.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn tasks(&self) -> Result<Vec<TaskRow>, Failure> {
        // Most gates have none, and a connection costs memory.
        if !self.0.had_tasks {
            return Ok(Vec::new());
        }
        let conn = open_reader(&self.0.folder)?;
        let read = || -> rusqlite::Result<Vec<TaskRow>> {
            let mut statement = conn.prepare("SELECT * FROM tasks ORDER BY created, id")?;
            let rows = statement.query_map([], |row| {
                Ok(TaskRow {
                    id: row.get("id")?,
                    run: row.get("run")?,
                    owner: row.get("owner")?,
                    upstream: row.get("upstream")?,
                    theirs: row.get("theirs")?,
                    tool: row.get("tool")?,
                    digest: row.get("digest")?,
                    design: row.get("design")?,
                    state: row.get("state")?,
                    why: row.get("why")?,
                    ttl_ms: row.get("ttl_ms")?,
                    created: row.get("created")?,
                    stamp: row.get("stamp")?,
                    looked: row.get("looked")?,
                    stop: row.get("stop")?,
                    said: row.get("said")?,
                    places: row.get("places")?,
                    version: row.get("version")?,
                })
            })?;
            rows.collect()
        };
        read().map_err(|error| Failure::read(&error))
    }
}

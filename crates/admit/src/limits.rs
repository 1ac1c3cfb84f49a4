//! Counters of limits: in memory for judging, handed to the record with every change.

use parking_lot::Mutex;
use portcullis_ledger::{CounterKey, CounterRow, Jump};
use portcullis_policy::{Concurrent, Counts, Decimal, Limit, Mode, Refund, Window};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// All counters. One lock: reserving several limits must be one step.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    counted: HashMap<CounterKey, State>,
    /// How many run at present.
    running: HashMap<PlaceKey, u32>,
    /// How many were given up a moment ago, and may go on at their servers all the same.
    lingering: HashMap<PlaceKey, u32>,
    /// How many counters there were when those of windows that are over were last let go of.
    swept: usize,
    /// What a clock said that was set ahead, before that, in milliseconds since 1970.
    set_ahead: Option<i64>,
}

/// Policy, pointer and scope of a limit on what runs at once.
type PlaceKey = (String, String, String);

/// Fewer counters than this are not worth a sweep.
const SWEPT: usize = 1024;

impl Table {
    /// Lets go of the counters of windows that are over, now and then: identical calls have one each.
    fn sweep(&mut self, now_ms: i64) {
        if self.counted.len() < SWEPT.max(self.swept.saturating_mul(2)) {
            return;
        }
        self.counted.retain(|key, state| !is_over(key, state.window_start, now_ms));
        self.swept = self.counted.len();
    }
}

/// Whether a window is over, and a clock that is set back a little does not come into it again.
fn is_over(key: &CounterKey, window_start: i64, now_ms: i64) -> bool {
    let window = Window::named(&key.window).unwrap_or(Window::Day);
    window_start.saturating_add(window.millis()).saturating_add(Window::Hour.millis()) < now_ms
}

#[derive(Debug, Clone, Copy)]
struct State {
    window_start: i64,
    used: Decimal,
    version: i64,
    /// The window that a clock ended which was set ahead, and what was used in it.
    before: Option<(i64, Decimal)>,
}

impl State {
    /// The state for a call in the window that begins at `start`.
    fn at(self, start: i64, window: Window) -> Self {
        if self.window_start < start {
            return Self { window_start: start, used: Decimal::ZERO, before: None, ..self };
        }
        // A clock that was set back a little goes on in the window that it was in, so that none is opened anew. One that was
        // set back by more takes along what was used: a window must not stay used up until a year comes that was a mistake.
        let is_far = self.window_start.saturating_sub(start) > window.millis();
        Self { window_start: if is_far { start } else { self.window_start }, ..self }
    }
}

/// One limit that a call wants to draw on.
pub(crate) struct Draw<'p> {
    pub policy: &'p str,
    pub scope: Cow<'p, str>,
    pub limit: &'p Limit,
    pub amount: Decimal,
    /// Whether it refuses a call; one that is only tried is counted all the same.
    pub mode: Mode,
}

/// A place among those that may run at once.
pub(crate) struct Place<'p> {
    pub policy: &'p str,
    pub scope: Cow<'p, str>,
    pub limit: &'p Concurrent,
}

/// All that a call wants of limits.
#[derive(Default)]
pub(crate) struct Wants<'p> {
    pub draws: Vec<Draw<'p>>,
    pub places: Vec<Place<'p>>,
}

/// What a call has of limits.
#[derive(Debug, Default)]
pub(crate) struct Reservation {
    pub drawn: Vec<Reserved>,
    /// Free again when nobody holds them any more.
    pub places: Option<Arc<Places>>,
    /// The first limit that would have refused the call, were it not only tried.
    pub tried: Option<Exceeded>,
}

/// Places among those that may run at once, until this is dropped.
#[derive(Debug)]
pub struct Places {
    table: Arc<Mutex<Table>>,
    taken: Vec<PlaceKey>,
    /// Whether what has them was given up.
    given_up: AtomicBool,
}

/// How long a call that was given up counts as one that may go on at its server: a server need not say that it stopped.
const LINGERS: Duration = Duration::from_mins(1);
/// How many calls of a limit may run or linger, in times of those that may run.
const WITH_LINGERING: u32 = 2;

fn release(places: &mut HashMap<PlaceKey, u32>, key: &PlaceKey) {
    match places.get_mut(key) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(places.remove(key)),
    }
}

impl Places {
    /// As they are kept, for [`Admit::places`](crate::Admit::places).
    #[must_use]
    pub fn written(&self) -> String {
        serde_json::json!(self.taken).to_string()
    }

    /// What has them was given up: they are free for others, but not for more and more of them while their servers may still
    /// carry out what was given up.
    pub(crate) fn linger(self: Arc<Self>) {
        if !self.given_up.swap(true, Ordering::Relaxed) {
            let mut table = self.table.lock();
            for key in &self.taken {
                release(&mut table.running, key);
                *table.lingering.entry(key.clone()).or_default() += 1;
            }
        }
        // Without a runtime the gate is at its end.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(LINGERS).await;
                drop(self);
            });
        }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        let table = &mut *table;
        let given_up = self.given_up.load(Ordering::Relaxed);
        let places = if given_up { &mut table.lingering } else { &mut table.running };
        self.taken.iter().for_each(|key| release(places, key));
    }
}

impl Draw<'_> {
    fn key(&self) -> CounterKey {
        CounterKey {
            policy: self.policy.to_owned(),
            counter: self.limit.counter.clone(),
            window: self.limit.window.to_string(),
            scope: self.scope.clone().into_owned(),
        }
    }
}

/// What was reserved, in which window, so that a refund never lands in a later one.
#[derive(Debug, Clone)]
pub(crate) struct Reserved {
    pub key: CounterKey,
    pub window_start: i64,
    pub amount: Decimal,
    pub on_error: bool,
}

/// A counter that a call draws on, as it was before.
struct Taken {
    state: State,
    reserved: Reserved,
}

/// A limit that is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub rule: String,
    pub message: String,
    /// When its window ends; `None` where it is not for time to free it.
    pub resets_at: Option<i64>,
}

impl Counters {
    /// The counters as they were kept, but those whose window is over.
    pub(crate) fn new(rows: Vec<CounterRow>, now_ms: i64) -> Result<Self, String> {
        let mut counted = HashMap::new();
        for row in rows.into_iter().filter(|row| !is_over(&row.key, row.window_start, now_ms)) {
            let used = row.used.parse().map_err(|_| {
                format!("the counter {} holds `{}`, which is no number", row.key.counter, row.used)
            })?;
            let (window_start, version) = (row.window_start, row.version);
            counted.insert(row.key, State { window_start, used, version, before: None });
        }
        let swept = counted.len();
        let table = Table { counted, swept, ..Table::default() };
        Ok(Self { table: Arc::new(Mutex::new(table)) })
    }

    /// The clock was set. Where it was set ahead and is set right again, the windows of before go on, and those of the wrong time
    /// count no more.
    pub(crate) fn clock_was_set(&self, jump: Jump) {
        let mut table = self.table.lock();
        match table.set_ahead {
            None if !jump.is_back() => table.set_ahead = Some(jump.from),
            Some(from) if jump.is_back() && jump.to >= from => {
                for state in table.counted.values_mut().filter(|state| state.window_start > jump.to) {
                    let (window_start, used) = state.before.take().unwrap_or((i64::MIN, Decimal::ZERO));
                    (state.window_start, state.used) = (window_start, used);
                }
                table.set_ahead = None;
            }
            _ => {}
        }
    }

    /// Reserves all that a call wants or nothing. Gives what was reserved and the counters as they stand after it. A counter that
    /// several limits name is drawn from once, the most that one of them counts, and must stay within each of them.
    pub(crate) fn reserve(
        &self,
        draws: &[Draw<'_>],
        wanted: &[Place<'_>],
        now_ms: i64,
    ) -> Result<(Reservation, Vec<CounterRow>), Exceeded> {
        if draws.is_empty() && wanted.is_empty() {
            return Ok(Default::default());
        }
        let mut table = self.table.lock();
        table.sweep(now_ms);
        let mut taken: Vec<Taken> = Vec::with_capacity(draws.len());
        // Of each draw, which of them it draws on.
        let mut places = Vec::with_capacity(draws.len());
        for draw in draws {
            let key = draw.key();
            let on_error = draw.limit.refund == Refund::OnError;
            let place = taken.iter().position(|taken| taken.reserved.key == key).unwrap_or(taken.len());
            places.push(place);
            match taken.get_mut(place) {
                Some(taken) => {
                    taken.reserved.amount = taken.reserved.amount.max(draw.amount);
                    taken.reserved.on_error &= on_error;
                }
                None => {
                    let start = draw.limit.window.start(now_ms);
                    // Later than every version of a counter that was let go of.
                    let version = now_ms.saturating_mul(1000);
                    let fresh = State { window_start: start, used: Decimal::ZERO, version, before: None };
                    let kept = table.counted.get(&key).copied().unwrap_or(fresh);
                    let mut state = kept.at(start, draw.limit.window);
                    if state.window_start != kept.window_start {
                        state.version = kept.version.max(version);
                        let before = kept.before.or(Some((kept.window_start, kept.used)));
                        state.before = table.set_ahead.and(before);
                        // It goes on from here, also where this call is one too many.
                        if state.window_start < kept.window_start {
                            table.counted.insert(key.clone(), state);
                        }
                    }
                    let window_start = state.window_start;
                    taken.push(Taken {
                        state,
                        reserved: Reserved { key, window_start, amount: draw.amount, on_error },
                    });
                }
            }
        }
        let mut tried = None;
        for (draw, place) in draws.iter().zip(places) {
            let Some(taken) = taken.get(place) else { continue };
            let used = taken.state.used.checked_add(&taken.reserved.amount);
            if used.is_ok_and(|used| used <= draw.limit.max) {
                continue;
            }
            let resets_at = draw.limit.window.resets_at(taken.state.window_start.max(now_ms));
            let exceeded = Exceeded {
                rule: draw.limit.pointer().to_owned(),
                message: exceeded_text(draw, resets_at),
                resets_at: Some(resets_at),
            };
            match draw.mode {
                Mode::Enforced => return Err(exceeded),
                Mode::Shadow => drop(tried.get_or_insert(exceeded)),
            }
        }
        let places = self.take_in(&mut table, wanted)?;
        let mut rows = Vec::with_capacity(taken.len());
        let mut drawn = Vec::with_capacity(taken.len());
        for Taken { mut state, reserved: one } in taken {
            state.used = state.used.checked_add(&one.amount).unwrap_or(state.used);
            state.version += 1;
            rows.push(row(&one.key, &state));
            table.counted.insert(one.key.clone(), state);
            drawn.push(one);
        }
        Ok((Reservation { drawn, places, tried }, rows))
    }

    /// Takes all places or none.
    pub(crate) fn take(&self, wanted: &[Place<'_>]) -> Result<Option<Arc<Places>>, Exceeded> {
        self.take_in(&mut self.table.lock(), wanted)
    }

    /// Takes places again that were kept, also where more are taken then than may be: what has them runs already.
    pub(crate) fn take_again(&self, written: &str) -> Option<Arc<Places>> {
        let taken: Vec<PlaceKey> = serde_json::from_str(written).ok()?;
        let mut table = self.table.lock();
        for key in &taken {
            *table.running.entry(key.clone()).or_default() += 1;
        }
        Some(Arc::new(Places { table: self.table.clone(), taken, given_up: AtomicBool::new(false) }))
    }

    fn take_in(&self, table: &mut Table, wanted: &[Place<'_>]) -> Result<Option<Arc<Places>>, Exceeded> {
        if wanted.is_empty() {
            return Ok(None);
        }
        let mut taken: Vec<PlaceKey> = Vec::with_capacity(wanted.len());
        for place in wanted {
            let limit = place.limit;
            let key = (place.policy.to_owned(), limit.pointer().to_owned(), place.scope.clone().into_owned());
            let running = table.running.get(&key).copied().unwrap_or(0);
            let lingering = table.lingering.get(&key).copied().unwrap_or(0);
            let all = limit.max.saturating_mul(WITH_LINGERING);
            if running < limit.max && running + lingering >= all {
                let message = format!(
                    "{} such calls may run at a time, and {lingering} were given up a moment ago and may go on at the server. Try again in a minute.",
                    limit.max
                );
                return Err(Exceeded { rule: limit.pointer().to_owned(), message, resets_at: None });
            }
            if running >= limit.max {
                let message = match limit.max {
                    1 => "One such call may run at a time, and one does. Try again when it has ended."
                        .to_owned(),
                    max => format!(
                        "{max} such calls may run at a time, and so many do. Try again when one has ended."
                    ),
                };
                return Err(Exceeded { rule: limit.pointer().to_owned(), message, resets_at: None });
            }
            taken.push(key);
        }
        for key in &taken {
            *table.running.entry(key.clone()).or_default() += 1;
        }
        Ok(Some(Arc::new(Places { table: self.table.clone(), taken, given_up: AtomicBool::new(false) })))
    }

    /// Gives reservations back: all of them, or those that their limit refunds on an error. What belongs to
    /// a window that is over stays used.
    pub(crate) fn refund(&self, reserved: &[Reserved], only_on_error: bool) -> Vec<CounterRow> {
        let mut table = self.table.lock();
        let mut rows = Vec::new();
        for one in reserved.iter().filter(|one| one.on_error || !only_on_error) {
            let Some(state) = table.counted.get_mut(&one.key) else { continue };
            if state.window_start != one.window_start {
                continue;
            }
            if let Ok(used) = state.used.checked_sub(&one.amount) {
                state.used = used;
                state.version += 1;
                rows.push(row(&one.key, state));
            }
        }
        rows
    }
}

fn exceeded_text(draw: &Draw<'_>, resets_at: i64) -> String {
    let time = portcullis_ledger::time_text(resets_at);
    let (max, window, counter) = (draw.limit.max, draw.limit.window, &draw.limit.counter);
    if draw.limit.counts == Counts::Identical {
        return format!(
            "The same call was made {max} times in this {window}, and so often it may be. It may be again at {time}."
        );
    }
    format!("The limit of {max} per {window} ({counter}) is used up. It resets at {time}.")
}

fn row(key: &CounterKey, state: &State) -> CounterRow {
    CounterRow {
        key: key.clone(),
        window_start: state.window_start,
        used: state.used.to_string(),
        version: state.version,
    }
}

#[cfg(test)]
mod tests;

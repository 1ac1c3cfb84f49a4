//! One value for each key, opened when it is first wanted.
//!
//! Opening waits for a server, and a server may hang. So no lock is held meanwhile: whoever wants the value of another key, or ends
//! values, does not wait for it.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use tokio::sync::OnceCell;

type Cell<T> = Arc<OnceCell<T>>;

/// The values.
#[derive(Debug)]
pub struct Cells<K, T>(Mutex<HashMap<K, Cell<T>>>);

impl<K, T> Default for Cells<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// A value, as [`Cells::open`] gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened<T> {
    /// It was there, or somebody else opened it.
    There(T),
    /// It was opened for whoever asks.
    Now(T),
    /// It was opened, and its key was taken out meanwhile: nobody else knows of it, and it has to be ended.
    TakenOut(T),
}

impl<T> Opened<T> {
    /// The value, whoever opened it.
    pub fn into_inner(self) -> T {
        let (Self::There(value) | Self::Now(value) | Self::TakenOut(value)) = self;
        value
    }
}

impl<K: Eq + Hash + Clone, T: Clone> Cells<K, T> {
    /// The value of a key, where it is open.
    pub fn get(&self, key: &K) -> Option<T> {
        self.0.lock().get(key)?.get().cloned()
    }

    /// The value of a key, opened by `open` where there is none that `lives`. Two that want it at once wait for the same one; where
    /// the one that opens it leaves or fails, the next opens it anew.
    ///
    /// # Errors
    /// Those of `open`.
    pub async fn open<E>(
        &self,
        key: &K,
        lives: impl Fn(&T) -> bool,
        open: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<Opened<T>, E> {
        let cell = {
            let mut all = self.0.lock();
            let cell = all.entry(key.clone()).or_default();
            match cell.get() {
                Some(value) if lives(value) => return Ok(Opened::There(value.clone())),
                Some(_) => *cell = Cell::default(),
                None => {}
            }
            cell.clone()
        };
        let wanted = Wanted { cells: self, key, cell };
        let mut now = false;
        let opened = wanted.cell.get_or_try_init(async || {
            now = true;
            open().await
        });
        let value = opened.await?.clone();
        Ok(match now {
            false => Opened::There(value),
            true if wanted.is_in(&self.0.lock()) => Opened::Now(value),
            true => Opened::TakenOut(value),
        })
    }

    /// Takes the value of a key out, open or not yet; gives it where it was open.
    pub fn take(&self, key: &K) -> Option<T> {
        self.0.lock().remove(key)?.get().cloned()
    }

    /// Takes a key out where its value is this one.
    pub fn take_if(&self, key: &K, is_it: impl Fn(&T) -> bool) {
        let mut all = self.0.lock();
        if all.get(key).and_then(|cell| cell.get()).is_some_and(is_it) {
            all.remove(key);
        }
    }

    /// Takes out all that are not to be kept; gives those of them that were open. One that is still opening is asked for as `None`.
    pub fn retain(&self, mut keep: impl FnMut(&K, Option<&T>) -> bool) -> Vec<T> {
        let mut gone = Vec::new();
        self.0.lock().retain(|key, cell| {
            let keep = keep(key, cell.get());
            if !keep {
                gone.extend(cell.get().cloned());
            }
            keep
        });
        gone
    }

    /// All that are open.
    pub fn all(&self) -> Vec<(K, T)> {
        let all = self.0.lock();
        all.iter().filter_map(|(key, cell)| Some((key.clone(), cell.get()?.clone()))).collect()
    }
}

/// A cell that somebody waits for. One that stays empty is let go of with the last who wanted it.
struct Wanted<'a, K: Eq + Hash, T> {
    cells: &'a Cells<K, T>,
    key: &'a K,
    cell: Cell<T>,
}

impl<K: Eq + Hash, T> Wanted<'_, K, T> {
    fn is_in(&self, all: &HashMap<K, Cell<T>>) -> bool {
        all.get(self.key).is_some_and(|known| Arc::ptr_eq(known, &self.cell))
    }
}

impl<K: Eq + Hash, T> Drop for Wanted<'_, K, T> {
    fn drop(&mut self) {
        let mut all = self.cells.0.lock();
        // Besides the map's there is this one alone.
        if self.cell.get().is_none() && Arc::strong_count(&self.cell) == 2 && self.is_in(&all) {
            all.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::time::Duration;

    async fn hang() -> Result<u32, Infallible> {
        std::future::pending().await
    }

    async fn slow() -> Result<u32, Infallible> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(1)
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_keeps_nobody_else_waiting() {
        let cells = Arc::new(Cells::<&str, u32>::default());
        let hangs = tokio::spawn({
            let cells = cells.clone();
            async move { cells.open(&"hangs", |_| true, hang).await }
        });
        tokio::task::yield_now().await;
        let other = cells.open(&"other", |_| true, async || Ok::<_, Infallible>(1)).await;
        assert_eq!(other, Ok(Opened::Now(1)));
        assert_eq!((cells.get(&"hangs"), cells.get(&"other")), (None, Some(1)));
        assert_eq!(cells.retain(|_, _| false), [1]);
        // The one that opened it left: the next opens it anew.
        hangs.abort();
        let _ = hangs.await;
        assert!(cells.0.lock().is_empty());
        let again = cells.open(&"hangs", |_| true, async || Ok::<_, Infallible>(2)).await;
        assert_eq!(again, Ok(Opened::Now(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn two_that_want_it_at_once_open_it_once() {
        let cells = Cells::<&str, u32>::default();
        let other = async || Ok::<_, Infallible>(2);
        let both = tokio::join!(cells.open(&"a", |_| true, slow), cells.open(&"a", |_| true, other));
        assert_eq!(both, (Ok(Opened::Now(1)), Ok(Opened::There(1))));
        // One that lives no more is opened again.
        assert_eq!(cells.open(&"a", |_| false, other).await, Ok(Opened::Now(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_out_while_it_opened_is_said_to_be() {
        let cells = Cells::<&str, u32>::default();
        let taken = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(cells.take(&"a"), None);
        };
        assert_eq!(tokio::join!(cells.open(&"a", |_| true, slow), taken).0, Ok(Opened::TakenOut(1)));
        assert!(cells.all().is_empty());
    }

    #[tokio::test]
    async fn what_could_not_be_opened_leaves_nothing() {
        let cells = Cells::<&str, u32>::default();
        assert_eq!(cells.open(&"a", |_| true, async || Err::<u32, _>("no")).await, Err("no"));
        assert!(cells.0.lock().is_empty());
    }
}

//! A future that wakes itself without stirring the runtime.
//!
//! A connection reads the body of a request and hands it to the handler inside one and the same task, so every
//! request wakes the very task that is running. The runtime takes that for a task that yields, puts it at the
//! end of its queue and wakes another thread to steal it: at low load each call then costs a wake-up and moves
//! to a cold core and back. Here such a wake only means: poll once more.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Polls in a row before the runtime has its turn after all: whoever wants to yield shall.
const ROUNDS: usize = 4;

const RESTING: u8 = 0;
const POLLED: u8 = 1;
const WOKEN: u8 = 2;

#[derive(Default)]
struct State {
    phase: AtomicU8,
    task: AtomicWaker,
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.phase.compare_exchange(POLLED, WOKEN, Ordering::AcqRel, Ordering::Acquire) == Err(RESTING) {
            self.task.wake();
        }
    }
}

/// See the module's text.
pub(crate) struct Unstirred<F> {
    inner: Pin<Box<F>>,
    state: Arc<State>,
    waker: Waker,
}

impl<F: Future> Unstirred<F> {
    pub(crate) fn new(inner: F) -> Self {
        let state = Arc::new(State::default());
        Self { inner: Box::pin(inner), waker: Waker::from(state.clone()), state }
    }

    /// The future itself.
    pub(crate) fn inner(&mut self) -> Pin<&mut F> {
        self.inner.as_mut()
    }
}

impl<F: Future> Future for Unstirred<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        this.state.task.register(context.waker());
        let mut inner = Context::from_waker(&this.waker);
        for _ in 0..ROUNDS {
            this.state.phase.store(POLLED, Ordering::Release);
            let polled = this.inner.as_mut().poll(&mut inner);
            let woken = this.state.phase.swap(RESTING, Ordering::AcqRel) == WOKEN;
            if polled.is_ready() || !woken {
                return polled;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn its_own_wakes_stay_inside_and_those_of_others_reach_the_task() {
        let task = Arc::new(Counted::default());
        let waker = Waker::from(task.clone());
        let mut context = Context::from_waker(&waker);
        let (mut polls, kept) = (0, Arc::new(AtomicWaker::new()));
        let inside = kept.clone();
        let mut future = Unstirred::new(poll_fn(move |context| {
            polls += 1;
            if polls == 1 {
                context.waker().wake_by_ref();
            }
            inside.register(context.waker());
            if polls == 3 { Poll::Ready(polls) } else { Poll::Pending }
        }));
        assert!(Pin::new(&mut future).poll(&mut context).is_pending());
        assert_eq!(task.0.load(Ordering::Relaxed), 0);
        kept.wake();
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
        assert_eq!(Pin::new(&mut future).poll(&mut context), Poll::Ready(3));
    }

    #[test]
    fn what_wakes_itself_for_ever_lets_others_run() {
        let task = Arc::new(Counted::default());
        let waker = Waker::from(task.clone());
        let mut future = Unstirred::new(poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(task.0.load(Ordering::Relaxed), 1);
    }
}

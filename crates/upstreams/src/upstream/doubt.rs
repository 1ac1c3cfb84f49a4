//! A server that may have stopped to answer while its process lives: looked at, and given up.

use super::Upstream;
use super::connection::probe;
use crate::link::{Line, Link};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often a server that says nothing is asked whether it is still there, before it is given up.
const PROBES: u32 = 2;
/// How often is looked whether what a silent server may be busy with is over.
const LOOK: Duration = Duration::from_millis(500);

impl Upstream {
    /// Something went wrong on a link: look whether the server is still there.
    pub fn suspect(self: &Arc<Self>, link: &Arc<Link>) {
        if !link.is_line() {
            self.wanted.notify_one();
        } else if link.closed().is_none() && !link.doubted.swap(true, Ordering::Relaxed) {
            let (upstream, link) = (self.clone(), link.clone());
            tokio::spawn(async move {
                upstream.look_into(&link).await;
                link.doubted.store(false, Ordering::Relaxed);
            });
        }
    }

    /// The same of a call that had no answer in its time. A server over HTTP that takes long for one call answers others.
    pub fn suspect_silence(self: &Arc<Self>, link: &Arc<Link>) {
        if link.is_line() {
            self.suspect(link);
        }
    }

    /// Gives a link up whose server is not there any more, or says nothing at all: twice not on being asked, and not while what was
    /// asked of it before may take its time. Many servers do one thing after the other.
    async fn look_into(&self, link: &Link) {
        let (began, life) = (Instant::now(), link.life());
        let mut silent = String::new();
        for _ in 0..PROBES {
            match probe(self, link).await {
                Ok(()) => return,
                Err(doubt) if doubt.is_late => silent = doubt.why,
                Err(doubt) => return link.give_up(&doubt.why),
            }
            if link.life() != life {
                return;
            }
        }
        while link.closed().is_none() && link.waits_since(began) {
            tokio::time::sleep(LOOK).await;
        }
        if link.life() == life {
            link.give_up(&format!("{silent}, {PROBES} times, and said nothing else"));
        }
    }
}

impl Link {
    /// Grows with whatever a line brings.
    fn life(&self) -> u64 {
        match &self.line {
            Line::Http(_) => 0,
            Line::Pipe(pipe) => pipe.mux.life(),
            Line::OldSse(line) => line.mux.life(),
        }
    }

    /// Whether a request waits on a line that was sent before that.
    fn waits_since(&self, then: Instant) -> bool {
        match &self.line {
            Line::Http(_) => false,
            Line::Pipe(pipe) => pipe.mux.waits_since(then),
            Line::OldSse(line) => line.mux.waits_since(then),
        }
    }

    fn give_up(&self, why: &str) {
        tracing::warn!(%why, "a server is given up");
        match &self.line {
            Line::Http(_) => {}
            Line::Pipe(pipe) => pipe.give_up(why),
            Line::OldSse(line) => line.mux.close(why),
        }
    }
}

//! The gate's own link to a server: opened, watched, and opened again for as long as the upstream is there.

use super::{State, Upstream};
use crate::link::{Link, SendFailed};
use crate::open::{Wish, ask, own_meta};
use portcullis_admit::{Housekeeping, Permit};
use portcullis_catalogue::ListKind;
use portcullis_wire::Era;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// First and longest pause between attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));
/// Which part of a pause is kept when somebody wants the server meanwhile.
const WANTED: u32 = 4;
/// A server that lived this long may come back at once when it ends.
const STABLE: Duration = Duration::from_secs(60);
/// How long one attempt to connect may take. Installing a package on first use takes longer than connecting.
const ATTEMPT: Duration = Duration::from_secs(120);
/// How long a server may take to show that it is still there.
const PROBE: Duration = Duration::from_secs(10);
/// The same for a server whose calls have less time.
const SHORTEST: Duration = Duration::from_secs(1);

/// Connects, watches, and connects again, for as long as the upstream is there.
pub(super) async fn stay_connected(upstream: Weak<Upstream>) {
    let mut pause = BACKOFF.0;
    loop {
        let Some(this) = upstream.upgrade() else { return };
        let began = Instant::now();
        let why = match connect(&this).await {
            Ok(link) => {
                let _ = this.state.send_replace(State::Ready);
                tracing::info!(upstream = %this.spec.name, era = ?link.era(), "connected");
                this.no_more_from_before();
                this.look_again();
                drop(this);
                let why = watch_over(&upstream, &link).await;
                let Some(this) = upstream.upgrade() else { return };
                {
                    let mut known = this.known.lock();
                    known.first = None;
                    known.no_old = None;
                }
                this.old.take(&super::ALL.into());
                this.lists.forget_all();
                why
            }
            Err(why) => why,
        };
        let Some(this) = upstream.upgrade() else { return };
        if began.elapsed() > STABLE {
            pause = BACKOFF.0;
        }
        tracing::warn!(upstream = %this.spec.name, reason = %why, "the upstream is down; trying again");
        let _ = this.state.send_replace(State::Down(why));
        this.no_more_from_before();
        this.look_again();
        // Jitter keeps many gates from knocking at the same instant.
        let jitter = Duration::from_millis(u64::from(began.elapsed().subsec_nanos()) % 100);
        // Whoever wants it has it tried sooner, and not so often that a server which cannot start does nothing else.
        let wanted = async {
            tokio::time::sleep(BACKOFF.0.max(pause / WANTED)).await;
            this.wanted.notified().await;
        };
        tokio::select! {
            () = tokio::time::sleep(pause + jitter) => {}
            () = wanted => {}
            () = this.again.notified() => {
                pause = BACKOFF.0;
                continue;
            }
        }
        pause = (pause * 2).min(BACKOFF.1);
    }
}

async fn connect(this: &Arc<Upstream>) -> Result<Arc<Link>, String> {
    let opener = this.opener();
    let wish = Wish::own(this.own_inbox());
    let link = tokio::time::timeout(ATTEMPT, opener.first(&wish))
        .await
        .map_err(|_| format!("it did not answer within {} s", ATTEMPT.as_secs()))?
        .map_err(|error| error.to_string())?;
    this.lists.meet(link.hello()).await.map_err(|failed| failed.to_string())?;
    this.known.lock().first = Some(link.clone());
    // Known tools are part of being ready: an unknown tool must not be taken for one that is not there.
    if link.declares("tools")
        && let Err(error) = this.lists.get(ListKind::Tools, &link).await
    {
        tracing::warn!(upstream = %this.spec.name, %error, "its tools could not be listed");
    }
    Ok(link)
}

/// Waits until the link is lost and says why.
async fn watch_over(upstream: &Weak<Upstream>, link: &Arc<Link>) -> String {
    loop {
        let Some(this) = upstream.upgrade() else { return String::new() };
        if let Some(why) = link.closed() {
            return why;
        }
        if link.is_line() {
            // Doubts of it are looked into elsewhere, as of every line: whoever is given up is closed.
            drop(this);
            link.gone().await;
            continue;
        }
        tokio::select! {
            () = hear(&this, link) => {}
            () = this.wanted.notified() => {
                if let Err(doubt) = probe(&this, link).await {
                    return doubt.why;
                }
            }
        }
    }
}

/// Why a server is not taken for one that answers.
pub(super) struct Doubt {
    pub(super) why: String,
    /// Whether it only did not answer in time.
    pub(super) is_late: bool,
}

/// Whether the server still answers, and is the one that it was.
pub(super) async fn probe(this: &Upstream, link: &Link) -> Result<(), Doubt> {
    let doubt = |why: String| Doubt { why, is_late: false };
    let (what, params) = match link.era() {
        Era::Old => (Housekeeping::Ping, "{}".to_owned()),
        Era::New => (Housekeeping::Discover, format!("{{\"_meta\":{}}}", own_meta("{}"))),
    };
    // Where calls have little time, so has this.
    let time = PROBE.min(this.spec.limits.call / 2).max(SHORTEST);
    match tokio::time::timeout(time, ask(link, what, &params)).await {
        Err(_) => {
            let why = format!("it did not answer {} within {} s", what.method(), time.as_secs_f64());
            Err(Doubt { why, is_late: true })
        }
        Ok(Ok(hello)) => this.lists.meet(&hello).await.map_err(|failed| doubt(failed.to_string())),
        // A server that answers with an error of its own is there.
        Ok(Err(SendFailed::Refused { status: 200 | 400 | 404 | 405, .. })) => Ok(()),
        Ok(Err(error)) => Err(doubt(error.to_string())),
    }
}

/// Hears what an HTTP server says outside of calls until its stream ends; where it offers none, waits for
/// ever. A lost stream is a reason to look whether the server is still there.
async fn hear(this: &Arc<Upstream>, link: &Arc<Link>) {
    let inbox = this.own_inbox();
    let opened = match link.era() {
        Era::Old => link.listen(None).await,
        Era::New => {
            let wanted = r#"{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}"#;
            let params = format!("{{\"notifications\":{wanted},\"_meta\":{}}}", own_meta("{}"));
            link.send(Permit::housekeeping(Housekeeping::Listen, &params)).await
        }
    };
    match opened {
        Ok(mut stream) => {
            let mut heard_any = false;
            while let Ok(Some(heard)) = stream.next().await {
                let Some(message) = heard.message else { continue };
                match message.kind() {
                    portcullis_wire::Kind::Notification => {
                        heard_any = true;
                        inbox.notice(link, message);
                    }
                    portcullis_wire::Kind::Request => inbox.request(link, message),
                    portcullis_wire::Kind::Response => break,
                }
            }
            tokio::time::sleep(if heard_any { BACKOFF.0 } else { Duration::from_secs(1) }).await;
            this.wanted.notify_one();
        }
        Err(SendFailed::NotReached(_) | SendFailed::SessionLost | SendFailed::Broken(_)) => {
            tokio::time::sleep(BACKOFF.0).await;
            this.wanted.notify_one();
        }
        Err(SendFailed::Refused { .. }) => {}
    }
    std::future::pending::<()>().await;
}

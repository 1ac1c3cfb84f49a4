//! Where goes what a server says outside of any call.

use crate::Link;
use portcullis_wire::Envelope;
use std::sync::Arc;

/// Takes what a server says on its own account. Called from the task that reads the link: it must not wait.
pub trait Inbox: Send + Sync {
    /// A notification.
    fn notice(&self, link: &Arc<Link>, notice: Envelope);
    /// A request. It is answered with [`Link::follow`], or refused there and then.
    fn request(&self, link: &Arc<Link>, request: Envelope);
}

/// An inbox for links that no client owns: notices are passed over, requests refused.
#[derive(Debug, Clone, Copy)]
pub struct Quiet;

impl Inbox for Quiet {
    fn notice(&self, _: &Arc<Link>, _: Envelope) {}

    fn request(&self, link: &Arc<Link>, request: Envelope) {
        link.refuse(&request);
    }
}

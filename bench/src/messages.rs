//! What the load generator sends: a different message of about 1 KB for each call.

use std::fmt::Write;

/// Length of a message in bytes.
const LENGTH: usize = 1000;

/// An endless supply of messages, all different, made of `a` to `p`, digits and spaces, so that
/// they read the same in JSON and match the rule in the gate's policy.
#[derive(Debug)]
pub struct Messages {
    worker: usize,
    sent: u64,
    state: u64,
    text: String,
}

impl Messages {
    /// The messages of one worker; two workers never send the same.
    pub fn new(worker: usize) -> Self {
        // Any odd start does for a xorshift that has only to look different.
        let state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(2 * worker as u64 + 1);
        Self { worker, sent: 0, state, text: String::with_capacity(LENGTH + 32) }
    }

    /// The next message, and a number for its request that is unique in this worker.
    pub fn next_message(&mut self) -> (u64, &str) {
        self.sent += 1;
        self.text.clear();
        // Writing to a String cannot fail.
        let _ = write!(self.text, "w{} c{} ", self.worker, self.sent);
        while self.text.len() < LENGTH {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            let mut bits = self.state;
            for _ in 0..16 {
                self.text.push(char::from(b'a' + (bits & 15) as u8));
                bits >>= 4;
            }
        }
        (self.sent, &self.text)
    }
}

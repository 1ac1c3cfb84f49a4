//! Ids of runs.

use data_encoding::BASE32_NOPAD;
use parking_lot::Mutex;
use std::fmt;

/// Random bytes in one id.
const EACH: usize = 13;
/// Random bytes asked of the system at once: asking for every id would be one more system call a call.
const BUFFER: usize = 32 * EACH;

struct Random {
    bytes: [u8; BUFFER],
    left: usize,
}

static RANDOM: Mutex<Random> = Mutex::new(Random { bytes: [0; BUFFER], left: 0 });

/// `r_` and 20 random base32 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Box<str>);

impl RunId {
    /// A fresh id.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn fresh() -> Result<Self, getrandom::Error> {
        let mut random = RANDOM.lock();
        if random.left < EACH {
            getrandom::fill(&mut random.bytes)?;
            random.left = BUFFER;
        }
        random.left -= EACH;
        let own = random.bytes.get(random.left..random.left + EACH).unwrap_or_default();
        let text = BASE32_NOPAD.encode(own).to_ascii_lowercase();
        Ok(Self(format!("r_{}", text.get(..20).unwrap_or(&text)).into()))
    }

    /// An id that was given before. `None` where it cannot be one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let random = text.strip_prefix("r_")?;
        let fits = random.len() == 20 && random.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
        fits.then(|| Self(text.into()))
    }

    /// What stands for an id where none could be made.
    pub(crate) fn none() -> Self {
        Self("r_none".into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

//! The hash chain and its signed head.

use crate::GateKey;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// A BLAKE3 hash.
pub(crate) type Hash = [u8; 32];

/// What the first row links to.
pub(crate) const GENESIS: Hash = [0; 32];

/// The hash of a row: over the hash of the row before and its own text.
pub(crate) fn link(previous: &Hash, text: &str) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous);
    hasher.update(text.as_bytes());
    *hasher.finalize().as_bytes()
}

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of the last row.
    pub rows: u64,
    /// Hash of the last row.
    pub hash: Hash,
}

impl Head {
    /// The hash in hexadecimal.
    #[must_use]
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.hash)
    }

    /// Signs this head with the key of the gate.
    #[must_use]
    pub fn sign(&self, key: &GateKey, time: String) -> SignedHead {
        let mut head = SignedHead {
            rows: self.rows,
            head: self.hex(),
            time,
            key: key.public_hex(),
            signature: String::new(),
        };
        head.signature = key.sign(&head.signed_text());
        head
    }
}

/// A head that can be kept elsewhere: whoever holds it can later prove that the record up to it was rewritten
/// or cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// Number of the last row.
    pub rows: u64,
    /// Hash of the last row, hexadecimal.
    pub head: String,
    /// When it was signed, RFC 3339.
    pub time: String,
    /// The public key of the gate, hexadecimal.
    pub key: String,
    /// Ed25519 over the members above, hexadecimal.
    pub signature: String,
}

impl SignedHead {
    fn signed_text(&self) -> String {
        format!("portcullis ledger head v1\n{}\n{}\n{}\n", self.rows, self.head, self.time)
    }

    /// Whether the signature was made by the key that the head names. Whether that key is the gate's own is
    /// for the caller to compare.
    #[must_use]
    pub fn holds(&self) -> bool {
        GateKey::check(&self.key, &self.signed_text(), &self.signature)
    }
}

//! The key of the gate: signs the head of the record and keys the hashes of grant tokens.

use crate::durable::create_file;
use crate::schema::{FILE as LEDGER, Failure};
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, Nonce, RandomizedNonceKey};
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use std::fs;
use std::path::Path;

/// File name in the data folder.
const FILE: &str = "gate.key";
/// Bytes of the nonce behind a sealed text.
const NONCE: usize = 12;

/// A secret of 32 bytes that never leaves the data folder.
pub struct GateKey {
    signing: SigningKey,
    token_key: [u8; 32],
    arguments_key: [u8; 32],
    sealing_key: [u8; 32],
}

impl std::fmt::Debug for GateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GateKey({})", self.public_hex())
    }
}

/// Whether nothing stands in a file, or it is not there.
fn is_empty(file: &Path) -> bool {
    fs::metadata(file).map_or(true, |meta| meta.len() == 0)
}

impl GateKey {
    /// Whether a data folder has a key.
    pub(crate) fn is_in(folder: &Path) -> bool {
        !is_empty(&folder.join(FILE))
    }

    /// Reads the key of a data folder, or makes one (mode 0600) where there is none.
    ///
    /// # Errors
    /// Where the file cannot be read or written, or holds something else.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(FILE);
        let wrong = |why: &str| Failure::Key { path: path.clone(), why: why.to_owned() };
        // What a first start left that was ended in the middle.
        if path.exists() && is_empty(&path) && is_empty(&folder.join(LEDGER)) {
            fs::remove_file(&path).map_err(|error| wrong(&error.to_string()))?;
        }
        let secret: [u8; 32] = match fs::read_to_string(&path) {
            Ok(text) => HEXLOWER
                .decode(text.trim().as_bytes())
                .ok()
                .and_then(|bytes| bytes.try_into().ok())
                .ok_or_else(|| wrong("expected 64 hexadecimal digits"))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut secret = [0; 32];
                getrandom::fill(&mut secret).map_err(|error| wrong(&error.to_string()))?;
                let text = HEXLOWER.encode(&secret);
                create_file(&path, text.as_bytes(), 0o600).map_err(|error| wrong(&error.to_string()))?;
                secret
            }
            Err(error) => return Err(wrong(&error.to_string())),
        };
        Ok(Self {
            signing: SigningKey::from_bytes(&secret),
            token_key: blake3::derive_key("portcullis 2026 grant tokens", &secret),
            arguments_key: blake3::derive_key("portcullis 2026 arguments of calls", &secret),
            sealing_key: blake3::derive_key("portcullis 2026 sealed arguments", &secret),
        })
    }

    /// The public half of the key of a data folder, hexadecimal; `None` where there is no key.
    ///
    /// # Errors
    /// Where the file cannot be read, or holds something else.
    pub(crate) fn public_of(folder: &Path) -> Result<Option<String>, Failure> {
        if Self::is_in(folder) { Self::open(folder).map(|key| Some(key.public_hex())) } else { Ok(None) }
    }

    /// The public half, hexadecimal.
    #[must_use]
    pub fn public_hex(&self) -> String {
        HEXLOWER.encode(self.signing.verifying_key().as_bytes())
    }

    pub(crate) fn sign(&self, text: &str) -> String {
        HEXLOWER.encode(&self.signing.sign(text.as_bytes()).to_bytes())
    }

    pub(crate) fn check(public_hex: &str, text: &str, signature_hex: &str) -> bool {
        let key =
            HEXLOWER.decode(public_hex.as_bytes()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let signature = HEXLOWER.decode(signature_hex.as_bytes()).ok();
        let (Some(key), Some(signature)) = (key, signature) else { return false };
        let (Ok(key), Ok(signature)) = (VerifyingKey::from_bytes(&key), Signature::from_slice(&signature))
        else {
            return false;
        };
        key.verify(text.as_bytes(), &signature).is_ok()
    }

    /// The keyed hash under which arguments are recorded, hexadecimal: without the key of this gate nobody can test
    /// guesses of what they were.
    #[must_use]
    pub fn arguments_digest(&self, json: &str) -> String {
        HEXLOWER.encode(blake3::keyed_hash(&self.arguments_key, json.as_bytes()).as_bytes())
    }

    /// A text that only the holder of this key reads, base64.
    pub(crate) fn seal(&self, text: &str) -> Result<String, Failure> {
        let failed = |_| Failure::Write("a text cannot be sealed".into());
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &self.sealing_key).map_err(failed)?;
        let mut sealed = text.as_bytes().to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::empty(), &mut sealed).map_err(failed)?;
        sealed.extend_from_slice(nonce.as_ref());
        Ok(BASE64.encode(&sealed))
    }

    /// A text that was sealed with this key.
    pub(crate) fn unseal(&self, sealed: &str) -> Result<String, Failure> {
        let open = || {
            let mut sealed = BASE64.decode(sealed.as_bytes()).ok()?;
            let nonce = sealed.split_off(sealed.len().checked_sub(NONCE)?);
            let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, &self.sealing_key).ok()?;
            let nonce = Nonce::try_assume_unique_for_key(&nonce).ok()?;
            let text = key.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
            Some(std::str::from_utf8(text).ok()?.to_owned())
        };
        open().ok_or_else(|| Failure::Read("a text was not sealed with the key of this gate".into()))
    }

    /// The keyed hash under which a token is kept and looked up. Whoever reads the store cannot test guesses
    /// without the key, and a look-up by this hash tells nothing by its timing.
    #[must_use]
    pub fn token_hash(&self, token: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.token_key, token.as_bytes()).as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_read_with_the_same_key_alone() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, other) = (GateKey::open(one.path()).unwrap(), GateKey::open(other.path()).unwrap());
        let sealed = one.seal("hunter2 é").unwrap();
        assert!(!sealed.contains("hunter2") && sealed != one.seal("hunter2 é").unwrap());
        assert_eq!(one.unseal(&sealed).unwrap(), "hunter2 é");
        for (key, text) in [(&other, &*sealed), (&one, ""), (&one, "AAAA"), (&one, "no base64")] {
            assert!(key.unseal(text).is_err(), "{text}");
        }
    }
}

//! Asks the linker for packed relocations where the C library can read them: plain ones take 24 bytes each, and all of
//! them come into memory at the start, half a megabyte that is never looked at again.

use std::process::Command;

/// The first glibc that reads them (`DT_RELR`).
const SINCE: (u32, u32) = (2, 36);

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let built_for = |what: &str| std::env::var(what).unwrap_or_default();
    // Of another machine's library nothing is known here.
    let here = built_for("TARGET") == built_for("HOST");
    if here && built_for("CARGO_CFG_TARGET_ENV") == "gnu" && glibc().is_some_and(|version| version >= SINCE) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's glibc, as in `glibc 2.36`.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let (major, minor) = std::str::from_utf8(&said).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

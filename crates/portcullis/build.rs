//! Builds the keeper, which the program carries in itself, and asks the linker for packed relocations.

use sha2::{Digest, Sha256};
use std::env::var;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    keeper();
    relocations();
}

/// The keeper is a program of its own with flags of its own: small, and static, since the same file runs on other
/// machines. Where the C library is not to be had as a static one, it is linked as usual and runs on this machine.
fn keeper() {
    let house = PathBuf::from(var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("../..");
    for changed in ["crates/keeper/src", "crates/keeper/Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", house.join(changed).display());
    }
    let out = PathBuf::from(var("OUT_DIR").unwrap_or_default());
    let built = ["-Ctarget-feature=+crt-static", ""].iter().any(|flags| build(&house, &out, flags));
    assert!(built, "the keeper could not be built; cargo's own messages above say why");
    // Here and not in the program: to look at all of it would bring it into memory, where it is seldom needed.
    let bytes = std::fs::read(out.join("portcullis-keeper")).unwrap_or_default();
    let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    println!("cargo:rustc-env=KEEPER_SHA256={hash}");
}

/// How the variables begin that cargo, or whoever called it, sets for one build.
const OF_THIS_BUILD: [&str; 9] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_CFG_",
    "CARGO_FEATURE_",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_TARGET_",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
];

fn build(house: &Path, out: &Path, flags: &str) -> bool {
    let target = var("TARGET").unwrap_or_default();
    let folder = out.join("keeper");
    let mut cargo = Command::new(var("CARGO").unwrap_or_else(|_| "cargo".into()));
    cargo.current_dir(house).args([
        "build",
        "--package",
        "portcullis-keeper",
        "--profile",
        "keeper",
        "--locked",
    ]);
    // Naming the target keeps the flags from what runs on this machine while it is built.
    cargo.args(["--target", &target]).arg("--target-dir").arg(&folder);
    // What is meant for this build is not for that one: its flags, its folder, and clippy in place of the compiler.
    for (name, _) in std::env::vars().filter(|(name, _)| OF_THIS_BUILD.iter().any(|it| name.starts_with(it)))
    {
        cargo.env_remove(name);
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
    let built = folder.join(&target).join("keeper/portcullis-keeper");
    cargo.status().is_ok_and(|status| status.success())
        && std::fs::copy(built, out.join("portcullis-keeper")).is_ok()
}

/// Plain relocations take 24 bytes each, and all of them come into memory at the start: half a megabyte that is never
/// looked at again. Packed ones can be read by glibc 2.36 and later (`DT_RELR`).
fn relocations() {
    // Of another machine's library nothing is known here.
    let here = var("TARGET") == var("HOST");
    let gnu = var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu");
    if here && gnu && glibc().is_some_and(|version| version >= (2, 36)) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this machine's glibc, as in `glibc 2.36`.
fn glibc() -> Option<(u32, u32)> {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?.stdout;
    let (major, minor) = std::str::from_utf8(&said).ok()?.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

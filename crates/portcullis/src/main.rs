//! The gate between AI agents and everything they can run.

fn main() {}

//! Side-by-side benchmark: direct, bare pass-through and gate in turn in one run.

fn main() {}

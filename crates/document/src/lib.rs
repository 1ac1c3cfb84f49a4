//! Reads JSON, YAML and TOML documents into one tree that remembers where each value stands.

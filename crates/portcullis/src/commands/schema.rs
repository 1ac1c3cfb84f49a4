//! `portcullis schema …`: the JSON Schemas that editors check files with.

use crate::cli::SchemaOf;
use crate::out;
use std::process::ExitCode;

/// Of `portcullis.yaml`.
const CONFIG: &str = include_str!("../../schemas/config.schema.json");
/// Of a policy, version 1.
const POLICY: &str = include_str!("../../schemas/policy.schema.json");

/// Prints one.
pub(crate) fn run(of: SchemaOf) -> ExitCode {
    let schema = match of {
        SchemaOf::Config => CONFIG,
        SchemaOf::Policy => POLICY,
    };
    out::hand_on(schema);
    ExitCode::SUCCESS
}

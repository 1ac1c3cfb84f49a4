//! The policy language: parse, check, explain, decide. Pure: no clock, no I/O, no async.

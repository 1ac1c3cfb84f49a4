//! The gate from outside: the real program, real servers, real requests.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod approvals;
mod attacks;
mod batches;
mod bounds;
mod bridging;
mod cancel;
mod catalogue;
mod clock;
mod connections;
mod crowds;
mod definitions;
mod denied;
mod documents;
mod dropped;
mod durability;
mod eras;
mod expiry;
mod facts;
mod hanging;
mod held;
mod held_tasks;
mod house;
mod in_flight;
mod kill;
mod left;
mod liberal;
mod limits;
mod lists;
mod manner;
mod notices;
mod one_way_back;
mod one_way_out;
mod operator;
mod other_kinds;
mod peer;
mod pins;
mod polling;
mod published;
mod real;
mod recommend;
mod record;
mod registry;
mod reload;
mod replay;
mod resuming;
mod scan;
mod scripted;
mod service_imports;
mod services;
mod sessions;
mod smuggling;
mod starting;
mod stdio;
mod stream;
mod task_bridging;
mod task_lists;
mod task_restarts;
mod task_stops;
mod tasks;
mod twins;
mod unread;
mod unseen;
mod untrusted;

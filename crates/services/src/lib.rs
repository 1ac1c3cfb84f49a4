//! The built-in MCP server for local services and commands.
//!
//! [`Services`] are the services of one `services.yaml`: each is held by a keeper, started after what it depends on,
//! known to be ready only by what is proved to be its own, started again as it says, and stopped with a verdict.
//! [`ServicesServer`] is what one grant sees of them, with the commands that it runs.

mod asked;
mod commands;
mod config;
mod definition;
mod import;
mod on_runs;
mod on_services;
mod ports;
mod probe;
mod server;
mod service;
mod services;
mod shapes;
mod start;
mod tools;

pub use config::{Configuration, Definitions, read};
pub use definition::{Condition, Definition, Live, Pattern, Port, Probe, Ready, Restart, When};
pub use server::ServicesServer;
pub use services::Services;

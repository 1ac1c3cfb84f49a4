//! The MCP server.

use crate::commands::Commands;
use crate::on_runs::{list_runs, read_run, run_command, stop_all_runs, stop_run, write_run};
use crate::on_services::{
    get_server_status, list_servers, read_server_logs, restart_server, start_all_servers, start_server,
    stop_all_servers, stop_server, wait_for_server,
};
use crate::services::Services;
use crate::tools;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use portcullis_builtin::{Answer, Calling, Server, arguments};
use serde_json::Value;
use std::sync::Arc;

/// The services as one grant sees them: services are everybody's, commands its own.
#[derive(Debug)]
pub struct ServicesServer(Arc<Commands>);

impl ServicesServer {
    /// For one grant.
    #[must_use]
    pub fn of(services: &Services, owner: &str) -> Self {
        Self(Arc::new(Commands::of(services.clone(), owner.into())))
    }
}

impl Server for ServicesServer {
    fn name(&self) -> &'static str {
        "portcullis-services"
    }

    fn instructions(&self) -> &'static str {
        "Starts and stops the services of this project, with what they depend on, and runs commands. A stop is answered only \
         when it is proved that nothing lives; `verdict` says so."
    }

    fn tools(&self) -> Vec<Value> {
        tools::shown()
    }

    fn call(
        self: Arc<Self>,
        name: &str,
        given: Value,
        calling: Calling,
    ) -> Option<BoxFuture<'static, Answer>> {
        macro_rules! tool {
            ($act:path) => {
                match arguments(given) {
                    Ok(asked) => $act(self.0.clone(), asked, calling).boxed(),
                    Err(wrong) => std::future::ready(Answer::from(wrong)).boxed(),
                }
            };
        }
        Some(match name {
            "start_server" => tool!(start_server),
            "stop_server" => tool!(stop_server),
            "restart_server" => tool!(restart_server),
            "get_server_status" => tool!(get_server_status),
            "list_servers" => tool!(list_servers),
            "start_all_servers" => tool!(start_all_servers),
            "stop_all_servers" => tool!(stop_all_servers),
            "read_server_logs" => tool!(read_server_logs),
            "wait_for_server" => tool!(wait_for_server),
            "run_command" => tool!(run_command),
            "list_runs" => tool!(list_runs),
            "read_run" => tool!(read_run),
            "write_run" => tool!(write_run),
            "stop_run" => tool!(stop_run),
            "stop_all_runs" => tool!(stop_all_runs),
            _ => return None,
        })
    }
}

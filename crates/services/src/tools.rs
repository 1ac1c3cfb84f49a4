//! What the tools are called, what they take and what they give.

use portcullis_builtin::{Effect, Tool};
use serde_json::{Value, json};

fn time(what: &str) -> Value {
    json!({ "type": ["number", "string"], "description": format!("{what} Seconds, or text such as \"500ms\" or \"2m\".") })
}

fn text(what: &str) -> Value {
    json!({ "type": "string", "description": what })
}

fn words(what: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": what })
}

fn server_id() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 64, "description": "The service, as `list_servers` names it." })
}

fn run_id() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 64, "description": "The run, as `run_command` or `list_runs` gives it: r_ and 20 characters." })
}

fn reading() -> Value {
    json!({
        "cursor": { "type": "integer", "minimum": 0, "description": "Go on from there: the next_cursor of an earlier page." },
        "tail": { "type": "integer", "minimum": 1, "maximum": 10000, "description": "The last lines instead, so many (200 where no cursor is given)." },
        "since": time("Only lines that are not older than this."),
        "grep": text("Only lines in which this regular expression is found."),
        "stream": { "type": "string", "enum": ["stdout", "stderr"], "description": "Only this stream." },
        "max_bytes": { "type": "integer", "minimum": 1024, "maximum": 1_048_576, "description": "Bytes of text in one page; 16384 where absent." },
    })
}

fn page() -> Value {
    json!({
        "lines": { "type": "array", "description": "Each with time, stream and text.", "items": { "type": "object" } },
        "next_cursor": { "type": "integer", "description": "Where the next page begins." },
        "dropped_bytes": { "type": "integer", "description": "Bytes before it that are not kept any more." },
        "more": { "type": "boolean", "description": "Whether there is more now." },
    })
}

fn verdict() -> Value {
    json!({
        "server_id": text("The service."),
        "run": { "type": ["string", "null"], "description": "Its run." },
        "verdict": { "type": "string", "enum": ["stopped", "partial", "unconfirmed", "already_ended"], "description": "`stopped` only where it is proved that nothing lives." },
        "took_ms": { "type": "integer", "description": "How long it took." },
        "before": { "type": "array", "description": "What lived before.", "items": { "type": "object" } },
        "survivors": { "type": "array", "description": "What lives still, and why.", "items": { "type": "object" } },
        "proof": { "type": "object", "description": "How it was made sure." },
    })
}

fn with(mut one: Value, other: Value) -> Value {
    if let (Some(one), Value::Object(other)) = (one.as_object_mut(), other) {
        one.extend(other);
    }
    one
}

fn without(mut one: Value, name: &str) -> Value {
    if let Some(members) = one.as_object_mut() {
        members.remove(name);
    }
    one
}

fn all_of_them() -> Value {
    json!({
        "names": words("Only these services."),
        "tags": words("Only services with one of these tags."),
    })
}

fn results(what: &str) -> Value {
    json!({
        "results": { "type": "array", "description": what, "items": { "type": "object" } },
        "counts": { "type": "object", "description": "How many came to what." },
    })
}

/// All tools, as the list shows them.
pub(crate) fn shown() -> Vec<Value> {
    let status = json!({
        "server_id": text("The service."),
        "state": { "type": "string", "enum": ["stopped", "starting", "running", "unhealthy", "stopping", "failed", "restarting"], "description": "What it is doing." },
        "run": { "type": ["string", "null"], "description": "Its run, where it has one." },
        "pid": { "type": ["integer", "null"], "description": "Its first process." },
        "containment": { "type": ["string", "null"], "description": "What holds it together." },
        "ports": { "type": "array", "items": { "type": "integer" }, "description": "Ports that are proved to be its own." },
        "url": { "type": ["string", "null"], "description": "Where it answers." },
    });
    [
        Tool::new(
            "start_server",
            "Start one configured service, with what it depends on, and wait until it is ready. Use `run_command` for anything that is not configured. Starting it twice starts it once. A port that is held by a stranger is named at once. Returns state, pid, ports and url, or why it did not come up with its last lines.",
            Effect::Brings,
            json!({
                "server_id": server_id(),
                "wait": time("How long to wait until it is ready; its own limit where absent."),
                "port": { "type": "integer", "minimum": 1, "maximum": 65535, "description": "Another port than its own." },
            }),
        )
        .needs(&["server_id"])
        .gives(status.clone()),
        Tool::new(
            "stop_server",
            "Stop one service and all that it started, and prove it. Use `stop_all_servers` for several. Whatever does not end within the grace is killed. What depends on it goes on. Returns a verdict: `stopped` only where nothing lives, else the processes that do.",
            Effect::Ends,
            json!({ "server_id": server_id(), "grace": time("How long it may take to end by itself; its own where absent.") }),
        )
        .needs(&["server_id"])
        .gives(verdict()),
        Tool::new(
            "restart_server",
            "Stop one service, prove that nothing of it is left, and start it again. Use `start_server` where it does not run. It is not started where something survives the stop. Returns the verdict of the stop and the state after the start.",
            Effect::Runs,
            json!({
                "server_id": server_id(),
                "grace": time("How long it may take to end by itself; its own where absent."),
                "wait": time("How long to wait until it is ready; its own limit where absent."),
            }),
        )
        .needs(&["server_id"])
        .gives(json!({
            "stopped": { "type": "object", "description": "As `stop_server` gives it." },
            "started": { "type": "object", "description": "As `start_server` gives it." },
        })),
        Tool::new(
            "get_server_status",
            "Show how one service is now: state, uptime, restarts with their reasons, processor time and memory of all its processes, ports that are proved to be its own, last lines. Use `list_servers` for all in short, `read_server_logs` for more output. It changes nothing.",
            Effect::Reads,
            json!({ "server_id": server_id() }),
        )
        .needs(&["server_id"])
        .gives(with(
            status.clone(),
            json!({
                "ready": { "type": "boolean", "description": "Whether it is up and works." },
                "reason": { "type": ["string", "null"], "description": "Why it is so, where there is a reason." },
                "uptime_s": { "type": ["number", "null"], "description": "Since when, in seconds." },
                "restarts": { "type": "array", "items": { "type": "object" }, "description": "When it was started again, and why." },
                "cpu_ms": { "type": "integer", "description": "Processor time of its processes." },
                "memory_bytes": { "type": "integer", "description": "Memory that they share with nobody." },
                "last_lines": { "type": "array", "items": { "type": "string" }, "description": "Its last lines." },
            }),
        )),
        Tool::new(
            "list_servers",
            "List every configured service with its state, description and tags. Use `get_server_status` for one in full. It changes nothing.",
            Effect::Reads,
            json!({}),
        )
        .gives(json!({
            "servers": { "type": "array", "items": { "type": "object" }, "description": "Each with server_id and state." },
            "warnings": words("What the configuration hardly means, and what of an imported file was left out."),
        })),
        Tool::new(
            "start_all_servers",
            "Start all configured services but those that are started by name alone, or those that are chosen, in the order of their dependencies, side by side where that may be. Use `start_server` for one. Returns for each what `start_server` would.",
            Effect::Brings,
            with(all_of_them(), json!({ "wait": time("How long to wait until all are ready.") })),
        )
        .gives(results("For each service what came of it.")),
        Tool::new(
            "stop_all_servers",
            "Stop all services that run, or those that are chosen, those first on which nothing depends, with one deadline for all, and prove it. Use `stop_server` for one. Returns a verdict for each.",
            Effect::Ends,
            with(all_of_them(), json!({ "grace": time("How long all together may take to end by themselves; their own where absent.") })),
        )
        .gives(results("For each service a verdict, as `stop_server` gives it.")),
        Tool::new(
            "read_server_logs",
            "Read what a service wrote on stdout and stderr, a page at a time, from its first byte on, over restarts. Use `get_server_status` for the last lines only. Returns lines with their times, the cursor of the next page, and how many bytes before it are not kept any more.",
            Effect::Reads,
            with(json!({ "server_id": server_id() }), reading()),
        )
        .needs(&["server_id"])
        .gives(page()),
        Tool::new(
            "wait_for_server",
            "Wait until a service is ready, has stopped, or has written a line. It starts nothing: use `start_server` for that. Returns whether it came true within the time, and the state.",
            Effect::Reads,
            json!({
                "server_id": server_id(),
                "condition": { "type": "string", "enum": ["ready", "stopped", "log"], "description": "What to wait for." },
                "log": text("For `log`: a regular expression; lines from now on count."),
                "timeout": time("How long to wait; 60 s where absent."),
            }),
        )
        .needs(&["server_id", "condition"])
        .gives(with(json!({ "met": { "type": "boolean", "description": "Whether it came true." } }), status)),
        Tool::new(
            "run_command",
            "Run a command on this machine. Use `start_server` for a configured service. It is waited for (10 s); one that takes longer goes on in the background, and `read_run` and `stop_run` take its id. Returns the exit code and the output, or the id of the run.",
            Effect::Runs,
            json!({
                "argv": words("The program and its arguments; no shell."),
                "command": text("A line for `sh -c`, instead of argv."),
                "cwd": text("The folder to run in; that of the configuration where absent."),
                "env": { "type": "object", "additionalProperties": { "type": "string" }, "description": "More variables." },
                "wait": time("How long to wait for its end; 10 s where absent."),
                "timeout": time("It is stopped after this time."),
                "stdin": text("Text for its stdin, which is closed after it."),
                "open_stdin": { "type": "boolean", "description": "Keep its stdin open for `write_run`." },
            }),
        )
        .gives(with(
            json!({
                "run": text("Its id."),
                "state": { "type": "string", "enum": ["running", "ended"], "description": "Whether it goes on." },
                "exit_code": { "type": ["integer", "null"], "description": "Its exit code, where it exited." },
                "signal": { "type": ["integer", "null"], "description": "The signal that ended it." },
                "cause": { "type": ["string", "null"], "description": "Why it was stopped, where a limit did that." },
            }),
            page(),
        )),
        Tool::new(
            "list_runs",
            "List your own commands: those that run, and the last that are over. Use `list_servers` for services. It changes nothing. Returns id, state, command line and exit code of each.",
            Effect::Reads,
            json!({}),
        )
        .gives(json!({ "runs": { "type": "array", "items": { "type": "object" }, "description": "Each with run, state and command." } })),
        Tool::new(
            "read_run",
            "Read what one of your commands wrote, a page at a time, also after it ended. Use `read_server_logs` for a service. Returns lines with their times, the cursor of the next page, and the state.",
            Effect::Reads,
            with(
                with(json!({ "run": run_id() }), reading()),
                json!({ "wait": time("Wait so long for something new, or for its end.") }),
            ),
        )
        .needs(&["run"])
        .gives(with(
            page(),
            json!({
                "state": { "type": "string", "description": "running, stopping or ended." },
                "exit_code": { "type": ["integer", "null"], "description": "Its exit code, where it exited." },
            }),
        )),
        Tool::new(
            "write_run",
            "Write text to the stdin of one of your commands that was started with `open_stdin`. Use `stop_run` to end it. A newline is not added. Returns how many bytes were written.",
            Effect::Adds,
            json!({
                "run": run_id(),
                "text": text("What to write."),
                "close": { "type": "boolean", "description": "Close its stdin after it." },
            }),
        )
        .needs(&["run", "text"])
        .gives(json!({ "written": { "type": "integer", "description": "Bytes." } })),
        Tool::new(
            "stop_run",
            "Stop one of your commands and all that it started, and prove it. Use `stop_server` for a service. Whatever does not end within the grace is killed. Returns a verdict: `stopped` only where nothing lives.",
            Effect::Ends,
            json!({ "run": run_id(), "grace": time("How long it may take to end by itself; 5 s where absent.") }),
        )
        .needs(&["run"])
        .gives(without(verdict(), "server_id")),
        Tool::new(
            "stop_all_runs",
            "Stop all of your commands that run, side by side, and prove it. Services go on: `stop_all_servers` stops those. Returns a verdict for each.",
            Effect::Ends,
            json!({ "grace": time("How long they may take to end by themselves; 5 s where absent.") }),
        )
        .gives(results("For each command a verdict, as `stop_run` gives it.")),
    ]
    .iter()
    .map(Tool::shown)
    .collect()
}

//! `--help` of every command.

use crate::User;

#[test]
fn every_command_says_what_it_does() {
    let user = User::new();
    for command in [
        "",
        "up",
        "stdio",
        "status",
        "grant",
        "grant add",
        "grant list",
        "grant rotate",
        "grant revoke",
        "policy",
        "policy check",
        "policy convert",
        "policy diff",
        "policy explain",
        "policy recommend",
        "policy test",
        "approvals",
        "approvals list",
        "approvals show",
        "approvals approve",
        "approvals deny",
        "catalogue",
        "catalogue list",
        "catalogue show",
        "catalogue accept",
        "catalogue diff",
        "scan",
        "runs",
        "runs list",
        "runs show",
        "runs stop",
        "drop",
        "raise",
        "ledger",
        "ledger tail",
        "ledger query",
        "ledger verify",
        "ledger head",
        "ledger export",
        "reload",
        "import",
        "doctor",
        "schema",
        "completions",
    ] {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let said = user.run(&arguments).with_code(0);
        let name = format!("help {command}").trim().replace(' ', "-");
        insta::assert_snapshot!(name, said.out);
    }
}

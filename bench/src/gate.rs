//! The gate as the bench sets it up: a folder of its own, one upstream, one grant, one policy.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    error::{Error, Result},
    load::settle,
    process::{Program, Running},
    target::{Era, Target},
    tools,
};

const TOKEN: &str = "bench-token-of-no-value-0123456789abcdef";

/// When a row of the ledger has to be safe before the call leaves.
#[derive(Clone, Copy, Debug)]
pub enum Durability {
    /// In the operating system's hands.
    Process,
    /// On the disk.
    Every,
}

/// The policy in force.
#[derive(Clone, Copy, Debug)]
pub enum Rules {
    /// `default: allow`, not one rule.
    None,
    /// `default: deny` and a rule for each of the hundred tools.
    Hundred,
}

/// How many sessions a grant may have.
#[derive(Clone, Copy, Debug)]
pub enum SessionCap {
    /// More than the bench ever opens.
    High,
    /// What the gate takes by itself.
    Default,
}

/// One way to set the gate up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// When rows are safe.
    pub durability: Durability,
    /// Which rules are in force.
    pub rules: Rules,
    /// How many sessions there may be.
    pub sessions: SessionCap,
}

impl Setup {
    /// The set-up of most measurements: rows survive kill -9, a hundred rules, sessions enough.
    pub const USUAL: Self =
        Self { durability: Durability::Process, rules: Rules::Hundred, sessions: SessionCap::High };
}

/// What is measured as the gate.
#[derive(Clone, Debug)]
pub enum Binary {
    /// The gate itself.
    Portcullis(PathBuf),
    /// Our pass-through in its place, to try the bench out.
    StandIn,
}

/// How to start gates in front of one upstream.
#[derive(Clone, Debug)]
pub struct Gates {
    /// The executable.
    pub binary: Binary,
    /// The echo server behind it.
    pub upstream: Target,
    /// Where the temporary folders go: this decides the disk that the ledger is on.
    pub folder: PathBuf,
    /// The era that clients speak with it.
    pub era: Era,
}

/// A gate that runs, and its folder, which goes with it.
#[derive(Debug)]
pub struct Gate {
    /// Its process.
    pub process: Running,
    /// Its endpoint for the upstream, with the token.
    pub target: Target,
    // After the process, so that it is removed when nobody writes there any more.
    _folder: TempDir,
}

impl Gates {
    /// Starts a gate in a new folder. Its upstream may not be connected yet.
    ///
    /// # Errors
    /// When the folder cannot be written or the gate does not come up.
    pub async fn start(&self, setup: Setup) -> Result<Gate> {
        let folder = tempfile::Builder::new()
            .prefix("portcullis-bench-")
            .tempdir_in(&self.folder)
            .map_err(Error::io("making a temporary folder for the gate"))?;
        write(folder.path(), "portcullis.yaml", &self.configuration(setup))?;
        write(folder.path(), "policy.yaml", &policy(setup.rules))?;
        let process = self.program(folder.path())?.start().await?;
        let target = Target::new(process.address, "/mcp/echo", self.era).with_token(TOKEN);
        Ok(Gate { process, target, _folder: folder })
    }

    /// Starts a gate and waits until it answers calls.
    ///
    /// # Errors
    /// As [`Gates::start`], or when the first call fails for ten seconds.
    pub async fn start_and_settle(&self, setup: Setup) -> Result<Gate> {
        let gate = self.start(setup).await?;
        settle(&gate.target).await?;
        Ok(gate)
    }

    fn program(&self, folder: &Path) -> Result<Program> {
        let url = self.upstream.url();
        match &self.binary {
            Binary::StandIn => {
                Program::ours("the stand-in for the gate", folder, &["pass", "--upstream", &url])
            }
            Binary::Portcullis(path) => Ok(Program {
                name: "the gate",
                path: path.clone(),
                arguments: ["up", "--config", "portcullis.yaml"].into_iter().map(Into::into).collect(),
                folder: folder.to_owned(),
                variables: vec![("BENCH_TOKEN", TOKEN.to_owned())],
            }),
        }
    }

    fn configuration(&self, setup: Setup) -> String {
        let limits = match setup.sessions {
            SessionCap::High => "limits: { sessions_per_grant: 20000 }\n",
            SessionCap::Default => "",
        };
        let durability = match setup.durability {
            Durability::Process => "process",
            Durability::Every => "every",
        };
        format!(
            r#"listen: 127.0.0.1:0
data: data
upstreams:
  echo: {{ url: "{}" }}
policies:
  bench: policy.yaml
grants:
  bench: {{ token: "${{env:BENCH_TOKEN}}", upstreams: {{ echo: bench }} }}
{limits}ledger: {{ durability: {durability} }}
"#,
            self.upstream.url()
        )
    }
}

impl Gate {
    /// Ends it and removes its folder.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

fn policy(rules: Rules) -> String {
    if let Rules::None = rules {
        return "version: \"1\"\ndefault: allow\n".to_owned();
    }
    let mut policy = String::from("version: \"1\"\ndefault: deny\ntools:\n");
    for name in tools::names() {
        // Writing to a String cannot fail.
        let _ = write!(
            policy,
            r#"  {name}:
    require:
      - {{ path: args.message, op: exists, value: true }}
      - {{ path: args.message, op: regex, value: "^w[0-9]+ c[0-9]+ [a-p]+$" }}
    deny_if:
      - conditions:
          - {{ path: args.message, op: contains, value: forbidden }}
        on_deny: "{name} does not take forbidden messages."
"#
        );
    }
    policy
}

fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    fs::write(folder.join(name), text).map_err(Error::io(format!("writing {name} for the gate")))
}

#[cfg(test)]
mod tests {
    use super::{Rules, policy};

    #[test]
    fn the_policy_has_a_rule_for_each_tool() {
        assert_eq!(policy(Rules::Hundred).matches("    require:\n").count(), 100);
        assert_eq!(policy(Rules::None).matches("require").count(), 0);
    }
}

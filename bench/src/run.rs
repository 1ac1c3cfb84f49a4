//! The whole measurement, from starting the servers to the last bar.

use std::{path::PathBuf, time::Duration};

use crate::{
    checks::{self, BEFORE, DIRECT, GATE, MANY, NO_RULES, PASS},
    compare::{Blocks, Figures, Side, compare, median},
    disk::Disk,
    error::Result,
    gate::{Binary, Durability, Gate, Gates, Rules, SessionCap, Setup},
    machine::Machine,
    memory::{self, Growth},
    process::{Program, Running},
    report::{Comparison, Memory, Report},
    target::{Era, Target},
};

/// Sessions opened before memory per session is read.
const SESSIONS_TO_WARM_UP: u64 = 50;
/// More than the default cap of sessions: from here on memory should stand still.
const SESSIONS_TO_FILL: u64 = 200;
/// Pairs of gates that are compared where a difference of a few per cent matters.
const PAIRS: usize = 3;

/// What to measure, and how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The gate; without one, only the yardstick is measured.
    pub gate: Option<Binary>,
    /// An earlier gate: it is compared with the gate, and nothing else is measured.
    pub before: Option<Binary>,
    /// Where temporary folders go.
    pub folder: PathBuf,
    /// The era to speak.
    pub era: Era,
    /// Blocks of load.
    pub blocks: Blocks,
    /// How often the gate is started for its ready time.
    pub starts: usize,
    /// Sessions left open for memory per session.
    pub sessions: u64,
    /// Sessions opened and left under the default cap.
    pub sessions_left: u64,
    /// Calls over which memory is watched.
    pub calls: u64,
}

/// The servers that run throughout.
struct Ground {
    direct: Running,
    behind: Running,
    pass: Running,
    era: Era,
}

/// Measures. `say` is told what is being done.
///
/// # Errors
/// The first thing that failed; everything started is ended all the same.
pub async fn run(plan: &Plan, say: impl Fn(&str)) -> Result<Report> {
    let mut report = Report {
        machine: Machine::now(),
        blocks: plan.blocks,
        gate: match plan.gate {
            Some(Binary::Portcullis(_)) => "portcullis",
            Some(Binary::StandIn) => "a STAND-IN (the pass-through again)",
            None => "none",
        },
        era: plan.era.version(),
        comparisons: Vec::new(),
        memory: Vec::new(),
        checks: Vec::new(),
    };
    let ground = Ground::start(plan).await?;
    match &plan.gate {
        Some(binary) => {
            let gates = |binary: &Binary| Gates {
                binary: binary.clone(),
                upstream: ground.behind(),
                folder: plan.folder.clone(),
                era: plan.era,
            };
            let mut measurement =
                Measurement { plan, ground: &ground, gates: gates(binary), report: &mut report, say: &say };
            match &plan.before {
                Some(before) => measurement.before(&gates(before)).await?,
                None => measurement.all().await?,
            }
        }
        None => {
            say("direct and pass-through");
            let figures = levels(&ground.sides(), plan.blocks).await?;
            report.comparisons.push(Comparison { what: "the yardstick", figures });
        }
    }
    ground.stop().await?;
    Ok(report)
}

impl Ground {
    async fn start(plan: &Plan) -> Result<Self> {
        let era = match plan.era {
            Era::Old => "old",
            Era::New => "new",
        };
        let echo = Program::ours("the echo server", &plan.folder, &["echo", "--era", era])?;
        let (direct, behind) = (echo.start().await?, echo.start().await?);
        let url = Target::new(behind.address, "/mcp", plan.era).url();
        let pass =
            Program::ours("the pass-through", &plan.folder, &["pass", "--upstream", &url])?.start().await?;
        Ok(Self { direct, behind, pass, era: plan.era })
    }

    /// The echo server that all ways through a middle lead to.
    fn behind(&self) -> Target {
        Target::new(self.behind.address, "/mcp", self.era)
    }

    fn sides(&self) -> Vec<Side> {
        let target = |of: &Running| Target::new(of.address, "/mcp", self.era);
        let upstream = Some(self.behind());
        vec![
            Side { name: DIRECT, target: target(&self.direct), middle: None, upstream: None, disk: None },
            Side {
                name: PASS,
                target: target(&self.pass),
                middle: Some(self.pass.pid),
                upstream,
                disk: None,
            },
        ]
    }

    fn through(&self, name: &'static str, gate: &Gate) -> Side {
        let middle = Some(gate.process.pid);
        Side { name, target: gate.target.clone(), middle, upstream: Some(self.behind()), disk: None }
    }

    async fn stop(self) -> Result<()> {
        self.pass.stop().await?;
        self.direct.stop().await?;
        self.behind.stop().await
    }
}

struct Measurement<'a, S> {
    plan: &'a Plan,
    ground: &'a Ground,
    gates: Gates,
    report: &'a mut Report,
    say: &'a S,
}

impl<S: Fn(&str)> Measurement<'_, S> {
    async fn all(mut self) -> Result<()> {
        self.idle().await?;
        self.traffic().await?;
        self.durable().await?;
        self.rules().await?;
        if self.plan.era == Era::Old {
            self.sessions().await?;
        }
        self.calls().await
    }

    async fn idle(&mut self) -> Result<()> {
        (self.say)("starts and idle memory");
        let (mut ready, mut resident) = (Vec::new(), Vec::new());
        for _ in 0..self.plan.starts {
            let gate = self.gates.start(Setup::USUAL).await?;
            ready.push(gate.process.ready_after.as_secs_f64());
            resident.push(memory::at_rest(&gate).await? as f64);
            gate.stop().await?;
        }
        let ready = Duration::from_secs_f64(median(ready));
        self.report.checks.extend(checks::idle(ready, median(resident) as u64));
        Ok(())
    }

    async fn traffic(&mut self) -> Result<()> {
        (self.say)("direct, pass-through and gate in turn");
        let compared =
            self.beside_the_yardstick("a hundred rules, rows survive kill -9", Setup::USUAL, None).await?;
        self.report.checks.extend(checks::traffic(&compared));
        self.report.comparisons.push(compared);
        Ok(())
    }

    async fn durable(&mut self) -> Result<()> {
        (self.say)("the same with every row on the disk");
        let disk = Disk::probe(&self.plan.folder)?;
        let setup = Setup { durability: Durability::Every, ..Setup::USUAL };
        let compared = self
            .beside_the_yardstick("a hundred rules, rows survive a power cut", setup, Some(&disk))
            .await?;
        self.report.checks.extend(checks::durable(&compared, &disk));
        self.report.comparisons.push(compared);
        Ok(())
    }

    async fn rules(&mut self) -> Result<()> {
        (self.say)("no rules and a hundred rules in turn");
        let none = Setup { rules: Rules::None, ..Setup::USUAL };
        let figures = self.pairs((NO_RULES, &self.gates, none), &[MANY]).await?;
        let compared = Comparison { what: "no rules, a hundred rules", figures };
        self.report.checks.extend(checks::rules(&compared));
        self.report.comparisons.push(compared);
        Ok(())
    }

    async fn before(&mut self, before: &Gates) -> Result<()> {
        (self.say)("the earlier gate and the gate in turn");
        let figures = self.pairs((BEFORE, before, Setup::USUAL), &[1, MANY]).await?;
        let compared = Comparison { what: "before and now, a hundred rules", figures };
        self.report.checks.extend(checks::before(&compared));
        self.report.comparisons.push(compared);
        Ok(())
    }

    /// The gate as usual beside another. There are several processes of each: a difference of a few per cent is no more
    /// than two processes of the same program differ.
    async fn pairs(
        &self,
        (name, others, setup): (&'static str, &Gates, Setup),
        levels: &[usize],
    ) -> Result<Vec<Figures>> {
        let mut gates = Vec::new();
        for _ in 0..PAIRS {
            gates.push((name, others.start_and_settle(setup).await?));
            gates.push((GATE, self.gates.start_and_settle(Setup::USUAL).await?));
        }
        let sides: Vec<Side> = gates.iter().map(|(name, gate)| self.ground.through(name, gate)).collect();
        let mut figures = Vec::new();
        for &in_flight in levels {
            figures.extend(compare(&sides, in_flight, self.plan.blocks).await?);
        }
        for (_, gate) in gates {
            gate.stop().await?;
        }
        Ok(figures)
    }

    async fn sessions(&mut self) -> Result<()> {
        (self.say)("memory of sessions left open");
        let gate = self.gates.start_and_settle(Setup::USUAL).await?;
        let growth = memory::over_sessions(&gate, SESSIONS_TO_WARM_UP, self.plan.sessions).await?;
        gate.stop().await?;
        self.report.checks.push(checks::per_session(growth));
        self.report.memory.push(Memory { what: "sessions left open", growth });

        (self.say)("memory of sessions left under the default cap");
        let gate =
            self.gates.start_and_settle(Setup { sessions: SessionCap::Default, ..Setup::USUAL }).await?;
        let growth = memory::over_sessions(&gate, SESSIONS_TO_FILL, self.plan.sessions_left).await?;
        gate.stop().await?;
        self.grown("sessions left under the default cap", growth);
        Ok(())
    }

    async fn calls(&mut self) -> Result<()> {
        (self.say)("memory over many calls");
        let gate = self.gates.start_and_settle(Setup::USUAL).await?;
        let growth = memory::over_calls(&gate, self.plan.calls).await?;
        gate.stop().await?;
        self.grown("calls", growth);
        Ok(())
    }

    fn grown(&mut self, what: &'static str, growth: Growth) {
        self.report.checks.push(checks::grown(&format!("{} {what}", growth.times), growth));
        self.report.memory.push(Memory { what, growth });
    }

    async fn beside_the_yardstick(
        &self,
        what: &'static str,
        setup: Setup,
        disk: Option<&Disk>,
    ) -> Result<Comparison> {
        let gate = self.gates.start_and_settle(setup).await?;
        let mut sides = self.ground.sides();
        sides.push(Side { disk: disk.cloned(), ..self.ground.through(GATE, &gate) });
        let figures = levels(&sides, self.plan.blocks).await?;
        gate.stop().await?;
        Ok(Comparison { what, figures })
    }
}

/// One in flight, then many.
async fn levels(sides: &[Side], blocks: Blocks) -> Result<Vec<Figures>> {
    let mut figures = compare(sides, 1, blocks).await?;
    figures.extend(compare(sides, MANY, blocks).await?);
    Ok(figures)
}

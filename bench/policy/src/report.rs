//! What a run found, held against the bars, as Markdown too.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::agreement::Agreement;
use crate::deciding::Deciding;
use crate::loading::Loading;
use crate::machine::Machine;

/// The whole result of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where it was measured.
    pub machine: Machine,
    /// On how many calls the engines agreed, for each number of rules.
    pub agreed: Vec<Agreement>,
    /// Decisions.
    pub deciding: Vec<Deciding>,
    /// Files read.
    pub loading: Vec<Loading>,
    /// The judged values.
    pub checks: Vec<Check>,
}

/// One value of ours and the most that it may be.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What was measured.
    pub what: String,
    /// The value.
    pub found: f64,
    /// The most that it may be.
    pub bar: f64,
    /// Of both.
    pub unit: &'static str,
}

impl Check {
    /// Whether the bar holds. What is no number does not hold it.
    pub fn holds(&self) -> bool {
        self.found <= self.bar
    }
}

impl Report {
    /// What was found, judged.
    pub fn new(
        machine: Machine,
        agreed: Vec<Agreement>,
        deciding: Vec<Deciding>,
        loading: Vec<Loading>,
    ) -> Self {
        let mut checks = Vec::new();
        let mut check = |what: String, found, bar, unit| checks.push(Check { what, found, bar, unit });
        for row in deciding.iter().filter(|row| row.engine == "ours" && row.allows && row.rules == 1_000) {
            check("one decision, 1,000 rules, allow".to_owned(), row.from_text.nanoseconds / 1e3, 1.0, "µs");
            check("its allocations".to_owned(), row.allocations.times as f64, 0.0, "");
        }
        for row in loading.iter().filter(|row| row.engine.starts_with("ours") && row.rules.starts_with('5')) {
            let judged = row.rules.contains("2 predicates");
            if judged {
                check(format!("reading {}, {}", row.rules, row.engine), row.milliseconds, 50.0, "ms");
            }
        }
        Self { machine, agreed, deciding, loading, checks }
    }

    /// Whether every bar holds.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(Check::holds)
    }
}

impl Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Machine { cores, cpu, kernel, load_average } = &self.machine;
        let calls: usize = self.agreed.iter().map(|agreed| agreed.allowed + agreed.denied).sum();
        let allowed: usize = self.agreed.iter().map(|agreed| agreed.allowed).sum();
        writeln!(
            out,
            "{cores} cores of {cpu}, kernel {kernel}, load average {load_average} before the run. One thread; medians over blocks in turn. \
             All engines gave the same answers to {calls} calls, {allowed} of them allowed.\n",
        )?;
        let heads = [
            "rules",
            "answer",
            "engine",
            "µs from JSON text",
            "times ours",
            "µs prepared",
            "times ours",
            "allocations",
            "bytes",
        ];
        table(out, heads, self.deciding.iter().map(decision))?;
        writeln!(out)?;
        let heads =
            ["file", "engine", "KiB", "ms", "times ours, YAML", "allocations", "MiB allocated", "MiB kept"];
        table(out, heads, self.loading.iter().map(file))?;
        writeln!(out)?;
        table(out, ["measure", "found", "bar", ""], self.checks.iter().map(check))
    }
}

fn decision(row: &Deciding) -> [String; 9] {
    let ready = |of: fn(&crate::deciding::Time) -> f64| row.prepared.as_ref().map(of).map(number);
    [
        row.rules.to_string(),
        if row.allows { "allow" } else { "deny" }.to_owned(),
        row.engine.to_owned(),
        number(row.from_text.nanoseconds / 1e3),
        number(row.from_text.times_ours),
        ready(|time| time.nanoseconds / 1e3).unwrap_or_default(),
        ready(|time| time.times_ours).unwrap_or_default(),
        row.allocations.times.to_string(),
        row.allocations.bytes.to_string(),
    ]
}

fn file(row: &Loading) -> [String; 8] {
    let mebibytes = |bytes: u64| number(bytes as f64 / 1024.0 / 1024.0);
    [
        row.rules.to_owned(),
        row.engine.to_owned(),
        (row.bytes / 1024).to_string(),
        number(row.milliseconds),
        number(row.times_ours),
        row.allocations.times.to_string(),
        mebibytes(row.allocations.bytes),
        mebibytes(row.allocations.kept),
    ]
}

fn check(check: &Check) -> [String; 4] {
    let with_unit = |value| format!("{} {}", number(value), check.unit).trim_end().to_owned();
    let holds = if check.holds() { "holds" } else { "MISSED" };
    [check.what.clone(), with_unit(check.found), format!("≤ {}", with_unit(check.bar)), holds.to_owned()]
}

/// Three significant digits, more where the whole part needs them.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn table<const N: usize>(
    out: &mut Formatter<'_>,
    heads: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> fmt::Result {
    let mut lines = vec![heads.map(str::to_owned)];
    lines.extend(rows);
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    lines.insert(1, widths.map(|width| "-".repeat(width)));
    for line in &lines {
        let cells: Vec<_> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

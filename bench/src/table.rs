//! A report as Markdown, which is also what a terminal gets.

use std::fmt::{self, Display, Formatter, Write};

use crate::{
    compare::Figures,
    report::{Bar, Check, Comparison, Memory, Report},
};

impl Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(
            out,
            "{} cores of {}, kernel {}, load average {} before the run. \
             Gate: {}. Era {}; blocks of {} s in turn, {} for each side; loopback; medians over blocks.\n",
            machine.cores,
            machine.cpu,
            machine.kernel,
            machine.load_average,
            self.gate,
            self.era,
            self.blocks.seconds,
            self.blocks.rounds
        )?;
        let rows = self
            .comparisons
            .iter()
            .flat_map(|comparison| comparison.figures.iter().map(|f| row(comparison, f)));
        let heads = [
            "compared",
            "side",
            "in flight",
            "calls/s",
            "p50 µs",
            "p99 µs",
            "CPU µs/call",
            "upstream requests/call",
            "disk flushes/call",
        ];
        table(out, heads, rows)?;
        if !self.memory.is_empty() {
            out.write_char('\n')?;
            let rows = self.memory.iter().map(|Memory { what, growth }| {
                [
                    (*what).to_owned(),
                    growth.times.to_string(),
                    growth.refused.to_string(),
                    growth.before_kib.to_string(),
                    growth.after_kib.to_string(),
                ]
            });
            table(out, ["memory of the gate", "times", "refused", "KiB before", "KiB after"], rows)?;
        }
        if !self.checks.is_empty() {
            out.write_char('\n')?;
            table(out, ["measure", "found", "bar", ""], self.checks.iter().map(check))?;
        }
        Ok(())
    }
}

fn row(comparison: &Comparison, figures: &Figures) -> [String; 9] {
    let or_empty = |value: Option<f64>, places| value.map_or_else(String::new, |v| format!("{v:.places$}"));
    [
        comparison.what.to_owned(),
        figures.side.to_owned(),
        figures.in_flight.to_string(),
        format!("{:.0}", figures.calls_per_second),
        format!("{:.0}", figures.p50_us),
        format!("{:.0}", figures.p99_us),
        or_empty(figures.cpu_us_per_call, 1),
        or_empty(figures.upstream_requests_per_call, 4),
        or_empty(figures.disk_flushes_per_call, 3),
    ]
}

fn check(check: &Check) -> [String; 4] {
    let with_unit = |number: String| format!("{number} {}", check.unit).trim_end().to_owned();
    let bar = check.bar.map(|bar| match bar {
        Bar::AtMost(bar) => format!("≤ {}", with_unit(number(bar))),
        Bar::AtLeast(bar) => format!("≥ {}", with_unit(number(bar))),
        Bar::Above(bar) => format!("> {}", with_unit(number(bar))),
        Bar::Exactly(bar) => format!("= {}", with_unit(number(bar))),
    });
    [
        check.what.clone(),
        check.value.map_or_else(|| "not to be had".to_owned(), |value| with_unit(number(value))),
        bar.unwrap_or_default(),
        match check.holds {
            Some(true) => "holds".to_owned(),
            Some(false) => "MISSED".to_owned(),
            None => String::new(),
        },
    ]
}

/// Three significant digits, more where the whole part needs them.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}").trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

fn table<const N: usize>(
    out: &mut Formatter<'_>,
    heads: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> fmt::Result {
    let rows: Vec<_> = rows.collect();
    let mut widths = heads.map(|head| head.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    line(out, &heads.map(str::to_owned), &widths)?;
    line(out, &widths.map(|width| "-".repeat(width)), &widths)?;
    rows.iter().try_for_each(|row| line(out, row, &widths))
}

fn line(out: &mut Formatter<'_>, cells: &[String], widths: &[usize]) -> fmt::Result {
    out.write_char('|')?;
    for (cell, &width) in cells.iter().zip(widths) {
        write!(out, " {cell:width$} |")?;
    }
    out.write_char('\n')
}

//! Problems as a person reads them.

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
    ThemeCharacters, ThemeStyles,
};

use crate::{Problem, Problems, Severity};

impl Problems {
    /// Every problem with its line shown and the offending text underlined, `width` columns wide. Colours only when
    /// asked for: the caller knows the terminal.
    pub fn render(&self, width: usize, colours: Colours) -> String {
        let theme = match colours {
            Colours::Never => GraphicalTheme::unicode_nocolor(),
            // The plain colours of terminals: whoever prints this lets no other sequence pass.
            Colours::Always => {
                GraphicalTheme { characters: ThemeCharacters::unicode(), styles: ThemeStyles::ansi() }
            }
        };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false);
        let source = NamedSource::new(self.source.name(), self.source.text().to_owned());
        let mut out = String::new();
        for problem in self {
            let shown = Shown { problem, source: &source };
            // Writing into a String does not fail, and a problem that could not be drawn is still said in words.
            if handler.render_report(&mut out, &shown).is_err() {
                out.push_str(&problem.message);
            }
            out.push('\n');
        }
        out
    }
}

/// Whether a rendering uses colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// Plain text.
    Never,
    /// Terminal escapes.
    Always,
}

#[derive(Debug)]
struct Shown<'p> {
    problem: &'p Problem,
    source: &'p NamedSource<String>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        (!self.problem.path.is_empty()).then(|| Box::new(&self.problem.path) as Box<dyn fmt::Display>)
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.problem.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.problem.span;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, span.start..span.end))))
    }
}

//! Whether a fact can be compared in the way that a predicate asks for. What can never hold is a mistake of the file.

use portcullis_document::{Value, nearest};

use crate::Path;
use crate::facts::FactKind;
use crate::literal::Literal;
use crate::operator::Operator;
use crate::path::Root;

/// Notes where it cannot: `predicate` has the operator, `operand` what it compares with.
pub(super) fn fits(path: &Path, op: &str, operator: &Operator, predicate: &Value<'_>, operand: &Value<'_>) {
    let Root::Fact(fact) = &path.root else { return };
    let kind = fact.kind();
    match operator {
        Operator::Exists(_) => {}
        Operator::Eq(value) | Operator::Neq(value) => literal(path, kind, value, operand),
        Operator::In(values) | Operator::NotIn(values) => {
            values.iter().for_each(|value| literal(path, kind, value, operand));
        }
        Operator::Lt(_) | Operator::Lte(_) | Operator::Gt(_) | Operator::Gte(_)
            if kind == FactKind::Number => {}
        Operator::Regex(_)
        | Operator::Glob(..)
        | Operator::StartsWith(..)
        | Operator::EndsWith(_)
        | Operator::Contains(_)
            if kind == FactKind::Text => {}
        _ => {
            let hint = match kind {
                FactKind::Text => {
                    "it is a text: eq, neq, in, not_in, regex, contains, glob, starts_with, ends_with, exists"
                }
                FactKind::Word(_) => "it is one of a few words: eq, neq, in, not_in, exists",
                FactKind::Number => "it is a number: eq, neq, in, not_in, lt, lte, gt, gte, exists",
            };
            predicate.error(format!("expected an operator that judges `{path}`, found {op:?}"), Some(hint));
        }
    }
}

fn literal(path: &Path, kind: FactKind, value: &Literal, operand: &Value<'_>) {
    match (kind, value) {
        (FactKind::Text, Literal::Text(_)) | (FactKind::Number, Literal::Number(_)) => {}
        (FactKind::Text, _) => operand.error(format!("expected a text to compare `{path}` with"), None),
        (FactKind::Number, _) => operand.error(format!("expected a number to compare `{path}` with"), None),
        (FactKind::Word(words), Literal::Text(text)) if words.contains(&&**text) => {}
        (FactKind::Word(words), other) => {
            let found = match other {
                Literal::Text(text) => format!(", found {text:?}"),
                _ => String::new(),
            };
            let near = match other {
                Literal::Text(text) => nearest(&text.to_lowercase(), words.iter().copied()),
                _ => None,
            };
            let hint = match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("the words are {}", words.join(", ")),
            };
            operand.error(format!("expected a word that `{path}` can be{found}"), Some(&hint));
        }
    }
}

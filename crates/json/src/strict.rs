//! What two parsers could read in two ways.

use crate::scan::{Look, Text};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::collections::HashSet;

/// See [`crate::is_strict`].
pub(crate) struct Strict;

impl<'a> Look<'a> for Strict {
    type Names = Names<'a>;

    fn name(&self, before: &mut Names<'a>, name: Text<'a>) -> Option<()> {
        self.string(name)?;
        before.add(name.decoded()?)
    }

    fn string(&self, text: Text<'a>) -> Option<()> {
        // A NUL that is not written as an escape is no JSON.
        (text.plain || !text.decoded()?.contains('\0')).then_some(())
    }

    fn number(&self, number: &'a str) -> Option<()> {
        let is_small = number.len() < 300 && !number.contains(['e', 'E']);
        (is_small || number.parse().is_ok_and(f64::is_finite)).then_some(())
    }
}

/// Members at most in one object before a hash set replaces the linear search for duplicates.
const FEW: usize = 8;

/// The names of an object's members.
#[derive(Default)]
pub(crate) struct Names<'a> {
    few: SmallVec<[Cow<'a, str>; FEW]>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    /// `None` where it is there already.
    fn add(&mut self, name: Cow<'a, str>) -> Option<()> {
        if self.few.len() < FEW {
            let is_new = !self.few.contains(&name);
            return is_new.then(|| self.few.push(name));
        }
        (!self.few.contains(&name) && self.many.insert(name)).then_some(())
    }
}

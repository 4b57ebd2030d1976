//! A way to a broken property, in words.

use std::fmt;

use stateright::Path;

use crate::{action::Action, record::InWords, state::State};

/// A trace: a line a step, with what the step leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    step: String,
    record: String,
    version: u8,
    completed: u8,
}

impl Trace {
    pub(crate) fn of(path: Path<State, Action>) -> Self {
        let path = path.into_vec();
        let pairs = path.iter().zip(path.iter().skip(1));
        let lines = pairs.filter_map(|((before, action), (after, _))| {
            let action = action.as_ref()?;
            let actor = action.actor().map(|actor| &before.actors[actor]);
            Some(Line {
                step: actor.map_or_else(|| action.to_string(), |actor| format!("{actor} {action}")),
                record: InWords(after.record.as_ref()).to_string(),
                version: after.version,
                completed: after.completed,
            })
        });
        Self {
            lines: lines.collect(),
        }
    }

    /// How many steps it has.
    #[must_use]
    pub const fn steps(&self) -> usize {
        self.lines.len()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in (1..).zip(&self.lines) {
            writeln!(
                f,
                "{number:>2}. {:<40} {:<34} database v{}, complete v{}",
                line.step, line.record, line.version, line.completed
            )?;
        }
        Ok(())
    }
}

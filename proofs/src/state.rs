//! What there is at one moment.

use bytes::Bytes;
use larder_store::Outcome;

use crate::{
    actors::{Actor, Ending},
    bounds::Bounds,
    record,
    request::Request,
    token::Token,
};

/// One moment: the record's bytes, the database's version of the row, the actors, and the requests that
/// their senders have given up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) record: Option<Bytes>,
    /// Each commit adds one.
    pub(crate) version: u8,
    /// The newest version whose writer was told that its write is complete.
    pub(crate) completed: u8,
    /// The newest version that is complete or was committed under a hold.
    pub(crate) owed: u8,
    /// Whether a lease that someone waited for went without notice.
    pub(crate) silent: bool,
    pub(crate) actors: Vec<Actor>,
    /// Sorted, since their order means nothing.
    pub(crate) late: Vec<Request>,
    pub(crate) left: Left,
}

/// What may still go wrong; see [`Bounds`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Left {
    pub(crate) evictions: u8,
    pub(crate) lapses: u8,
    pub(crate) unanswered: u8,
    pub(crate) failures: u8,
}

impl State {
    /// Before anything happens.
    pub(crate) fn start(bounds: &Bounds, record: Option<Bytes>) -> Self {
        Self {
            record,
            version: 0,
            completed: 0,
            owed: 0,
            silent: false,
            actors: Actor::cast(bounds),
            late: Vec::new(),
            left: Left {
                evictions: bounds.evictions,
                lapses: bounds.lapses,
                unanswered: bounds.unanswered,
                failures: bounds.failures,
            },
        }
    }

    /// The version that a look-up would return now.
    pub(crate) fn cached(&self) -> Option<u8> {
        record::cached_version(self.record.as_ref())
    }

    /// Whether nothing is under way.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.late.is_empty() && self.actors.iter().all(Actor::is_finished)
    }

    pub(crate) fn write(&mut self, outcome: Outcome) {
        let waited = record::is_waited(self.record.as_ref());
        let notified = outcome.notify.is_some();
        self.record = record::after(self.record.take(), outcome.write);
        self.silent |= waited && !notified && !record::is_waited(self.record.as_ref());
    }

    pub(crate) fn end(&mut self, ending: Ending) {
        if let Ending::Completed(version) = ending {
            self.completed = self.completed.max(version);
            self.owed = self.owed.max(version);
        }
    }

    pub(crate) fn give_up(&mut self, request: Request) {
        let at = self.late.partition_point(|other| *other < request);
        self.late.insert(at, request);
    }

    pub(crate) fn take_late(&mut self, request: Request) {
        let at = self.late.partition_point(|other| *other < request);
        self.late.remove(at);
    }

    pub(crate) fn load(&mut self, actor: usize) {
        if let Actor::Reader(reader) = &mut self.actors[actor] {
            reader.loaded(self.version);
        }
    }

    pub(crate) fn commit(&mut self, actor: usize) {
        self.version += 1;
        if self.actors[actor].committed(self.version) {
            self.owed = self.version;
        }
    }

    pub(crate) fn crash(&mut self, actor: usize, request: Option<Request>) {
        self.left.failures -= 1;
        self.actors[actor].crash();
        if let Some(request) = request {
            self.give_up(request);
        }
    }

    pub(crate) fn fail(&mut self, actor: usize) {
        self.left.failures -= 1;
        self.actors[actor].fail();
    }

    pub(crate) fn evict(&mut self) {
        self.left.evictions -= 1;
        for token in record::live_holds(self.record.take().as_ref()) {
            self.lose(token);
        }
    }

    pub(crate) fn lapse(&mut self, token: Token) {
        self.left.lapses -= 1;
        self.record = self.record.take().map(|bytes| record::lapse(&bytes, token));
        self.lose(token);
    }

    fn lose(&mut self, token: Token) {
        for actor in &mut self.actors {
            if let Actor::Writer(writer) = actor {
                writer.lose(token);
            }
        }
    }
}

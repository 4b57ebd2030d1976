//! The model: which actions there are, and what they do.

use std::sync::Arc;

use larder_store::Reply;
use stateright::{Model, Property};

use crate::{
    action::Action,
    actors::{Actor, Step},
    bounds::Bounds,
    properties, record,
    request::Request,
    sightings::Sightings,
    state::State,
};

/// The protocol within some bounds.
#[derive(Debug)]
pub(crate) struct Protocol {
    bounds: Bounds,
    /// The property to check; all of them if there is none. With a single one the checker stops at its
    /// first, shortest trace.
    only: Option<&'static str>,
    pub(crate) sightings: Arc<Sightings>,
}

impl Protocol {
    pub(crate) fn new(bounds: Bounds, only: Option<&'static str>) -> Self {
        Self {
            bounds,
            only,
            sightings: Arc::default(),
        }
    }

    fn actions_of(&self, state: &State, actor: usize, actions: &mut Vec<Action>) {
        for step in state.actors[actor].steps(&self.bounds) {
            match step {
                Step::Look { due } => actions.push(Action::Look { actor, due }),
                Step::Ask(request) => ask(state, actor, request, actions),
                Step::Load => {
                    actions.push(Action::Load(actor));
                    fail(state, actor, actions);
                }
                Step::Commit => {
                    actions.push(Action::Commit(actor));
                    fail(state, actor, actions);
                }
                Step::LateCommit => actions.push(Action::Commit(actor)),
            }
        }
    }

    fn act(&self, state: &mut State, action: Action) -> bool {
        match action {
            Action::Look { actor, due } => return self.look(state, actor, due),
            Action::Answered(actor, request) => {
                let reply = self.apply(state, request, false);
                let ending = state.actors[actor].answered(request, &reply, &self.bounds);
                state.end(ending);
            }
            Action::Unanswered(actor, request) => {
                state.left.unanswered -= 1;
                state.actors[actor].unanswered(&self.bounds);
                state.give_up(request);
            }
            Action::Late(request) => {
                state.take_late(request);
                self.apply(state, request, true);
            }
            Action::Load(actor) => state.load(actor),
            Action::Commit(actor) => state.commit(actor),
            Action::Crash(actor, request) => state.crash(actor, request),
            Action::Fail(actor) => state.fail(actor),
            Action::Evict => state.evict(),
            Action::Lapse(token) => state.lapse(token),
        }
        true
    }

    fn look(&self, state: &mut State, actor: usize, due: bool) -> bool {
        let record = state.record.as_ref();
        match &mut state.actors[actor] {
            Actor::Reader(reader) => reader.look(record, due, &self.bounds),
            Actor::Writer(_) | Actor::Invalidator(_) => false,
        }
    }

    /// Runs the real step, or the mutant's, on the record's bytes.
    fn apply(&self, state: &mut State, request: Request, late: bool) -> Reply {
        let record = state.record.as_ref();
        let outcome = match self.bounds.mutant {
            Some(mutant) => mutant.apply(request, record),
            None => request.update().apply(record, record::NOW),
        };
        self.sightings.note(request, record, &outcome, late);
        let reply = outcome.reply.clone();
        state.write(outcome);
        reply
    }
}

fn ask(state: &State, actor: usize, request: Request, actions: &mut Vec<Action>) {
    actions.push(Action::Answered(actor, request));
    if state.left.unanswered > 0 {
        actions.push(Action::Unanswered(actor, request));
    }
    if state.left.failures > 0 {
        actions.push(Action::Crash(actor, Some(request)));
    }
}

fn fail(state: &State, actor: usize, actions: &mut Vec<Action>) {
    if state.left.failures > 0 {
        actions.push(Action::Crash(actor, None));
        actions.push(Action::Fail(actor));
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    /// Nothing is cached, or what an earlier read has left.
    fn init_states(&self) -> Vec<State> {
        let records = [None, record::old_value()];
        let start = |record| State::start(&self.bounds, record);
        records.into_iter().map(start).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for actor in 0..state.actors.len() {
            self.actions_of(state, actor, actions);
        }
        let mut late = state.late.clone();
        late.dedup();
        actions.extend(late.into_iter().map(Action::Late));
        if state.left.evictions > 0 && state.record.is_some() {
            actions.push(Action::Evict);
        }
        if state.left.lapses > 0 {
            let mortal = record::mortal(state.record.as_ref());
            actions.extend(mortal.into_iter().map(Action::Lapse));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.act(&mut state, action).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = properties::all();
        properties.retain(|property| self.only.is_none_or(|only| property.name == only));
        properties
    }
}

//! The step around every algorithm: all limits of an identity, decided at once.
//!
//! ```text
//! record  "LDR" 1 'R' algorithm:1 state+        one state for each quota, in their order; integers are big-endian
//! ```
//!
//! States beyond the quotas that are asked for are those of a handle with more of them, and are kept.

use bytes::{BufMut, Bytes, BytesMut};
use larder_store::{Arg, Input, NewTtl, Outcome, Reply, Write};
use smallvec::SmallVec;

use super::Terms;

pub(super) const LUA: &str = include_str!("limits.lua");

/// What every record of a limiter starts with.
pub(crate) const OURS: &[u8; 5] = b"LDR\x01R";

/// What the script replies where the record is somebody else's.
pub(crate) const FOREIGN: &[u8] = b"foreign";

/// How much longer a record lives than it matters, in milliseconds: the server dates an expiry back to when the script was
/// started, which is before it told the script the time.
pub(super) const SLACK_MS: u64 = 100;

/// Numbers that Lua counts exactly end here; larger ones in a record are damage.
pub(super) const MOST: u64 = 1 << 53;

/// The numbers that a script replies.
pub(super) type Numbers = SmallVec<[i64; 4]>;

/// How an identity stands with one quota, at a moment: what an algorithm is made of.
pub(super) trait State: Sized {
    /// The algorithm's name in records.
    const TAG: u8;

    /// Of an identity that was never seen.
    fn fresh(terms: Terms, now: u64) -> Self;

    /// Takes a state from the front of a record and brings it to this moment and these terms, or finds it damaged.
    fn read(record: &mut Bytes, terms: Terms, now: u64) -> Option<Self>;

    /// The terms that the state at the front of a record was written under, as far as [`read`](Self::read) and
    /// [`left`](Self::left) need them.
    fn terms(record: &[u8]) -> Option<Terms>;

    /// Whether reading made it better than the record is, so that it must be written even if the request is refused: it was
    /// cut, since its clock was far ahead, or the quota changed to one under which it is forgotten sooner.
    fn repaired(&self) -> bool;

    /// Whether this cost can be spent.
    fn fits(&self, cost: u64) -> bool;

    /// Spends a cost that fits.
    fn spend(&mut self, cost: u64);

    /// Gives back what was spent, as far as there is any.
    fn refund(&mut self, cost: u64);

    /// How many bytes [`write`](Self::write) writes.
    fn len(&self) -> usize;

    /// Writes what [`read`](Self::read) reads.
    fn write(&self, record: &mut BytesMut);

    /// For how many microseconds the state differs from a fresh one.
    fn left(&self) -> u64;

    /// Adds what the client must know to report, given the cost that was asked for, or 0. The first number is not
    /// negative.
    fn report(&self, cost: u64, numbers: &mut Numbers);
}

/// The arguments of a step: a cost (below 0 gives back), terms, and a flag if it only looks.
struct Request {
    cost: u64,
    refund: u64,
    terms: SmallVec<[Terms; 1]>,
    looks: bool,
}

impl Request {
    fn read(args: &[Arg]) -> Option<Self> {
        let [cost, terms, looks @ ..] = args else {
            return None;
        };
        let (terms, _) = terms.as_bytes().as_chunks();
        Some(Self {
            cost: u64::try_from(cost.as_int()).unwrap_or(0),
            refund: u64::try_from(-cost.as_int()).unwrap_or(0),
            terms: terms.iter().map(Terms::unpack).collect(),
            looks: !looks.is_empty(),
        })
    }

    fn changes(&self) -> bool {
        !self.looks && (self.cost > 0 || self.refund > 0)
    }
}

/// The Rust twin of every algorithm's script.
pub(super) fn apply<S: State>(input: Input<'_>) -> Outcome {
    let Some(request) = Request::read(input.args) else {
        return Outcome::keep(Reply::Nil);
    };
    if input.record.is_some_and(|record| !record.starts_with(OURS)) {
        return Outcome::keep(Reply::Bytes(Bytes::from_static(FOREIGN)));
    }
    let mut limits = Limits::<S>::at(&input, &request.terms);
    let refusals = limits.refusals(request.cost);
    let refused = refusals.contains(&true);
    if request.changes() {
        limits.change(&request, refused);
    }
    let reply = limits.reply(&request, &refusals);
    let write = if request.changes() && (!refused || limits.repaired()) {
        limits.write(refused, input.record.is_some())
    } else {
        Write::Keep
    };
    Outcome::new(write, reply)
}

/// The limits of an identity, in the order of their quotas.
struct Limits<S> {
    limits: SmallVec<[Limit<S>; 1]>,
    tail: Tail,
}

/// A state, and what it was read from: nothing if it is fresh.
struct Limit<S> {
    state: S,
    written: Bytes,
}

impl<S: State> Limits<S> {
    fn at(input: &Input<'_>, terms: &[Terms]) -> Self {
        let now = input.now.as_micros();
        let ours = input.record.and_then(|record| body(record, S::TAG));
        let fresh = |terms: &Terms| Limit::fresh(*terms, now);
        ours.and_then(|ours| Self::read(ours, terms, now))
            .unwrap_or_else(|| Self {
                limits: terms.iter().map(fresh).collect(),
                tail: Tail::default(),
            })
    }

    fn read(mut record: Bytes, terms: &[Terms], now: u64) -> Option<Self> {
        let limits = terms
            .iter()
            .map(|terms| Limit::read(&mut record, *terms, now));
        let limits = limits.collect::<Option<_>>()?;
        let tail = Tail::read::<S>(record, now).unwrap_or_default();
        Some(Self { limits, tail })
    }

    fn states(&self) -> impl Iterator<Item = &S> {
        self.limits.iter().map(|limit| &limit.state)
    }

    fn repaired(&self) -> bool {
        self.states().any(S::repaired)
    }

    /// Which limits refuse this cost.
    fn refusals(&self, cost: u64) -> SmallVec<[bool; 8]> {
        let refuses = |state: &S| cost > 0 && !state.fits(cost);
        self.states().map(refuses).collect()
    }

    fn change(&mut self, request: &Request, refused: bool) {
        for Limit { state, .. } in &mut self.limits {
            if request.refund > 0 {
                state.refund(request.refund);
            } else if !refused {
                state.spend(request.cost);
            }
        }
    }

    fn reply(&self, request: &Request, refusals: &[bool]) -> Reply {
        let mut numbers = Numbers::new();
        for (state, refused) in self.states().zip(refusals) {
            let first = numbers.len();
            state.report(request.cost, &mut numbers);
            if *refused {
                numbers[first] = -1 - numbers[first];
            }
        }
        match numbers[..] {
            [number] => Reply::Int(number),
            _ => Reply::List(numbers.into_iter().map(Reply::Int).collect()),
        }
    }

    fn write(&self, refused: bool, there: bool) -> Write {
        let left_us = self.states().map(S::left).fold(self.tail.left_us, u64::max);
        match (left_us, there) {
            (0, false) => Write::Keep,
            (0, true) => Write::Delete,
            _ => {
                let ttl = NewTtl::Millis(left_us.div_ceil(1_000) + SLACK_MS);
                Write::Set(self.to_bytes(refused), ttl)
            }
        }
    }

    /// Of a refused request only what reading repaired is written anew.
    fn to_bytes(&self, refused: bool) -> Bytes {
        let states: usize = self.states().map(S::len).sum();
        let mut record = BytesMut::with_capacity(OURS.len() + 1 + states + self.tail.written.len());
        record.put_slice(OURS);
        record.put_u8(S::TAG);
        for Limit { state, written } in &self.limits {
            if refused && !state.repaired() {
                record.put_slice(written);
            } else {
                state.write(&mut record);
            }
        }
        record.put_slice(&self.tail.written);
        record.freeze()
    }
}

/// What a record has beyond the quotas that are asked for, and how long it matters: another handle has more of them.
#[derive(Default)]
struct Tail {
    written: Bytes,
    left_us: u64,
}

impl Tail {
    /// None if it is damaged, or matters no more.
    fn read<S: State>(written: Bytes, now: u64) -> Option<Self> {
        let (mut record, mut left_us) = (written.clone(), 0);
        while !record.is_empty() {
            let terms = S::terms(&record)?;
            let state = S::read(&mut record, terms, now)?;
            left_us = state.left().max(left_us);
        }
        (left_us > 0).then_some(Self { written, left_us })
    }
}

impl<S: State> Limit<S> {
    fn fresh(terms: Terms, now: u64) -> Self {
        Self {
            state: S::fresh(terms, now),
            written: Bytes::new(),
        }
    }

    /// Takes one from the front of a record. Quotas that the record doesn't reach are fresh.
    fn read(record: &mut Bytes, terms: Terms, now: u64) -> Option<Self> {
        if record.is_empty() {
            return Some(Self::fresh(terms, now));
        }
        let before = record.clone();
        let state = S::read(record, terms, now)?;
        let written = before.slice(..before.len() - record.len());
        Some(Self { state, written })
    }
}

/// What follows the head of a record of this algorithm.
fn body(record: &Bytes, tag: u8) -> Option<Bytes> {
    let found = record.get(OURS.len())?;
    (*found == tag).then(|| record.slice(OURS.len() + 1..))
}

/// Whether a script's reply says that the record is somebody else's.
pub(crate) fn is_foreign(reply: &Reply) -> bool {
    matches!(reply, Reply::Bytes(bytes) if bytes == FOREIGN)
}

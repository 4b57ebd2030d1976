//! GCRA, the generic cell rate algorithm (ITU-T I.371, ATM Forum Traffic Management 4.0: the virtual scheduling
//! form).
//!
//! An identity is the time at which its bucket will be full again, the *theoretical arrival time*: a request is admitted if
//! spending moves it no further away than the burst reaches. The record has it to a fraction of a microsecond, and the quota it was written
//! under:
//!
//! ```text
//! state   tat_us:7 part:4 rate:4 full:7         part/rate: the fraction; full/rate: microseconds from empty to full
//! ```
//!
//! Seven bytes are enough for what Lua counts, and keep a record of one quota at 28, which fits the server's allocator.
//!
//! A time that lies further away than the burst reaches can only come from a clock that went back. It is
//! cut, and the cut is written even if the request is refused: otherwise the identity would be refused until that clock
//! comes again.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use larder_store::{Input, Outcome, Script};

use super::{
    Terms,
    backlog::{self, Backlog, Written},
    gcra_quick,
    limits::{self, MOST, Numbers, State},
    proportion,
};

/// Making all the functions of the step for every case costs as much as the common case, so it is left for where they are needed.
pub(super) static SCRIPT: Script = Script::new(
    "gcra",
    &[
        "local function every_case()",
        proportion::LUA,
        backlog::LUA,
        include_str!("gcra.lua"),
        limits::LUA,
        "return step end",
        include_str!("gcra_quick.lua"),
    ],
    apply,
);

fn apply(input: Input<'_>) -> Outcome {
    match gcra_quick::apply(&input, Gcra::TAG) {
        Some(outcome) => outcome,
        None => limits::apply::<Gcra>(input),
    }
}

struct Gcra(Backlog);

/// A state as it lies in a record.
pub(super) struct Layout {
    pub(super) tat: u64,
    pub(super) part: u64,
    pub(super) rate: u64,
    pub(super) full: u64,
}

impl Layout {
    pub(super) const LEN: usize = 22;

    #[inline]
    pub(super) fn read(bytes: &[u8; Self::LEN]) -> Self {
        let [t1, t2, t3, t4, t5, t6, t7, rest @ ..] = *bytes;
        let [p1, p2, p3, p4, r1, r2, r3, r4, f1, f2, f3, f4, f5, f6, f7] = rest;
        Self {
            tat: u64::from_be_bytes([0, t1, t2, t3, t4, t5, t6, t7]),
            part: u32::from_be_bytes([p1, p2, p3, p4]).into(),
            rate: u32::from_be_bytes([r1, r2, r3, r4]).into(),
            full: u64::from_be_bytes([0, f1, f2, f3, f4, f5, f6, f7]),
        }
    }

    /// Of numbers that fit.
    #[inline]
    pub(super) fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..7].copy_from_slice(&self.tat.to_be_bytes()[1..]);
        bytes[7..11].copy_from_slice(&self.part.to_be_bytes()[4..]);
        bytes[11..15].copy_from_slice(&self.rate.to_be_bytes()[4..]);
        bytes[15..].copy_from_slice(&self.full.to_be_bytes()[1..]);
        bytes
    }
}

impl State for Gcra {
    const TAG: u8 = b'G';

    fn fresh(terms: Terms, now: u64) -> Self {
        Self(Backlog::none(terms, now))
    }

    fn read(record: &mut Bytes, terms: Terms, now: u64) -> Option<Self> {
        let Layout {
            tat,
            part,
            rate,
            full,
        } = Layout::read(record.first_chunk()?);
        record.advance(Layout::LEN);
        let written = Written { rate, full }.checked()?;
        if tat >= MOST || part >= rate {
            return None;
        }
        let (ticks, cut) = match tat.checked_sub(now) {
            None => (0, false),
            Some(owed) if owed > written.span_us() => (full, true),
            Some(owed) => {
                let ticks = owed * rate + part;
                (ticks.min(full), ticks > full)
            }
        };
        Some(Self(Backlog::carried(terms, now, ticks, written, cut)))
    }

    fn terms(record: &[u8]) -> Option<Terms> {
        let written = Layout::read(record.first_chunk()?);
        Some(Terms {
            rate: written.rate,
            period: written.full,
            burst: 1,
        })
    }

    fn repaired(&self) -> bool {
        self.0.repaired
    }

    fn fits(&self, cost: u64) -> bool {
        self.0.fits(cost)
    }

    fn spend(&mut self, cost: u64) {
        self.0.spend(cost);
    }

    fn refund(&mut self, cost: u64) {
        self.0.refund(cost);
    }

    fn len(&self) -> usize {
        Layout::LEN
    }

    fn write(&self, record: &mut BytesMut) {
        let Backlog {
            terms, now, ticks, ..
        } = self.0;
        let state = Layout {
            tat: now + ticks / terms.rate,
            part: ticks % terms.rate,
            rate: terms.rate,
            full: terms.full(),
        };
        record.put_slice(&state.to_bytes());
    }

    fn left(&self) -> u64 {
        self.0.left()
    }

    fn report(&self, _cost: u64, numbers: &mut Numbers) {
        self.0.report(numbers);
    }
}

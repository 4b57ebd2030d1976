//! The record format.
//!
//! Every record starts with `LDR`, the format version and a tag. Integers are big-endian.
//!
//! ```text
//! lease   "LDR" 1 'L'  token:16  flags:1                                  flags: 1 = waited
//! value   "LDR" 1 'V'  token:16  flags:1  [claim:16 deadline_ms:8]        flags: 1 = negative, 2 = claimed,
//!         created_ms:8  crc32:4  soft_ttl_ms:8  cost_us:4  codec:1               4 = versioned
//!         [version:8]  payload
//! holds   "LDR" 1 'H'  taint:1  (token:16 deadline_ms:8)+
//! ```
//!
//! `crc32` is the CRC-32 of zlib and PNG over everything that follows it. `created_ms` and `deadline_ms` are
//! times of the store, `soft_ttl_ms` is how long after its creation the value counts as fresh, `cost_us` how
//! long it took to load or to write, `version` the database's own for that row. A negative value has no payload.

use bytes::{BufMut, Bytes, BytesMut};

use crate::token::Token;

const MAGIC: &[u8; 4] = b"LDR\x01";
const HEAD: usize = 5;
const FLAGS: usize = HEAD + Token::LEN;
const LEASE_LEN: usize = FLAGS + 1;
const CLAIM_LEN: usize = Token::LEN + 8;
const SEAL_LEN: usize = 4 + 8 + 4 + 1;
const VERSION_LEN: usize = 8;
const HOLD_LEN: usize = Token::LEN + 8;

const WAITED: u8 = 1;
const NEGATIVE: u8 = 1;
const CLAIMED: u8 = 2;
pub(crate) const VERSIONED: u8 = 4;

/// What the bytes at a key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Lease(LeaseFrame),
    Value(ValueFrame<'a>),
    Holds(HoldsFrame),
    /// Not ours, cut off, or of a format version we don't know.
    Foreign,
}

/// Someone is loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseFrame {
    pub(crate) token: Token,
    pub(crate) waited: bool,
}

/// A value, or the knowledge that there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValueFrame<'a> {
    pub(crate) stamp: Token,
    pub(crate) negative: bool,
    pub(crate) claim: Option<Hold>,
    pub(crate) created_ms: u64,
    pub(crate) versioned: bool,
    /// Still sealed: the checksum is looked at when the value is opened.
    pub(crate) sealed: &'a [u8],
}

/// Writers in flight: nobody may fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HoldsFrame {
    pub(crate) tainted: bool,
    pub(crate) holds: Vec<Hold>,
}

/// Who may act until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    pub(crate) token: Token,
    pub(crate) deadline_ms: u64,
}

impl<'a> Frame<'a> {
    #[inline]
    pub(crate) fn parse(record: &'a [u8]) -> Self {
        match record.get(..HEAD) {
            Some([b'L', b'D', b'R', 1, b'L']) => LeaseFrame::parse(record).map(Self::Lease),
            Some([b'L', b'D', b'R', 1, b'V']) => ValueFrame::parse(record).map(Self::Value),
            Some([b'L', b'D', b'R', 1, b'H']) => HoldsFrame::parse(record).map(Self::Holds),
            _ => None,
        }
        .unwrap_or(Self::Foreign)
    }

    /// Whether followers asked to be told when this record changes.
    pub(crate) const fn is_waited(&self) -> bool {
        matches!(self, Self::Lease(lease) if lease.waited)
    }
}

impl LeaseFrame {
    fn parse(record: &[u8]) -> Option<Self> {
        let [flags] = *record.get(FLAGS..)? else {
            return None;
        };
        Some(Self {
            token: Token::read(&record[HEAD..])?,
            waited: flags & WAITED != 0,
        })
    }

    pub(crate) fn to_bytes(self) -> Bytes {
        let mut out = head(b'L', LEASE_LEN);
        out.put_slice(self.token.as_bytes());
        out.put_u8(if self.waited { WAITED } else { 0 });
        out.freeze()
    }
}

impl<'a> ValueFrame<'a> {
    #[inline]
    fn parse(record: &'a [u8]) -> Option<Self> {
        let flags = *record.get(FLAGS)?;
        let mut at = FLAGS + 1;
        let mut claim = None;
        if flags & CLAIMED != 0 {
            claim = Some(Hold::read(record.get(at..)?)?);
            at += CLAIM_LEN;
        }
        let created_ms = read_u64(record.get(at..)?)?;
        at += 8;
        let versioned = flags & VERSIONED != 0;
        if record.len() < at + SEAL_LEN + if versioned { VERSION_LEN } else { 0 } {
            return None;
        }
        Some(Self {
            stamp: Token::read(&record[HEAD..])?,
            negative: flags & NEGATIVE != 0,
            claim,
            created_ms,
            versioned,
            sealed: &record[at..],
        })
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut out = head(b'V', LEASE_LEN + CLAIM_LEN + 8 + self.sealed.len());
        out.put_slice(self.stamp.as_bytes());
        let flag = |set, flag| if set { flag } else { 0 };
        let claimed = flag(self.claim.is_some(), CLAIMED);
        out.put_u8(flag(self.negative, NEGATIVE) | claimed | flag(self.versioned, VERSIONED));
        if let Some(claim) = self.claim {
            claim.write(&mut out);
        }
        out.put_u64(self.created_ms);
        out.put_slice(self.sealed);
        out.freeze()
    }

    /// The database's version of the row, if the record has it. Read without a look at the checksum, as the scripts do.
    pub(crate) fn version(&self) -> Option<u64> {
        let version = self.sealed.get(SEAL_LEN..).filter(|_| self.versioned);
        read_u64(version?)
    }
}

impl HoldsFrame {
    fn parse(record: &[u8]) -> Option<Self> {
        let (taint, holds) = record.get(HEAD..)?.split_first()?;
        let chunks = holds.chunks_exact(HOLD_LEN);
        if holds.is_empty() || !chunks.remainder().is_empty() {
            return None;
        }
        Some(Self {
            tainted: *taint != 0,
            holds: chunks.filter_map(Hold::read).collect(),
        })
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        let mut out = head(b'H', HEAD + 1 + self.holds.len() * HOLD_LEN);
        out.put_u8(u8::from(self.tainted));
        for hold in &self.holds {
            hold.write(&mut out);
        }
        out.freeze()
    }

    /// The holds that are still live, without the one of `token`; and whether that one was there.
    pub(crate) fn live_without(&self, token: Token, now_ms: u64) -> (Vec<Hold>, bool) {
        let found = self.holds.iter().any(|hold| hold.token == token);
        let live = |hold: &&Hold| hold.token != token && hold.is_live(now_ms);
        (self.holds.iter().filter(live).copied().collect(), found)
    }

    pub(crate) fn latest_deadline_ms(&self) -> u64 {
        let deadlines = self.holds.iter().map(|hold| hold.deadline_ms);
        deadlines.max().unwrap_or_default()
    }
}

impl Hold {
    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            token: Token::read(bytes)?,
            deadline_ms: read_u64(&bytes[Token::LEN..])?,
        })
    }

    fn write(self, out: &mut BytesMut) {
        out.put_slice(self.token.as_bytes());
        out.put_u64(self.deadline_ms);
    }

    pub(crate) const fn is_live(&self, now_ms: u64) -> bool {
        self.deadline_ms > now_ms
    }
}

/// What a client adds to a value: everything but the token, the flags and the creation time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) soft_ttl_ms: u64,
    pub(crate) cost_us: u32,
    pub(crate) codec: u8,
}

impl Seal {
    /// Room for the seal, to be followed by the payload and then [`close`](Self::close)d.
    pub(crate) fn room(version: Option<u64>) -> Vec<u8> {
        let mut room = vec![0; SEAL_LEN];
        room.extend(version.into_iter().flat_map(u64::to_be_bytes));
        room
    }

    /// Writes the seal before the payload, checksum first. The version is in its [`room`](Self::room) already.
    pub(crate) fn close(self, mut sealed: Vec<u8>) -> Bytes {
        sealed[4..12].copy_from_slice(&self.soft_ttl_ms.to_be_bytes());
        sealed[12..16].copy_from_slice(&self.cost_us.to_be_bytes());
        sealed[16] = self.codec;
        let checksum = crc32fast::hash(&sealed[4..]);
        sealed[..4].copy_from_slice(&checksum.to_be_bytes());
        sealed.into()
    }

    /// The seal and the payload behind it; `None` if the checksum doesn't hold.
    #[inline]
    pub(crate) fn open(sealed: &[u8], versioned: bool) -> Option<(Self, &[u8])> {
        let checksum = u32::from_be_bytes(*sealed.first_chunk()?);
        let rest = sealed.get(4..)?;
        if rest.len() < SEAL_LEN - 4 || crc32fast::hash(rest) != checksum {
            return None;
        }
        let seal = Self {
            soft_ttl_ms: read_u64(rest)?,
            cost_us: u32::from_be_bytes(*rest[8..].first_chunk()?),
            codec: rest[12],
        };
        let version = if versioned { VERSION_LEN } else { 0 };
        Some((seal, rest.get(13 + version..)?))
    }
}

fn head(tag: u8, len: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(len);
    out.put_slice(MAGIC);
    out.put_u8(tag);
    out
}

fn read_u64(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.first_chunk()?))
}

//! Atomic read-modify-write, as data.

mod lua;

use std::{fmt, sync::OnceLock};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{Error, ErrorKind, Result, Timestamp};

/// One atomic step over one record, written twice: as a pure Rust function, which a memory store calls under
/// a lock, and as its twin in Lua, which a Redis store runs as a script. Both must give the same [`Outcome`]
/// for the same input; `larder-testing` has the property test that holds them to it. The function may be called more than
/// once for an update, and only what it returned last counts.
///
/// The Lua source defines `local function step(record, args, now_us)` and returns
/// `write, bytes, ttl_ms, reply, notify, instead`:
///
/// | value | meaning |
/// |---|---|
/// | `record` | the record's bytes, or `false` if there is none |
/// | `args` | the arguments, all of them strings |
/// | `now_us` | the store's time in microseconds, a number |
/// | `write` | `nil` keeps the record, `'set'` writes `bytes`, `'delete'` deletes it, `'set-or-delete'` writes and, should the server be out of memory, deletes |
/// | `ttl_ms` | a positive whole number of milliseconds, or `nil` to keep the time the record has left |
/// | `reply` | a string, a number (whole), an array of those, or `nil` |
/// | `notify` | a string to publish to the subscribers of the key, or `nil` |
/// | `instead` | what to reply if `'set-or-delete'` had to delete, or `nil` for the same |
///
/// Several pieces are joined in order, so that scripts can share helpers. Numbers stay below 2^53.
pub struct Script {
    name: &'static str,
    lua: &'static [&'static str],
    apply: fn(Input<'_>) -> Outcome,
    source: OnceLock<Source>,
}

struct Source {
    text: String,
    sha1: String,
}

impl Script {
    /// A script from the pieces of its Lua source and its Rust twin. Keep it in a `static`.
    #[must_use]
    pub const fn new(
        name: &'static str,
        lua: &'static [&'static str],
        apply: fn(Input<'_>) -> Outcome,
    ) -> Self {
        Self {
            name,
            lua,
            apply,
            source: OnceLock::new(),
        }
    }

    /// The name, for logs and errors.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Runs the Rust twin.
    #[must_use]
    pub fn apply(&self, input: Input<'_>) -> Outcome {
        (self.apply)(input)
    }

    /// The whole script for `EVAL`: `KEYS[1]` is the record, `ARGV` the arguments, the reply is
    /// `{now_us, reply}`.
    pub fn source(&self) -> &str {
        &self.compiled().text
    }

    /// The SHA-1 of [`source`](Self::source) in hexadecimal, for `EVALSHA`.
    pub fn sha1(&self) -> &str {
        &self.compiled().sha1
    }

    /// For tests of the twins: the same script with the time taken from the last of `ARGV` (microseconds)
    /// instead of the server's clock, so that a run can be repeated to the byte.
    #[must_use]
    pub fn source_at_given_time(&self) -> String {
        lua::script_at_given_time(self.lua)
    }

    fn compiled(&self) -> &Source {
        self.source.get_or_init(|| {
            let text = lua::script(self.lua);
            let sha1 = sha1_smol::Sha1::from(&text).digest().to_string();
            Source { text, sha1 }
        })
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Script({})", self.name)
    }
}

/// A [`Script`] with its arguments, ready for [`Store::update`](crate::Store::update).
#[derive(Debug, Clone)]
pub struct Update {
    script: &'static Script,
    args: SmallVec<[Arg; 4]>,
}

impl Update {
    /// This script without arguments.
    #[must_use]
    pub fn new(script: &'static Script) -> Self {
        Self {
            script,
            args: SmallVec::new(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<Arg>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// The script.
    #[must_use]
    pub const fn script(&self) -> &'static Script {
        self.script
    }

    /// The arguments in order.
    #[must_use]
    pub fn args(&self) -> &[Arg] {
        &self.args
    }

    /// Runs the Rust twin on a record.
    #[must_use]
    pub fn apply(&self, record: Option<&Bytes>, now: Timestamp) -> Outcome {
        self.script.apply(Input {
            record,
            args: &self.args,
            now,
        })
    }
}

/// An argument of an update. On the wire an integer is its decimal digits.
#[derive(Clone, PartialEq, Eq)]
pub enum Arg {
    /// A whole number between -2^53 and 2^53, the ones that Lua counts exactly.
    Int(i64),
    /// Bytes.
    Bytes(Bytes),
}

impl Arg {
    /// The integer; zero for bytes, which a script's own constructor never passes.
    #[must_use]
    pub const fn as_int(&self) -> i64 {
        match self {
            Self::Int(int) => *int,
            Self::Bytes(_) => 0,
        }
    }

    /// The bytes; empty for an integer, which a script's own constructor never passes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Int(_) => &[],
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl From<i64> for Arg {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<Bytes> for Arg {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&[u8]> for Arg {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(Bytes::copy_from_slice(bytes))
    }
}

impl fmt::Debug for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(int) => write!(f, "{int}"),
            Self::Bytes(bytes) => write!(f, "<{} bytes>", bytes.len()),
        }
    }
}

/// What a script's Rust twin is given.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The record, or `None` if there is none (expired ones are gone).
    pub record: Option<&'a Bytes>,
    /// The update's arguments.
    pub args: &'a [Arg],
    /// The store's time.
    pub now: Timestamp,
}

/// What a script decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What becomes of the record.
    pub write: Write,
    /// What the caller is told.
    pub reply: Reply,
    /// What the key's subscribers are told, in the same atomic step.
    pub notify: Option<Bytes>,
}

impl Outcome {
    /// Keeps the record and replies.
    #[must_use]
    pub const fn keep(reply: Reply) -> Self {
        Self::new(Write::Keep, reply)
    }

    /// Does this to the record, replies, and tells the subscribers nothing.
    #[must_use]
    pub const fn new(write: Write, reply: Reply) -> Self {
        Self {
            write,
            reply,
            notify: None,
        }
    }

    /// The same outcome, announced to the key's subscribers if there is something to say.
    #[must_use]
    pub fn notify(mut self, message: Option<Bytes>) -> Self {
        self.notify = message;
        self
    }
}

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// It stays as it is.
    Keep,
    /// It becomes these bytes.
    Set(Bytes, NewTtl),
    /// It becomes these bytes or, where the store has no room for them, is deleted.
    SetOrDelete(Bytes, NewTtl),
    /// It is deleted.
    Delete,
}

/// How long a written record lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewTtl {
    /// As long as the record that was there had left.
    Keep,
    /// This many milliseconds, at least one.
    Millis(u64),
}

/// What an update replies.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nothing.
    Nil,
    /// A whole number between -2^53 and 2^53.
    Int(i64),
    /// Bytes.
    Bytes(Bytes),
    /// Several replies.
    List(Vec<Reply>),
}

impl Reply {
    /// The integer.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] if the reply isn't one.
    pub fn into_int(self) -> Result<i64> {
        match self {
            Self::Int(int) => Ok(int),
            other => Err(unexpected("an integer", &other)),
        }
    }

    /// The bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] if the reply isn't bytes.
    pub fn into_bytes(self) -> Result<Bytes> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            other => Err(unexpected("bytes", &other)),
        }
    }

    /// The list.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] if the reply isn't one.
    pub fn into_list(self) -> Result<Vec<Self>> {
        match self {
            Self::List(list) => Ok(list),
            other => Err(unexpected("a list", &other)),
        }
    }
}

fn unexpected(wanted: &str, got: &Reply) -> Error {
    Error::new(
        ErrorKind::Protocol,
        format!("an update should have replied {wanted} and replied {got:?}"),
    )
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Int(int) => write!(f, "{int}"),
            Self::Bytes(bytes) => write!(f, "<{} bytes>", bytes.len()),
            Self::List(list) => f.debug_list().entries(list).finish(),
        }
    }
}

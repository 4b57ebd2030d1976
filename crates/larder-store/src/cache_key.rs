//! Typed keys and how they are written.

use std::{borrow::Cow, rc::Rc, sync::Arc};

use crate::key::KeyBuffer;

/// A type that can be the key of a cache entry.
///
/// Given for integers, `bool`, strings, byte strings, `Option`, tuples up to four and, with the feature
/// `uuid`, `Uuid`. For a type of your own, write its parts in order:
///
/// ```
/// use larder_store::{CacheKey, KeyWriter, Namespace};
///
/// struct PageOf { shop: u32, slug: String }
///
/// impl CacheKey for PageOf {
///     fn write_key(&self, out: &mut KeyWriter<'_>) {
///         self.shop.write_key(out);
///         self.slug.write_key(out);
///     }
/// }
///
/// let pages = Namespace::new("page", 3)?;
/// let key = pages.key(&PageOf { shop: 7, slug: "tea pots".into() })?;
/// assert_eq!(key.as_bytes(), b"larder:page:3:7:tea%20pots");
/// # Ok::<(), larder_store::Error>(())
/// ```
///
/// # For implementers
/// Different keys must write different parts, and the number of parts must follow from the type or from the
/// parts themselves. Each part is escaped, so no part can run into the next.
#[diagnostic::on_unimplemented(
    note = "implement it for a type of your own by writing its parts: `self.shop.write_key(out); self.slug.write_key(out);`"
)]
pub trait CacheKey {
    /// Writes this key's parts.
    fn write_key(&self, out: &mut KeyWriter<'_>);
}

/// Where a [`CacheKey`] writes its parts. Parts are separated by `:`; in a part, `%`, `:`, `{`, `}`, white
/// space, control bytes and bytes that aren't UTF-8 text become `%XX`.
pub struct KeyWriter<'a> {
    out: &'a mut KeyBuffer,
    first: bool,
}

impl std::fmt::Debug for KeyWriter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyWriter").finish_non_exhaustive()
    }
}

impl<'a> KeyWriter<'a> {
    #[inline]
    pub(crate) fn new(out: &'a mut KeyBuffer) -> Self {
        Self { out, first: true }
    }

    /// Writes one part of text.
    pub fn text(&mut self, part: &str) {
        self.separate();
        self.escaped(part.as_bytes(), is_plain_text);
    }

    /// Writes one part of arbitrary bytes.
    pub fn bytes(&mut self, part: &[u8]) {
        self.separate();
        self.escaped(part, |byte| byte.is_ascii() && is_plain_text(byte));
    }

    /// Writes one part that is an integer.
    #[inline]
    pub fn integer(&mut self, part: impl itoa::Integer) {
        self.separate();
        self.out
            .extend_from_slice(itoa::Buffer::new().format(part).as_bytes());
    }

    /// Writes the part that says whether an optional key follows; no other part is ever written like it.
    fn presence(&mut self, present: bool) {
        self.separate();
        self.out
            .extend_from_slice(if present { b"%+" } else { b"%-" });
    }

    /// Writes what `parts` writes, between the braces of a Redis Cluster hash tag.
    fn tagged(&mut self, parts: impl FnOnce(&mut Self)) {
        self.separate();
        self.out.extend_from_slice(b"{");
        self.first = true;
        parts(self);
        self.first = false;
        self.out.extend_from_slice(b"}");
    }

    #[inline]
    fn separate(&mut self) {
        if !self.first {
            self.out.extend_from_slice(b":");
        }
        self.first = false;
    }

    fn escaped(&mut self, mut part: &[u8], plain: impl Fn(u8) -> bool) {
        while let Some(at) = part.iter().position(|byte| !plain(*byte)) {
            self.out.extend_from_slice(&part[..at]);
            self.out.extend_from_slice(&percent(part[at]));
            part = &part[at + 1..];
        }
        self.out.extend_from_slice(part);
    }
}

fn is_plain_text(byte: u8) -> bool {
    byte > b' ' && !matches!(byte, b'%' | b':' | b'{' | b'}' | 0x7f)
}

fn percent(byte: u8) -> [u8; 3] {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    [
        b'%',
        HEX[usize::from(byte >> 4)],
        HEX[usize::from(byte & 0xf)],
    ]
}

/// A part that decides the Redis Cluster slot: `Tagged(42)` is written `{42}`, and every key with that tag,
/// of every namespace, lives on one node. Only the first tag of a key counts.
///
/// ```
/// use larder_store::{Namespace, Tagged};
///
/// let carts = Namespace::new("cart", 1)?;
/// assert_eq!(carts.key(&(Tagged(42_u64), "items"))?.as_bytes(), b"larder:cart:1:{42}:items");
/// # Ok::<(), larder_store::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tagged<T>(pub T);

impl<T: CacheKey> CacheKey for Tagged<T> {
    fn write_key(&self, out: &mut KeyWriter<'_>) {
        out.tagged(|out| self.0.write_key(out));
    }
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl CacheKey for $integer {
            #[inline]
            fn write_key(&self, out: &mut KeyWriter<'_>) {
                out.integer(*self);
            }
        }
    )*};
}

integers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

impl CacheKey for bool {
    fn write_key(&self, out: &mut KeyWriter<'_>) {
        out.integer(u8::from(*self));
    }
}

impl CacheKey for str {
    fn write_key(&self, out: &mut KeyWriter<'_>) {
        out.text(self);
    }
}

impl CacheKey for String {
    fn write_key(&self, out: &mut KeyWriter<'_>) {
        out.text(self);
    }
}

impl CacheKey for [u8] {
    fn write_key(&self, out: &mut KeyWriter<'_>) {
        out.bytes(self);
    }
}

impl<const N: usize> CacheKey for [u8; N] {
    fn write_key(&self, out: &mut KeyWriter<'_>) {
        out.bytes(self);
    }
}

impl CacheKey for Vec<u8> {
    fn write_key(&self, out: &mut KeyWriter<'_>) {
        out.bytes(self);
    }
}

#[cfg(feature = "uuid")]
impl CacheKey for uuid::Uuid {
    fn write_key(&self, out: &mut KeyWriter<'_>) {
        out.text(
            self.hyphenated()
                .encode_lower(&mut uuid::Uuid::encode_buffer()),
        );
    }
}

impl<T: CacheKey> CacheKey for Option<T> {
    fn write_key(&self, out: &mut KeyWriter<'_>) {
        out.presence(self.is_some());
        if let Some(key) = self {
            key.write_key(out);
        }
    }
}

macro_rules! pointers {
    ($($pointer:ty),*) => {$(
        impl<T: CacheKey + ?Sized> CacheKey for $pointer {
            fn write_key(&self, out: &mut KeyWriter<'_>) {
                (**self).write_key(out);
            }
        }
    )*};
}

pointers!(&T, Box<T>, Arc<T>, Rc<T>);

impl<T: CacheKey + ToOwned + ?Sized> CacheKey for Cow<'_, T> {
    fn write_key(&self, out: &mut KeyWriter<'_>) {
        (**self).write_key(out);
    }
}

macro_rules! tuples {
    ($($part:ident)*) => {
        impl<$($part: CacheKey),*> CacheKey for ($($part,)*) {
            fn write_key(&self, out: &mut KeyWriter<'_>) {
                #[expect(non_snake_case, reason = "the type's name names the part")]
                let ($($part,)*) = self;
                $($part.write_key(out);)*
            }
        }
    };
}

tuples!(A B);
tuples!(A B C);
tuples!(A B C D);

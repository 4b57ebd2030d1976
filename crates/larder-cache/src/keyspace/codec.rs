//! Values to bytes and back.

use std::{borrow::Cow, time::Duration};

use super::Keyspace;
#[cfg(feature = "zstd")]
use crate::compression::{COMPRESSED, decompress};
use crate::{
    CodecError, Error, ErrorKind, Loaded, Result, frame::Seal, protocol::NewValue, token::Token,
};

impl<K, V: 'static> Keyspace<K, V> {
    /// The value as a record of this token would carry it; `None` if it isn't to be stored.
    pub(super) fn encode(&self, loaded: &Loaded<V>, token: Token) -> Result<Option<NewValue>> {
        let value = loaded.value.as_ref();
        let version = self.row_version(value);
        self.encode_value(value, version, loaded.ttl, loaded.cost, token)
    }

    pub(super) fn encode_value(
        &self,
        value: Option<&V>,
        version: Option<u64>,
        ttl: Option<Duration>,
        cost: Duration,
        token: Token,
    ) -> Result<Option<NewValue>> {
        let expiry = &self.core.settings.expiry;
        let negative = value.is_none();
        let Some(soft_ttl) = expiry.soft_ttl(negative, ttl, token) else {
            return Ok(None);
        };
        let mut sealed = Seal::room(version);
        let mut codec = self.codec.id();
        if let Some(value) = value {
            codec = self.write_payload(value, &mut sealed)?;
        }
        let seal = Seal {
            soft_ttl_ms: millis(soft_ttl),
            cost_us: u32::try_from(cost.as_micros()).unwrap_or(u32::MAX),
            codec,
        };
        Ok(Some(NewValue {
            negative,
            versioned: version.is_some(),
            sealed: seal.close(sealed),
            soft_ttl,
            ttl: expiry.record_ttl(soft_ttl),
        }))
    }

    /// The database's version of this row, if the keyspace knows how to tell.
    pub(super) fn row_version(&self, value: Option<&V>) -> Option<u64> {
        Some(self.row_version.as_ref()?(value?))
    }

    /// Appends the encoded value and returns the codec number that says how.
    fn write_payload(&self, value: &V, sealed: &mut Vec<u8>) -> Result<u8> {
        let keep = sealed.len();
        let failed = |error| {
            Error::new(ErrorKind::Encode, "the value can't be encoded")
                .with_source(CodecError::hiding(error))
        };
        let codec = &self.codec;
        codec.encode(value, sealed).map_err(failed)?;
        self.check(sealed.len() - keep)?;
        #[cfg(feature = "zstd")]
        if let Some(compression) = self.core.settings.compression
            && compression.compress(sealed, keep).map_err(failed)?
        {
            return Ok(codec.id() | COMPRESSED);
        }
        Ok(codec.id())
    }

    fn check(&self, len: usize) -> Result<()> {
        let limit = self.core.settings.max_value_len;
        if len <= limit {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Store(larder_store::ErrorKind::ValueTooLarge),
            format!("the encoded value has {len} bytes and the limit is {limit}: it is not cached"),
        ))
    }

    pub(super) fn decode(&self, codec: u8, payload: &[u8]) -> Result<V> {
        let failed = |error| {
            Error::new(ErrorKind::Undecodable, "the record can't be decoded")
                .with_source(CodecError::hiding(error))
        };
        let (codec, payload) = self.decompressed(codec, payload)?;
        let ours = self.codec.id();
        if codec != ours {
            return Err(Error::new(
                ErrorKind::Undecodable,
                format!("the record was written with codec {codec} and this keyspace uses {ours}"),
            ));
        }
        self.codec.decode(&payload).map_err(failed)
    }

    #[cfg(feature = "zstd")]
    fn decompressed<'a>(&self, codec: u8, payload: &'a [u8]) -> Result<(u8, Cow<'a, [u8]>)> {
        if codec & COMPRESSED == 0 {
            return Ok((codec, Cow::Borrowed(payload)));
        }
        let bytes = decompress(payload, self.core.settings.max_value_len).map_err(|error| {
            Error::new(ErrorKind::Undecodable, "the record can't be decompressed")
                .with_source(CodecError::hiding(error))
        })?;
        Ok((codec & !COMPRESSED, Cow::Owned(bytes)))
    }

    /// Without the feature `zstd` a compressed record has a codec number that nobody uses.
    #[cfg(not(feature = "zstd"))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "its twin needs both"
    )]
    fn decompressed<'a>(&self, codec: u8, payload: &'a [u8]) -> Result<(u8, Cow<'a, [u8]>)> {
        Ok((codec, Cow::Borrowed(payload)))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

//! Codecs and compression, end to end over the memory store.

use std::{error::Error as _, io};

use larder_cache::{
    BoxError, Codec, CodecError, ErrorKind, Filled, Json, Keyspace, KeyspaceBuilder, Leased,
    Lookup, MessagePack, Origin, Protobuf,
};
use larder_memory::MemoryStore;
use larder_store::{Namespace, Store};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Row {
    id: u64,
    text: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    text: String,
}

/// Loads under a lease, fills, and looks again.
async fn round_trip<V>(space: &Keyspace<u64, V>, value: V) -> Result<V, larder_cache::Error>
where
    V: Clone + Send + Sync + 'static,
{
    let Lookup::Miss(vacancy) = space.lookup(&1).await else {
        panic!("the key is vacant");
    };
    let Leased::Granted(lease) = space.lease(vacancy).await? else {
        panic!("nobody else asks");
    };
    let load = move |_: u64| {
        let value = value.clone();
        async move { Ok::<_, io::Error>(Some(value)) }
    };
    let loaded = Origin::new(load).load(space, &1).await?;
    assert!(matches!(lease.fill(&loaded).await?, Filled::Stored(_)));
    match space.lookup(&1).await {
        Lookup::Hit(entry) => Ok(entry.value.expect("a value")),
        found => panic!("{found:?}"),
    }
}

fn space<V>(store: &MemoryStore, codec: impl Codec<V>) -> KeyspaceBuilder<u64, V> {
    KeyspaceBuilder::with_codec(store.clone(), "row", codec)
}

async fn record(store: &MemoryStore) -> Vec<u8> {
    let key = Namespace::new("row", 1).and_then(|space| space.key(&1_u64));
    let record = store.get(&key.expect("a key")).await.expect("get");
    record.expect("a record").to_vec()
}

fn row(len: usize) -> Row {
    Row {
        id: 7,
        text: "tea".repeat(len / 3),
    }
}

#[tokio::test]
async fn message_pack_json_and_protobuf_round_trip() {
    let store = MemoryStore::new(10);
    let packed = space::<Row>(&store, MessagePack)
        .build()
        .expect("a keyspace");
    assert_eq!(round_trip(&packed, row(9)).await.expect("a row"), row(9));

    let store = MemoryStore::new(10);
    let json = space::<Row>(&store, Json).build().expect("a keyspace");
    assert_eq!(round_trip(&json, row(9)).await.expect("a row"), row(9));
    assert!(
        record(&store)
            .await
            .ends_with(br#"{"id":7,"text":"teateatea"}"#)
    );

    let store = MemoryStore::new(10);
    let protobuf = space::<Message>(&store, Protobuf)
        .build()
        .expect("a keyspace");
    let message = Message {
        id: 7,
        text: "tea".to_owned(),
    };
    assert_eq!(
        round_trip(&protobuf, message.clone())
            .await
            .expect("a message"),
        message
    );
}

#[tokio::test]
async fn another_codec_is_a_miss() {
    let store = MemoryStore::new(10);
    let json = space::<Row>(&store, Json).build().expect("a keyspace");
    round_trip(&json, row(9)).await.expect("a row");
    let packed = space::<Row>(&store, MessagePack)
        .build()
        .expect("a keyspace");
    let Lookup::Miss(vacancy) = packed.lookup(&1).await else {
        panic!("it can't be decoded");
    };
    assert_eq!(vacancy.error().expect("why").kind(), ErrorKind::Undecodable);
}

#[tokio::test]
async fn large_values_are_compressed_and_small_ones_are_not() {
    for (len, compressed) in [(300, false), (3_000, true)] {
        let store = MemoryStore::new(10);
        let builder = space::<Row>(&store, MessagePack).compress_over(1_000);
        let rows = builder.build().expect("a keyspace");
        assert_eq!(round_trip(&rows, row(len)).await.expect("a row"), row(len));
        assert_eq!(record(&store).await.len() < 200, compressed);
        // Readers need no setting.
        let reader = space::<Row>(&store, MessagePack)
            .build()
            .expect("a keyspace");
        assert!(matches!(reader.lookup(&1).await, Lookup::Hit(_)));
        // A value that would be too large once decompressed is refused, not expanded.
        let careful = space::<Row>(&store, MessagePack).max_value_len(len / 2);
        let found = careful.build().expect("a keyspace").lookup(&1).await;
        assert_eq!(matches!(found, Lookup::Miss(_)), compressed, "{found:?}");
    }
}

#[tokio::test]
async fn what_does_not_shrink_stays_as_it_is() {
    let store = MemoryStore::new(10);
    let builder = space::<Vec<u8>>(&store, Json).compress_over(1);
    let rows = builder.build().expect("a keyspace");
    assert_eq!(round_trip(&rows, vec![1]).await.expect("bytes"), [1]);
    assert!(record(&store).await.ends_with(b"[1]"));
}

struct Refusing;

impl Codec<Row> for Refusing {
    fn id(&self) -> u8 {
        64
    }

    fn encode(&self, value: &Row, _: &mut Vec<u8>) -> Result<(), BoxError> {
        Err(format!("no {}", value.text).into())
    }

    fn decode(&self, _: &[u8]) -> Result<Row, BoxError> {
        Err("never".into())
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_encoded_says_so_and_shows_nothing_of_itself() {
    let store = MemoryStore::new(10);
    let rows = space::<Row>(&store, Refusing).build().expect("a keyspace");
    let error = round_trip(&rows, row(9)).await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Encode);
    assert!(!format!("{error} {error:?}").contains("tea"));
    let source = error
        .source()
        .and_then(|source| source.downcast_ref::<CodecError>());
    assert_eq!(
        source.expect("the codec's").get_ref().to_string(),
        "no teateatea"
    );
}

#[tokio::test]
async fn for_ever_is_a_time_to_live() {
    let store = MemoryStore::new(10);
    for jitter in [0.0, 1.0] {
        let builder = space::<Row>(&store, MessagePack).version((jitter * 2.0) as u32);
        let rows = builder
            .ttl(std::time::Duration::MAX)
            .grace(std::time::Duration::MAX)
            .jitter(jitter)
            .build()
            .expect("a keyspace");
        assert_eq!(round_trip(&rows, row(9)).await.expect("a row"), row(9));
    }
}

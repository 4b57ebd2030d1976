//! The behaviours of a [`Store`]. Each takes a fresh, empty store.
//!
//! # Panics
//! Each panics if the store doesn't behave.
#![expect(clippy::missing_panics_doc, reason = "said once, above")]
#![expect(clippy::unwrap_used, reason = "a failing store fails the test here")]

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use larder_store::{Event, Key, Namespace, Reply, Store};
use tokio::time::{sleep, timeout};

use super::probe::{announcing, probe};

const TTL: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(30);
/// Long enough for what lives `SHORT` to be gone, coarse clocks included.
const AFTERWARDS: Duration = Duration::from_millis(60);

fn key(name: &str) -> Key {
    Namespace::new("conformance", 1).unwrap().key(name).unwrap()
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// A key nobody wrote has no record.
pub async fn missing_is_none(store: &dyn Store) {
    assert_eq!(store.get(&key("a")).await.unwrap(), None);
}

/// What was set is there.
pub async fn set_then_get(store: &dyn Store) {
    store.set(&key("a"), bytes("1"), Some(TTL)).await.unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap(), Some(bytes("1")));
    assert_eq!(store.get(&key("b")).await.unwrap(), None);
}

/// The last set wins.
pub async fn set_overwrites(store: &dyn Store) {
    store.set(&key("a"), bytes("1"), Some(SHORT)).await.unwrap();
    store.set(&key("a"), bytes("2"), Some(TTL)).await.unwrap();
    sleep(AFTERWARDS).await;
    assert_eq!(store.get(&key("a")).await.unwrap(), Some(bytes("2")));
}

/// An empty value is a value.
pub async fn empty_value(store: &dyn Store) {
    store.set(&key("a"), Bytes::new(), Some(TTL)).await.unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap(), Some(Bytes::new()));
}

/// Values may hold any bytes.
pub async fn any_bytes(store: &dyn Store) {
    let value: Bytes = (0..=255).collect();
    store.set(&key("a"), value.clone(), None).await.unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap(), Some(value));
}

/// A megabyte is no problem.
pub async fn large_value(store: &dyn Store) {
    let value = Bytes::from(vec![7; 1 << 20]);
    store
        .set(&key("a"), value.clone(), Some(TTL))
        .await
        .unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap(), Some(value));
}

/// The longest key is no problem.
pub async fn longest_key(store: &dyn Store) {
    let longest = Key::from_raw(&[b'x'; Key::MAX_LEN]).unwrap();
    store.set(&longest, bytes("1"), Some(TTL)).await.unwrap();
    assert_eq!(store.get(&longest).await.unwrap(), Some(bytes("1")));
}

/// A record is gone after its time to live.
pub async fn expires(store: &dyn Store) {
    store.set(&key("a"), bytes("1"), Some(SHORT)).await.unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap(), Some(bytes("1")));
    sleep(AFTERWARDS).await;
    assert_eq!(store.get(&key("a")).await.unwrap(), None);
    assert_eq!(store.get_many(&[key("a")]).await.unwrap(), [None]);
    assert_eq!(store.delete(&[key("a")]).await.unwrap(), 0);
}

/// A record without a time to live stays.
pub async fn no_ttl_stays(store: &dyn Store) {
    store.set(&key("a"), bytes("1"), None).await.unwrap();
    sleep(AFTERWARDS).await;
    assert_eq!(store.get(&key("a")).await.unwrap(), Some(bytes("1")));
}

/// Half a millisecond is one, not an error and not for ever.
pub async fn sub_millisecond_ttl_is_rounded_up(store: &dyn Store) {
    let ttl = Duration::from_micros(500);
    store.set(&key("a"), bytes("1"), Some(ttl)).await.unwrap();
    store
        .set(&key("b"), bytes("1"), Some(Duration::ZERO))
        .await
        .unwrap();
    sleep(AFTERWARDS).await;
    assert_eq!(store.get(&key("a")).await.unwrap(), None);
    assert_eq!(store.get(&key("b")).await.unwrap(), None);
}

/// Many records come in the order of their keys, repeated ones repeated.
pub async fn get_many_in_order(store: &dyn Store) {
    store.set(&key("a"), bytes("1"), Some(TTL)).await.unwrap();
    store.set(&key("c"), bytes("3"), Some(TTL)).await.unwrap();
    let keys = [key("c"), key("b"), key("a"), key("c")];
    let found = store.get_many(&keys).await.unwrap();
    let wanted = [Some(bytes("3")), None, Some(bytes("1")), Some(bytes("3"))];
    assert_eq!(found, wanted);
}

/// No keys, no records, no error.
pub async fn get_many_of_nothing(store: &dyn Store) {
    assert_eq!(store.get_many(&[]).await.unwrap(), []);
}

/// Many records are set at once; setting none is no error.
pub async fn set_many_sets_all(store: &dyn Store) {
    let entries = [(key("a"), bytes("1")), (key("b"), bytes("2"))];
    store.set_many(&entries, Some(SHORT)).await.unwrap();
    store.set_many(&[], Some(SHORT)).await.unwrap();
    let keys = [key("a"), key("b")];
    let found = store.get_many(&keys).await.unwrap();
    assert_eq!(found, [Some(bytes("1")), Some(bytes("2"))]);
    sleep(AFTERWARDS).await;
    assert_eq!(store.get_many(&keys).await.unwrap(), [None, None]);
}

/// Deleting says how many records there were.
pub async fn delete_counts(store: &dyn Store) {
    store.set(&key("a"), bytes("1"), Some(TTL)).await.unwrap();
    store.set(&key("b"), bytes("1"), Some(TTL)).await.unwrap();
    let keys = [key("a"), key("b"), key("c")];
    assert_eq!(store.delete(&keys).await.unwrap(), 2);
    assert_eq!(store.get_many(&keys).await.unwrap(), [None, None, None]);
}

/// Deleting what isn't there succeeds.
pub async fn delete_missing_succeeds(store: &dyn Store) {
    assert_eq!(store.delete(&[key("a")]).await.unwrap(), 0);
    assert_eq!(store.delete(&[]).await.unwrap(), 0);
}

/// A scan finds the keys that start with the prefix, and no others, whatever characters it has.
pub async fn scan_finds_what_starts_so(store: &dyn Store) {
    let raw = |bytes: &[u8]| Key::from_raw(bytes).unwrap();
    let keys = [
        raw(b"a*:1"),
        raw(b"a*:2"),
        raw(b"ab:1"),
        raw(b"b[a]-\\?"),
        raw(b"a*"),
    ];
    for key in &keys {
        store.set(key, bytes("1"), Some(TTL)).await.unwrap();
    }
    assert_eq!(scanned(store, b"a*:").await, keys[..2]);
    assert_eq!(scanned(store, b"b[a]-\\?").await, keys[3..4]);
    assert_eq!(scanned(store, b"c").await, []);
    store.delete(&keys[..1]).await.unwrap();
    assert_eq!(scanned(store, b"a*:").await, keys[1..2]);
}

/// A scan of many keys finds all of them.
pub async fn scan_finds_all_pages(store: &dyn Store) {
    let mut entries: Vec<_> = (0..2_000)
        .map(|number| (key(&format!("{number:04}")), bytes("1")))
        .collect();
    store.set_many(&entries, Some(TTL)).await.unwrap();
    let found = scanned(store, b"larder:conformance:1:").await;
    entries.sort();
    assert!(
        found.iter().eq(entries.iter().map(|(key, _)| key)),
        "{} keys",
        found.len()
    );
}

/// All keys of a scan, sorted, each once.
async fn scanned(store: &dyn Store, prefix: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.scan(prefix, cursor).await.unwrap();
        keys.extend(page.keys);
        cursor = page.next;
        if cursor.is_none() {
            keys.sort();
            keys.dedup();
            return keys;
        }
    }
}

/// An update is given the record, and what it replies arrives.
pub async fn update_sees_the_record(store: &dyn Store) {
    store.set(&key("a"), bytes("1"), Some(TTL)).await.unwrap();
    let reply = store
        .update(&key("a"), &probe("keep", b"", 0))
        .await
        .unwrap();
    assert_eq!(before(reply), Reply::Bytes(bytes("1")));
    let reply = store
        .update(&key("b"), &probe("keep", b"", 0))
        .await
        .unwrap();
    assert_eq!(before(reply), Reply::Nil);
}

/// An update writes bytes with a time to live.
pub async fn update_sets_with_ttl(store: &dyn Store) {
    for what in ["set", "set-or-delete"] {
        store
            .update(&key("a"), &probe(what, b"1", 30))
            .await
            .unwrap();
        assert_eq!(store.get(&key("a")).await.unwrap(), Some(bytes("1")));
        sleep(AFTERWARDS).await;
        assert_eq!(store.get(&key("a")).await.unwrap(), None);
    }
}

/// An update can leave the time to live as it is.
pub async fn update_keeps_ttl(store: &dyn Store) {
    store.set(&key("a"), bytes("1"), Some(SHORT)).await.unwrap();
    store
        .update(&key("a"), &probe("set", b"2", 0))
        .await
        .unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap(), Some(bytes("2")));
    sleep(AFTERWARDS).await;
    assert_eq!(store.get(&key("a")).await.unwrap(), None);
}

/// Keeping the time to live of no record, or of one without, gives none.
pub async fn update_keeps_absence_of_ttl(store: &dyn Store) {
    store.set(&key("b"), bytes("1"), None).await.unwrap();
    for name in ["a", "b"] {
        store
            .update(&key(name), &probe("set", b"2", 0))
            .await
            .unwrap();
    }
    sleep(AFTERWARDS).await;
    for name in ["a", "b"] {
        assert_eq!(store.get(&key(name)).await.unwrap(), Some(bytes("2")));
    }
}

/// An update deletes.
pub async fn update_deletes(store: &dyn Store) {
    store.set(&key("a"), bytes("1"), Some(TTL)).await.unwrap();
    for _ in 0..2 {
        store
            .update(&key("a"), &probe("delete", b"", 0))
            .await
            .unwrap();
        assert_eq!(store.get(&key("a")).await.unwrap(), None);
    }
}

/// An update can change nothing.
pub async fn update_keeps(store: &dyn Store) {
    store.set(&key("a"), bytes("1"), Some(SHORT)).await.unwrap();
    store
        .update(&key("a"), &probe("keep", b"2", 60_000))
        .await
        .unwrap();
    assert_eq!(store.get(&key("a")).await.unwrap(), Some(bytes("1")));
    sleep(AFTERWARDS).await;
    assert_eq!(store.get(&key("a")).await.unwrap(), None);
}

/// To an update an expired record is absent.
pub async fn update_sees_no_expired_record(store: &dyn Store) {
    store.set(&key("a"), bytes("1"), Some(SHORT)).await.unwrap();
    sleep(AFTERWARDS).await;
    let reply = store
        .update(&key("a"), &probe("set", b"2", 0))
        .await
        .unwrap();
    assert_eq!(before(reply), Reply::Nil);
    sleep(AFTERWARDS).await;
    assert_eq!(store.get(&key("a")).await.unwrap(), Some(bytes("2")));
}

/// Replies are lists, bytes, numbers and nil.
pub async fn update_replies_any_shape(store: &dyn Store) {
    let reply = store
        .update(&key("a"), &probe("nil", b"", 0))
        .await
        .unwrap();
    assert_eq!(reply, Reply::Nil);
    store
        .set(&key("a"), Bytes::from_static(b"\0\xff"), Some(TTL))
        .await
        .unwrap();
    let reply = store
        .update(&key("a"), &probe("keep", b"", 0))
        .await
        .unwrap();
    let wanted = vec![
        Reply::Bytes(Bytes::from_static(b"\0\xff")),
        Reply::Bytes(bytes("keep")),
        Reply::Int(42),
    ];
    assert_eq!(reply, Reply::List(wanted));
}

/// Several updates run in order, and their replies come in order.
pub async fn update_many_in_order(store: &dyn Store) {
    let updates = [
        (key("a"), probe("append", b"1", 60_000)),
        (key("b"), probe("append", b"x", 60_000)),
        (key("a"), probe("append", b"2", 0)),
        (key("a"), probe("keep", b"", 0)),
    ];
    let replies = store.update_many(&updates).await.unwrap();
    let records: Vec<_> = replies
        .into_iter()
        .map(|reply| before(reply.unwrap()))
        .collect();
    let wanted = [
        Reply::Nil,
        Reply::Nil,
        Reply::Bytes(bytes("1")),
        Reply::Bytes(bytes("12")),
    ];
    assert_eq!(records, wanted);
    assert_eq!(store.get(&key("b")).await.unwrap(), Some(bytes("x")));
}

/// No updates, no replies, no error.
pub async fn update_many_of_nothing(store: &dyn Store) {
    assert!(store.update_many(&[]).await.unwrap().is_empty());
}

/// No update is lost, however many run at once.
pub async fn updates_are_atomic(store: &dyn Store) {
    let (key, append) = (key("a"), probe("append", b"x", 60_000));
    let updates = (0..200).map(|_| store.update(&key, &append));
    for reply in join_all(updates).await {
        reply.unwrap();
    }
    let record = store.get(&key).await.unwrap();
    assert_eq!(record, Some(Bytes::from(vec![b'x'; 200])));
}

/// What an update announces is heard by those who subscribed before.
pub async fn announces_to_subscribers(store: &dyn Store) {
    let mut first = store.subscribe(&key("a")).await.unwrap();
    let mut second = store.subscribe(&key("a")).await.unwrap();
    let update = announcing("set", b"1", 60_000, b"hello");
    store.update(&key("a"), &update).await.unwrap();
    for subscription in [&mut first, &mut second] {
        let event = timeout(TTL, subscription.next()).await.unwrap();
        assert_eq!(event, Some(Event::Message(bytes("hello"))));
    }
}

/// Other keys' announcements are not heard.
pub async fn subscription_hears_its_key_only(store: &dyn Store) {
    let mut subscription = store.subscribe(&key("a")).await.unwrap();
    for (name, message) in [("b", &b"other"[..]), ("a", b"mine")] {
        let update = announcing("keep", b"", 0, message);
        store.update(&key(name), &update).await.unwrap();
    }
    let event = timeout(TTL, subscription.next()).await.unwrap();
    assert_eq!(event, Some(Event::Message(bytes("mine"))));
}

/// A dropped subscription neither disturbs others of its key nor a later one.
pub async fn dropped_subscription_is_silent(store: &dyn Store) {
    drop(store.subscribe(&key("a")).await.unwrap());
    let mut kept = store.subscribe(&key("a")).await.unwrap();
    drop(store.subscribe(&key("a")).await.unwrap());
    let update = announcing("keep", b"", 0, b"hello");
    store.update(&key("a"), &update).await.unwrap();
    let event = timeout(TTL, kept.next()).await.unwrap();
    assert_eq!(event, Some(Event::Message(bytes("hello"))));
}

/// The store's time is known after an update, and goes on.
pub async fn time_goes_on(store: &dyn Store) {
    store
        .update(&key("a"), &probe("keep", b"", 0))
        .await
        .unwrap();
    let before = store.now().unwrap();
    sleep(AFTERWARDS).await;
    let passed = store.now().unwrap().since(before);
    assert!(passed >= AFTERWARDS / 2, "{passed:?} passed");
    assert!(passed < TTL, "{passed:?} passed");
}

/// A store that is up answers.
pub async fn ping_answers(store: &dyn Store) {
    store.ping().await.unwrap();
}

/// No key and no value shows in `Debug`.
pub async fn debug_shows_no_data(store: &dyn Store) {
    store
        .set(&key("secret"), bytes("hidden"), Some(TTL))
        .await
        .unwrap();
    let shown = format!("{store:?} {:?}", store.get(&key("x")).await);
    assert!(
        !shown.contains("secret") && !shown.contains("hidden"),
        "{shown}"
    );
}

fn before(reply: Reply) -> Reply {
    reply.into_list().unwrap().remove(0)
}

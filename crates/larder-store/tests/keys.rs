//! Keys can neither collide nor steer a cluster slot.

use larder_store::{CacheKey, ErrorKind, Key, Namespace, Tagged};
use proptest::prelude::*;

type Rich = (Option<String>, Vec<u8>, String, i64);

fn space() -> Namespace {
    Namespace::new("keys", 1).expect("a namespace")
}

fn key(key: &impl CacheKey) -> Key {
    space().key(key).expect("a key")
}

/// Keys that look alike once they are joined.
fn tricky() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a:%{}\\-+ \n\u{0}]{0,4}",
        ".{0,8}",
        Just(String::new()),
        Just("%3A".to_owned()),
    ]
}

fn rich() -> impl Strategy<Value = Rich> {
    let bytes = prop::collection::vec(any::<u8>(), 0..4);
    (prop::option::of(tricky()), bytes, tricky(), -2..3_i64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn different_keys_are_written_differently(a in rich(), b in rich()) {
        prop_assert_eq!(a == b, key(&a) == key(&b));
    }

    #[test]
    fn optional_pairs_keep_apart(a in prop::option::of((tricky(), tricky())), b in prop::option::of((tricky(), tricky())), c in tricky(), d in tricky()) {
        prop_assert_eq!((&a, &c) == (&b, &d), key(&(&a, &c)) == key(&(&b, &d)));
    }

    #[test]
    fn nested_options_keep_apart(a in any::<Option<Option<u8>>>(), b in any::<Option<Option<u8>>>()) {
        prop_assert_eq!(a == b, key(&a) == key(&b));
    }

    #[test]
    fn no_input_makes_a_hash_tag_or_a_line(part in tricky(), bytes in prop::collection::vec(any::<u8>(), 0..8)) {
        let key = key(&(part, bytes));
        let special = |byte: &u8| b"{}\r\n\0 ".contains(byte);
        prop_assert!(!key.as_bytes().iter().any(special), "{:?}", key.as_bytes());
    }

    #[test]
    fn a_tag_decides_the_slot_alone(tag in 0..u64::MAX, part in tricky()) {
        let key = key(&(Tagged(tag), part));
        let text = String::from_utf8_lossy(key.as_bytes()).into_owned();
        let (_, rest) = text.split_once('{').expect("a tag");
        let (slot, _) = rest.split_once('}').expect("its end");
        prop_assert_eq!(slot, tag.to_string());
    }
}

#[test]
fn keys_read_as_expected() {
    let cases: [(Key, &str); 8] = [
        (key(&42_u64), "larder:keys:1:42"),
        (key(&-1_i8), "larder:keys:1:-1"),
        (key(&true), "larder:keys:1:1"),
        (key(&"grüße"), "larder:keys:1:grüße"),
        (key(&vec![0xff_u8, b'a']), "larder:keys:1:%FFa"),
        (key(&("a", 1)), "larder:keys:1:a:1"),
        (key(&None::<u8>), "larder:keys:1:%-"),
        (key(&Some(7_u8)), "larder:keys:1:%+:7"),
    ];
    for (key, wanted) in cases {
        assert_eq!(key.as_bytes(), wanted.as_bytes());
    }
}

#[test]
fn a_long_key_is_refused_with_its_length() {
    let longest = "x".repeat(Key::MAX_LEN - space().prefix().len());
    assert_eq!(key(&longest).len(), Key::MAX_LEN);
    let error = space().key(&format!("{longest}x")).expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::KeyTooLong);
    assert!(error.to_string().contains("1025"), "{error}");
}

#[test]
fn a_bad_name_is_refused() {
    for name in ["", "a b", "a:b", "a{b}", "ä", &"x".repeat(65)] {
        let error = Namespace::new(name, 1).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Config);
    }
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", key(&"secret")), "Key(20 bytes)");
}

#[test]
fn kinds_never_meet_versions() {
    let kind = Namespace::of_kind("keys", "rate").expect("a namespace");
    assert_eq!(kind.prefix(), b"larder:keys:rate:");
    for bad in ["", "1", "rate1", "a:b", "a b", "\u{e9}", &"x".repeat(65)] {
        let error = Namespace::of_kind("keys", bad).expect_err("a bad kind");
        assert_eq!(error.kind(), ErrorKind::Config, "{bad:?}");
    }
    let error = Namespace::of_kind("a:b", "rate").expect_err("a bad name");
    assert_eq!(error.kind(), ErrorKind::Config);
}

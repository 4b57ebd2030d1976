//! Keys: who is counted for what.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderValue, Request};
use larder_tower::{ErrorKind, HeaderKey, KeyExtractor, Parts, PeerIp, XForwardedFor};
use proptest::prelude::*;

fn request(name: &'static str, lines: &[&[u8]]) -> Parts {
    let mut parts = Request::new(()).into_parts().0;
    for line in lines {
        let value = HeaderValue::from_bytes(line).expect("a value");
        parts.headers.append(name, value);
    }
    parts
}

fn forwarded(hops: usize, lines: &[&str]) -> Option<String> {
    let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
    let extractor = XForwardedFor::trusted_hops(hops).expect("hops");
    extractor.key(&request("x-forwarded-for", &lines))
}

#[test]
fn the_client_is_counted_from_the_right() {
    for (hops, lines, key) in [
        (1, &["192.0.2.1"][..], Some("192.0.2.1")),
        (1, &["10.6.6.6, 192.0.2.1"], Some("192.0.2.1")),
        (2, &["10.6.6.6, 192.0.2.1, 198.51.100.7"], Some("192.0.2.1")),
        (3, &["10.6.6.6, 192.0.2.1, 198.51.100.7"], Some("10.6.6.6")),
        // Lines are one list.
        (1, &["10.6.6.6", "192.0.2.1"], Some("192.0.2.1")),
        (
            2,
            &["10.6.6.6, 192.0.2.1", "198.51.100.7"],
            Some("192.0.2.1"),
        ),
        (
            3,
            &["192.0.2.1", "198.51.100.6, 198.51.100.7"],
            Some("192.0.2.1"),
        ),
        // White space, or none.
        (
            2,
            &[" \t10.6.6.6 ,\t192.0.2.1 \t,198.51.100.7"],
            Some("192.0.2.1"),
        ),
        // Ports, brackets.
        (1, &["192.0.2.1:4711"], Some("192.0.2.1")),
        (1, &["2001:db8:1:2:3:4:5:6"], Some("2001:db8:1:2::/64")),
        (1, &["[2001:db8:1:2::3]"], Some("2001:db8:1:2::/64")),
        (1, &["[2001:db8:1:2::3]:4711"], Some("2001:db8:1:2::/64")),
        (1, &["2001:DB8:1:2::FFFF"], Some("2001:db8:1:2::/64")),
        (1, &["::ffff:192.0.2.1"], Some("192.0.2.1")),
        (1, &["[::ffff:192.0.2.1]:80"], Some("192.0.2.1")),
        // Too short.
        (1, &[], None),
        (2, &["192.0.2.1"], None),
        (3, &["192.0.2.1", "192.0.2.2"], None),
        (usize::MAX, &["192.0.2.1"], None),
    ] {
        assert_eq!(forwarded(hops, lines).as_deref(), key, "{hops} {lines:?}");
    }
}

#[test]
fn what_is_not_an_address_is_no_key() {
    for place in [
        "",
        " ",
        "unknown",
        "_hidden",
        "localhost",
        "unix:",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.01",
        "0x7f.1",
        "192.0.2.1:",
        "192.0.2.1:http",
        "192.0.2.1:99999",
        "[192.0.2.1]",
        "[192.0.2.1]:80",
        "[2001:db8::1",
        "2001:db8::1]",
        "[[2001:db8::1]]",
        "[]",
        "[]:80",
        "fe80::1%eth0",
        "\"192.0.2.1\"",
        "for=192.0.2.1",
        "192.0.2.1;x",
        "192.0.2.1 10.6.6.6",
        "http://192.0.2.1",
        "192.0.2.1/24",
        ":::",
        "1:2:3:4:5:6:7:8:9",
    ] {
        assert_eq!(forwarded(1, &[place]), None, "{place:?}");
        assert_eq!(forwarded(1, &["192.0.2.1", place]), None, "{place:?}");
        assert_eq!(forwarded(2, &[place, "198.51.100.7"]), None, "{place:?}");
    }
}

/// Whatever a client writes stands left of what the proxies add.
#[test]
fn a_client_cannot_choose_its_key() {
    for claim in [
        "10.6.6.6",
        "",
        ",",
        ", ,",
        "10.6.6.6,,",
        "a,b,c,d",
        "10.6.6.6:80",
        "\"x, y\"",
        "[::1]:1, [::2]:2",
    ] {
        let one = format!("{claim}, 192.0.2.1");
        let two = format!("{claim}, 192.0.2.1, 198.51.100.7");
        assert_eq!(
            forwarded(1, &[&one]).as_deref(),
            Some("192.0.2.1"),
            "{claim:?}"
        );
        assert_eq!(
            forwarded(1, &[claim, "192.0.2.1"]).as_deref(),
            Some("192.0.2.1"),
            "{claim:?}"
        );
        assert_eq!(
            forwarded(2, &[&two]).as_deref(),
            Some("192.0.2.1"),
            "{claim:?}"
        );
    }
    // An empty place is not skipped, or the client's own would take its part.
    for list in ["10.6.6.6, , 198.51.100.7", "10.6.6.6,,198.51.100.7"] {
        assert_eq!(forwarded(2, &[list]), None);
    }
    assert_eq!(forwarded(2, &["10.6.6.6", "", "198.51.100.7"]), None);
    // Bytes that are no text are nobody's concern left of the place, and no address in it.
    let extractor = XForwardedFor::trusted_hops(1).expect("a hop");
    let left = request("x-forwarded-for", &[b"\xff\xfe", b"\x80, 192.0.2.1"]);
    assert_eq!(extractor.key(&left).as_deref(), Some("192.0.2.1"));
    let right = request("x-forwarded-for", &[b"192.0.2.1, \xff"]);
    assert_eq!(extractor.key(&right), None);
}

#[test]
fn no_trusted_hop_is_refused() {
    let error = XForwardedFor::trusted_hops(0).expect_err("no hop");
    assert_eq!(error.kind(), ErrorKind::TrustedHops);
    assert!(!error.is_transient());
}

proptest! {
    #[test]
    fn nothing_a_client_writes_panics_or_reaches_the_key(
        lines in prop::collection::vec(prop::collection::vec(b' '..=b'\xff', 0..40), 0..4),
        hops in 1_usize..6,
    ) {
        let printable = |byte: &u8| *byte != 0x7f;
        let lines: Vec<Vec<u8>> = lines.into_iter().map(|line| line.into_iter().filter(printable).collect()).collect();
        let mut lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let extractor = XForwardedFor::trusted_hops(hops).expect("hops");
        let _key = extractor.key(&request("x-forwarded-for", &lines));
        // Now as the proxies pass it on.
        lines.push(b"192.0.2.1");
        lines.extend(vec![&b"198.51.100.7"[..]; hops - 1]);
        let key = extractor.key(&request("x-forwarded-for", &lines));
        prop_assert_eq!(key.as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn every_address_is_read_however_it_is_written(address: IpAddr, port: u16) {
        let plain = forwarded(1, &[&address.to_string()]);
        prop_assert!(plain.is_some());
        let with_port = SocketAddr::new(address, port).to_string();
        prop_assert_eq!(&forwarded(1, &[&with_port]), &plain);
        let peer = PeerIp::from_extension(|address: &IpAddr| *address);
        let mut request = request("x", &[]);
        request.extensions.insert(address);
        prop_assert_eq!(peer.key(&request), plain);
    }
}

#[test]
fn peers_are_counted_by_their_address() {
    let peer = PeerIp::from_extension(|peer: &SocketAddr| peer.ip());
    let key = |extractor: &PeerIp, peer: &str| {
        let mut parts = request("x", &[]);
        let peer: SocketAddr = peer.parse().expect("an address");
        parts.extensions.insert(peer);
        extractor.key(&parts).expect("a key")
    };
    assert_eq!(key(&peer, "192.0.2.1:80"), "192.0.2.1");
    assert_eq!(key(&peer, "[::ffff:192.0.2.1]:80"), "192.0.2.1");
    assert_eq!(key(&peer, "[2001:db8:1:2:3::4]:80"), "2001:db8:1:2::/64");
    for (bits, of) in [
        (128, "2001:db8:1:2:3::4"),
        (200, "2001:db8:1:2:3::4"),
        (127, "2001:db8:1:2:3::4/127"),
        (56, "2001:db8:1::/56"),
        (48, "2001:db8:1::/48"),
        (1, "::/1"),
        (0, "::/0"),
    ] {
        let peer = peer.clone().ipv6_prefix(bits);
        assert_eq!(key(&peer, "[2001:db8:1:2:3::4]:80"), of);
        assert_eq!(key(&peer, "192.0.2.1:80"), "192.0.2.1");
    }
    assert_eq!(peer.key(&request("x", &[])), None);
}

#[test]
fn a_header_is_a_key_if_it_is_there_once() {
    let tenant = HeaderKey::new("X-Tenant").expect("a name");
    let key = |lines: &[&[u8]]| tenant.key(&request("x-tenant", lines));
    assert_eq!(key(&[b"acme"]).as_deref(), Some("x-tenant:acme"));
    assert_eq!(
        key(&[b" acme corp "]).as_deref(),
        Some("x-tenant:acme corp")
    );
    let none: [&[&[u8]]; 7] = [
        &[],
        &[b""],
        &[b" \t "],
        &[b"acme", b"acme"],
        &[b"acme", b""],
        &[b"\xe9"],
        &[b"a\xff"],
    ];
    for lines in none {
        assert_eq!(key(lines), None, "{lines:?}");
    }
    let error = HeaderKey::new("no name").expect_err("a space");
    assert_eq!(error.kind(), ErrorKind::HeaderName);
}

#[test]
fn a_second_extractor_is_asked_if_the_first_finds_nothing() {
    let either = HeaderKey::new("x-tenant")
        .expect("a name")
        .or(|_: &Parts| Some("nobody".to_owned()));
    assert_eq!(
        either.key(&request("x-tenant", &[b"acme"])).as_deref(),
        Some("x-tenant:acme")
    );
    assert_eq!(
        either.key(&request("x-tenant", &[])).as_deref(),
        Some("nobody")
    );
    let empty = (|_: &Parts| Some(String::new())).or(|_: &Parts| Some("nobody".to_owned()));
    assert_eq!(empty.key(&request("x", &[])).as_deref(), Some("nobody"));
}

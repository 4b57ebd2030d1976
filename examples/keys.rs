//! How keys are written.
//!
//! `cargo run -p larder-examples --example keys`

use larder_store::{CacheKey, Key, KeyWriter, Namespace, Tagged};

// ANCHOR: own
/// A key type of one's own writes its parts in order.
struct PageOf {
    shop: u32,
    slug: String,
}

impl CacheKey for PageOf {
    fn write_key(&self, out: &mut KeyWriter<'_>) {
        self.shop.write_key(out);
        self.slug.write_key(out);
    }
}
// ANCHOR_END: own

fn main() -> anyhow::Result<()> {
    let space = Namespace::new("page", 3)?;
    let show = |key: Key, expected: &str| {
        println!("{}", String::from_utf8_lossy(key.as_bytes()));
        assert_eq!(key.as_bytes(), expected.as_bytes());
    };
    // ANCHOR: keys
    show(space.key(&42_u64)?, "larder:page:3:42");
    show(space.key(&-1_i32)?, "larder:page:3:-1");
    show(space.key(&true)?, "larder:page:3:1");
    show(space.key("tea pots")?, "larder:page:3:tea%20pots");
    show(space.key("thé")?, "larder:page:3:thé");
    show(space.key("a:b{c}%")?, "larder:page:3:a%3Ab%7Bc%7D%25");
    show(space.key("")?, "larder:page:3:");
    show(space.key(&[0x00, 0x61, 0xff])?, "larder:page:3:%00a%FF");
    show(space.key(&("de", 7_u8))?, "larder:page:3:de:7");
    show(space.key(&Some("x"))?, "larder:page:3:%+:x");
    show(space.key(&None::<u8>)?, "larder:page:3:%-");
    show(
        space.key(&(Tagged(42_u64), "items"))?,
        "larder:page:3:{42}:items",
    );
    // ANCHOR_END: keys
    let page = PageOf {
        shop: 7,
        slug: "tea pots".to_owned(),
    };
    show(space.key(&page)?, "larder:page:3:7:tea%20pots");

    let long = "x".repeat(Key::MAX_LEN);
    println!(
        "{}",
        space
            .key(&long)
            .expect_err("over the limit with its prefix")
    );
    Ok(())
}

//! What is cached.

use serde::{Deserialize, Serialize};

/// A small record: a user, some 64 bytes encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The row's key.
    pub id: u64,
    /// How to greet.
    pub name: String,
    /// Where to write to.
    pub email: String,
}

/// A large record: an order with its lines, some 4 KiB encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The row's key.
    pub id: u64,
    /// Who ordered.
    pub customer: User,
    /// What was ordered.
    pub lines: Vec<Line>,
}

/// A line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The article.
    pub sku: String,
    /// Its name.
    pub title: String,
    /// How many.
    pub quantity: u32,
    /// The price of one, in cents.
    pub cents: u64,
}

/// A record that can be made up from its key.
pub trait Sample: Serialize + for<'de> Deserialize<'de> + Clone + Send + Sync + 'static {
    /// The record of this key.
    fn sample(id: u64) -> Self;

    /// How the tables call it, by its encoded size.
    const SIZE: &'static str;
}

impl Sample for User {
    fn sample(id: u64) -> Self {
        Self {
            id,
            name: format!("Customer No. {id:05}"),
            email: format!("c{id:05}@example.com"),
        }
    }

    const SIZE: &'static str = "64 B";
}

impl Sample for Order {
    fn sample(id: u64) -> Self {
        let line = |line: u64| Line {
            sku: format!("SKU-{id:06}-{line:03}"),
            title: format!("An article with a title of usual length, number {line:03}"),
            quantity: 1 + (line % 5) as u32,
            cents: 995 + 100 * line,
        };
        Self {
            id,
            customer: User::sample(id),
            lines: (0..36).map(line).collect(),
        }
    }

    const SIZE: &'static str = "4 KiB";
}

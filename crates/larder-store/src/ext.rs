//! Typed updates.

use async_trait::async_trait;

use crate::{Key, Reply, Result, Store, Update};

/// An update whose reply has a type.
pub trait Step: Send + Sync {
    /// What it replies.
    type Reply: Send;

    /// The update to run.
    fn update(&self) -> Update;

    /// Reads the reply.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol) if it has another shape.
    fn reply(&self, reply: Reply) -> Result<Self::Reply>;
}

/// Conveniences on every [`Store`].
#[async_trait]
pub trait StoreExt: Store {
    /// Runs a typed update. One round trip.
    ///
    /// # Errors
    /// Those of [`Store::update`], and [`ErrorKind::Protocol`](crate::ErrorKind::Protocol).
    async fn apply<S: Step>(&self, key: &Key, step: &S) -> Result<S::Reply> {
        let reply = self.update(key, &step.update()).await?;
        step.reply(reply)
    }

    /// Runs several typed updates in one round trip; see [`Store::update_many`].
    ///
    /// # Errors
    /// Those of [`Store::update_many`].
    async fn apply_many<S: Step>(&self, steps: &[(Key, S)]) -> Result<Vec<Result<S::Reply>>> {
        let updates: Vec<_> = steps
            .iter()
            .map(|(key, step)| (key.clone(), step.update()))
            .collect();
        let replies = self.update_many(&updates).await?;
        Ok(replies
            .into_iter()
            .zip(steps)
            .map(|(reply, (_, step))| step.reply(reply?))
            .collect())
    }
}

impl<S: Store + ?Sized> StoreExt for S {}

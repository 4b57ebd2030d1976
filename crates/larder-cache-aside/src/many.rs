//! Batches.

use futures_util::future::join_all;
use larder_cache::{
    CacheKey, Claim, Entry, Error, Filled, Keyspace, Lease, Leased, Loaded, Lookup, Result, Vacancy,
};

use crate::CacheAside;

/// The answers to a batch, as far as they are known.
pub(crate) struct Answers<V> {
    pub(crate) values: Vec<Option<V>>,
    /// How many of them were loaded and stored.
    pub(crate) stored: u64,
    /// How many were loaded and could not be stored, and the last reason.
    pub(crate) unstored: u64,
    pub(crate) store_error: Option<Error>,
}

impl<V> Answers<V> {
    fn count(&mut self, filled: Vec<Result<Filled>>) {
        for filled in filled {
            match filled {
                Ok(Filled::Stored(_)) => self.stored += 1,
                Ok(_) => {}
                Err(error) => self.store_error = Some(error),
            }
        }
    }
}

/// A key of a batch that must be loaded.
struct Missing<V> {
    /// Its place in the batch.
    at: usize,
    permission: Permission<V>,
    /// What to answer if the load fails.
    stale: Option<Entry<V>>,
}

/// What a loaded value may be stored with.
enum Permission<V> {
    Lease(Lease<V>),
    Claim(Claim<V>),
    None,
}

impl<K, V> CacheAside<K, V>
where
    K: CacheKey + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// The values of these keys, in their order. One round trip for the hits; for the others one more to ask
    /// for their leases, one [`load_many`](larder_cache::Loader::load_many), and one to store them. A missing key
    /// that is given twice is loaded twice.
    ///
    /// # Errors
    /// As [`get`](Self::get), for the batch as a whole; if every missing key has a stale entry, those are
    /// served.
    ///
    /// # Cancellation
    /// May be dropped at any await: the load is dropped and its leases given back.
    pub async fn get_many(&self, keys: &[K]) -> Result<Vec<Option<V>>> {
        Ok(self.read_many(keys).await?.values)
    }

    pub(crate) async fn read_many(&self, keys: &[K]) -> Result<Answers<V>> {
        let found = self.inner.keyspace.lookup_many(keys).await;
        let mut batch = Batch::new(keys.len());
        for (at, found) in found.into_iter().enumerate() {
            batch.sort(at, found);
        }
        batch.ask_for_permissions(&self.inner.keyspace, keys).await;
        if batch.missing.is_empty() {
            return Ok(batch.answers);
        }
        let wanted: Vec<K> = batch
            .missing
            .iter()
            .map(|missing| keys[missing.at].clone())
            .collect();
        match self
            .inner
            .origin
            .load_many(&self.inner.keyspace, &wanted)
            .await
        {
            Ok(loaded) => batch.store(&self.inner.keyspace, loaded).await,
            Err(error) => batch.serve_stale(&self.inner.keyspace).ok_or(error),
        }
    }
}

/// A batch under way.
struct Batch<V> {
    answers: Answers<V>,
    vacant: Vec<(usize, Vacancy)>,
    stale: Vec<(usize, Entry<V>)>,
    missing: Vec<Missing<V>>,
}

impl<V: Send + Sync + 'static> Batch<V> {
    fn new(len: usize) -> Self {
        Self {
            answers: Answers {
                values: (0..len).map(|_| None).collect(),
                stored: 0,
                unstored: 0,
                store_error: None,
            },
            vacant: Vec::new(),
            stale: Vec::new(),
            missing: Vec::new(),
        }
    }

    fn sort(&mut self, at: usize, found: Lookup<V>) {
        match found {
            Lookup::Hit(entry) if entry.is_stale() => self.stale.push((at, entry)),
            Lookup::Hit(entry) => self.answers.values[at] = entry.value,
            Lookup::Miss(vacancy) => self.vacant.push((at, vacancy)),
            Lookup::Busy(_) => self.load(at, Permission::None, None),
            Lookup::Failed(error) => {
                self.answers.store_error = Some(error);
                self.load(at, Permission::None, None);
            }
        }
    }

    fn load(&mut self, at: usize, permission: Permission<V>, stale: Option<Entry<V>>) {
        self.missing.push(Missing {
            at,
            permission,
            stale,
        });
    }

    async fn ask_for_permissions<K>(&mut self, keyspace: &Keyspace<K, V>, keys: &[K])
    where
        K: CacheKey,
    {
        self.ask_for_leases(keyspace).await;
        let stale = std::mem::take(&mut self.stale);
        let claims = stale
            .iter()
            .map(|(at, entry)| keyspace.claim(&keys[*at], entry.stamp()));
        let claims = join_all(claims).await;
        for ((at, entry), claim) in stale.into_iter().zip(claims) {
            let claim = claim.ok().flatten();
            let permission = claim.map_or(Permission::None, Permission::Claim);
            self.load(at, permission, Some(entry));
        }
    }

    async fn ask_for_leases<K>(&mut self, keyspace: &Keyspace<K, V>) {
        if self.vacant.is_empty() {
            return;
        }
        let vacant = std::mem::take(&mut self.vacant);
        let (places, vacancies): (Vec<_>, Vec<_>) = vacant.into_iter().unzip();
        match keyspace.lease_many(vacancies).await {
            Ok(leases) => {
                for (at, leased) in places.into_iter().zip(leases) {
                    match leased {
                        Ok(Leased::Granted(lease)) => {
                            self.load(at, Permission::Lease(lease), None);
                        }
                        Ok(Leased::Refused(Lookup::Hit(entry))) if !entry.is_stale() => {
                            self.answers.values[at] = entry.value;
                        }
                        _ => self.load(at, Permission::None, None),
                    }
                }
            }
            Err(error) => {
                self.answers.store_error = Some(error);
                for at in places {
                    self.load(at, Permission::None, None);
                }
            }
        }
    }

    /// Stores what was loaded, as far as permitted. What can't be stored is answered all the same; the stats
    /// count it.
    async fn store<K>(
        mut self,
        keyspace: &Keyspace<K, V>,
        loaded: Vec<Loaded<V>>,
    ) -> Result<Answers<V>> {
        let mut fills = Vec::new();
        let mut refreshes = Vec::new();
        let mut places = Vec::with_capacity(loaded.len());
        for (missing, loaded) in self.missing.into_iter().zip(&loaded) {
            places.push(missing.at);
            match missing.permission {
                Permission::Lease(lease) => fills.push((lease, loaded)),
                Permission::Claim(claim) => refreshes.push(claim.refresh(loaded)),
                Permission::None => {}
            }
        }
        match keyspace.fill_many(fills).await {
            Ok(filled) => self.answers.count(filled),
            Err(error) => self.answers.store_error = Some(error),
        }
        self.answers.count(join_all(refreshes).await);
        self.answers.unstored = loaded.len() as u64 - self.answers.stored;
        for (at, loaded) in places.into_iter().zip(loaded) {
            self.answers.values[at] = loaded.value;
        }
        Ok(self.answers)
    }

    /// The stale entries as the answers; `None` if one is missing.
    fn serve_stale<K>(mut self, keyspace: &Keyspace<K, V>) -> Option<Answers<V>> {
        if self.missing.iter().any(|missing| missing.stale.is_none()) {
            return None;
        }
        for missing in self.missing {
            keyspace.count_stale_served();
            self.answers.values[missing.at] = missing.stale?.value;
        }
        Some(self.answers)
    }
}

use larder_benches::{rig::warm_cache, value::User};
use larder_memory::MemoryStore;
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let store = MemoryStore::new(10_000);
    let cache = warm_cache::<User>(store, "x").await.unwrap();
    let n: u64 = 20_000_000;
    let t = std::time::Instant::now();
    for i in 0..n {
        std::hint::black_box(cache.get(&(i % 1000)).await.unwrap());
    }
    println!("{:.1} ns", t.elapsed().as_nanos() as f64 / n as f64);
}

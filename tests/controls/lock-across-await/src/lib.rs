//! A lock held across an await: clippy must refuse `held`, and only that.

use towpath_raw::Mutex;

/// The guard lives until the end of the statement after the await.
pub async fn held(mutex: &Mutex<u32>) -> u32 {
    let guard = mutex.lock();
    std::future::ready(()).await;
    *guard
}

/// What to do instead: take what is needed, drop the guard, then await.
pub async fn released(mutex: &Mutex<u32>) -> u32 {
    let value = *mutex.lock();
    std::future::ready(()).await;
    value
}

//! Work that may wait for the disk, off the async threads.

use tokio::task::JoinError;

/// Runs `work` on a thread that may block. Its panic goes on here.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(tokio::task::spawn_blocking(work)).await
}

/// What a task came to. Its panic goes on here.
pub(crate) async fn joined<T>(task: impl Future<Output = Result<T, JoinError>>) -> T {
    match task.await {
        Ok(done) => done,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down: nobody waits for this any more.
            Err(_) => std::future::pending().await,
        },
    }
}

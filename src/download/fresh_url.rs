//! Where a fresh URL comes from when the one at hand has expired: from whoever uses the library.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::error::{Error, ErrorKind, Result};
use crate::url::SafeUrl;

type Asked = BoxFuture<'static, Result<String, Box<dyn StdError + Send + Sync>>>;

/// Whom to ask.
#[derive(Clone)]
pub(crate) struct FreshUrl(Arc<dyn Fn() -> Asked + Send + Sync>);

impl fmt::Debug for FreshUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FreshUrl")
    }
}

impl FreshUrl {
    pub(crate) fn new<F, E>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        Self(Arc::new(move || ask().map(|answer| answer.map_err(Into::into)).boxed()))
    }

    /// Asks. That it fails is this machine's no: nobody else can give one.
    pub(crate) async fn get(&self) -> Result<SafeUrl> {
        let text = (self.0)().await.map_err(|error| {
            Error::new(ErrorKind::Local, format!("no fresh URL is to be had: {error}")).caused_by(error)
        })?;
        let none = |_| Error::new(ErrorKind::Local, "what was given as a fresh URL is no http or https URL");
        SafeUrl::parse(text.trim()).map_err(none)
    }
}

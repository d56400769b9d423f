//! Trying again, for ever, where that can help.

use tokio::time::sleep;

use crate::{
    rollups::RollupsError,
    trouble::{Trouble, Work},
};

/// Attempts until it is done, or until no attempt can help.
pub(super) async fn until_done<T, F>(step: &'static str, mut attempt: impl FnMut() -> F) -> Result<T, RollupsError>
where
    F: Future<Output = Result<T, RollupsError>>,
{
    let mut trouble = Trouble::new(Work::Counting, step);
    loop {
        match attempt().await {
            Ok(done) => {
                trouble.over();
                return Ok(done);
            }
            Err(error @ RollupsError::Unreadable(_)) => return Err(error),
            Err(error) => sleep(trouble.met(&error)).await,
        }
    }
}

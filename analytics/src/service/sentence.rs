//! An error as one sentence, for a person.

/// Each of its causes once: many say in their own text what caused them.
pub fn of(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        said if said.contains(&cause) => said.to_owned(),
        said => format!("{said}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the store is away: {0}")]
    struct Away(#[source] io::Error);

    /// Seen to fail when the chain was printed as it is.
    #[test]
    fn no_cause_is_said_twice_and_none_is_left_out() {
        let error = Err::<(), _>(Away(io::Error::other("no route"))).context("it cannot start").unwrap_err();
        assert_eq!(of(&error), "it cannot start: the store is away: no route");
    }
}

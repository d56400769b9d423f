//! What the tests share: the binaries, started, driven and killed as a user would.

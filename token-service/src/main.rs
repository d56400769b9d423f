//! `septet-token-service`: parse, build, run, drain.

fn main() {}

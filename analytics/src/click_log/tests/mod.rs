//! Tests of the click log.

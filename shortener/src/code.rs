//! Codes: the 7 base62 characters made from an id.

//! enrich/mod

//! rollups/sqlite

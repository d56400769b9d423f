//! The rollups store, chosen by its URL: here and nowhere else.

use std::{path::PathBuf, sync::Arc};

use super::waiting::NotThere;
use crate::{
    cql::{self, CqlOptions},
    rollups::{
        Rollups,
        cql::{CqlRollups, Retention},
        sqlite::SqliteRollups,
    },
};

/// Which store, and how to reach it.
#[derive(Debug, Clone)]
pub enum RollupsSource {
    /// A file, for one consumer alone. It is made where there is none, and migrates itself.
    Sqlite(PathBuf),
    Cql(Box<CqlOptions>, Retention),
}

/// Opens the store.
pub async fn open(source: &RollupsSource) -> Result<Arc<dyn Rollups>, NotThere> {
    match source {
        RollupsSource::Sqlite(path) => match SqliteRollups::open(path).await {
            Ok(store) => Ok(Arc::new(store)),
            Err(error) => Err(NotThere::Ever(error.into())),
        },
        RollupsSource::Cql(options, retention) => match CqlRollups::open(options, *retention).await {
            Ok(store) => {
                cql::show(store.session());
                Ok(Arc::new(store))
            }
            Err(error) if error.is_transient() => Err(NotThere::Yet(error.into())),
            Err(error) => Err(NotThere::Ever(error.into())),
        },
    }
}

/// Makes the tables of the store, or brings them up to date; says what was done.
pub async fn migrate(source: &RollupsSource, replication_factor: u32) -> anyhow::Result<String> {
    match source {
        RollupsSource::Sqlite(path) => {
            SqliteRollups::open(path).await?.close().await;
            Ok(format!("{} is ready to be counted into", path.display()))
        }
        RollupsSource::Cql(options, retention) => {
            let migrated = crate::rollups::cql::migrate(options, replication_factor).await?;
            let store = CqlRollups::open(options, *retention).await?;
            let durability = cql::durability(store.cql()).await?;
            Ok(format!("{migrated}\n{durability}"))
        }
    }
}

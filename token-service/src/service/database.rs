//! The database, chosen by its URL: here and nowhere else.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use rustix::{fs::Mode, process::umask};

use super::settings::{DatabaseUrl, Settings, sqlite_path};
use crate::{
    LeaseStore, Leases,
    adopt::Destination,
    mysql::{MysqlLeases, MysqlOptions, MysqlUrl, SchemaError},
    sqlite::{Source, SqliteLeases, SqliteOptions, system_clock},
};

/// Why there is no lease store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody answered: it may be different later.
    #[error("{0}")]
    NoAnswer(anyhow::Error),
    /// This database must not be used, or cannot be as the settings are. A sentence for a person says why.
    #[error("{0:#}")]
    Refused(anyhow::Error),
}

impl OpenError {
    fn refused(error: impl Into<anyhow::Error>) -> Self {
        OpenError::Refused(error.into())
    }
}

/// Opens the database that the settings name. An embedded one is made where there is none, and migrates itself.
pub async fn open(settings: &Settings) -> Result<Arc<dyn LeaseStore>, OpenError> {
    match settings.database().map_err(OpenError::refused)? {
        DatabaseUrl::Sqlite(file) => Ok(Arc::new(open_sqlite(settings, file.as_deref()).await?)),
        DatabaseUrl::Mysql(url) => Ok(Arc::new(open_mysql(settings, &url).await?)),
    }
}

async fn open_sqlite(settings: &Settings, file: Option<&Path>) -> Result<SqliteLeases, OpenError> {
    let path = sqlite_path(file, &settings.data_dir);
    make_private_dir_of(&path).map_err(OpenError::Refused)?;
    let options = SqliteOptions {
        ttl: settings.lease_ttl(),
        unused_blocks_max: settings.unused_blocks_max.into(),
        clock: system_clock(),
    };
    SqliteLeases::open(path, options).await.map_err(OpenError::refused)
}

async fn open_mysql(settings: &Settings, url: &MysqlUrl) -> Result<MysqlLeases, OpenError> {
    let options = MysqlOptions {
        ttl: settings.lease_ttl(),
        unused_blocks_max: settings.unused_blocks_max.into(),
        connections_max: settings.database_connections_max,
        timeout: Duration::from_millis(settings.database_timeout_ms),
    };
    let leases = MysqlLeases::new(url, options);
    match leases.check().await {
        Ok(()) => Ok(leases),
        Err(error) => {
            leases.close().await;
            Err(error.into())
        }
    }
}

impl From<SchemaError> for OpenError {
    fn from(error: SchemaError) -> Self {
        if error.is_transient() { OpenError::NoAnswer(error.into()) } else { OpenError::refused(error) }
    }
}

/// Prepares the database that the settings name: its tables, and the id space's key. Safe to run twice, and by two at once.
pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    match settings.database()? {
        DatabaseUrl::Sqlite(_) => {
            open(settings).await?.close().await;
            Ok(())
        }
        DatabaseUrl::Mysql(url) => Ok(MysqlLeases::migrate(&url).await?),
    }
}

/// Prepares and opens the database that the settings name, for the source's id space to be moved there.
pub async fn open_destination(settings: &Settings, source: &Source) -> anyhow::Result<Box<dyn Destination>> {
    match settings.database()? {
        DatabaseUrl::Sqlite(file) => {
            let path = sqlite_path(file.as_deref(), &settings.data_dir);
            anyhow::ensure!(!source.is_file(&path), "--from and --database name the same file, {}", path.display());
            Ok(Box::new(open_sqlite(settings, file.as_deref()).await?))
        }
        DatabaseUrl::Mysql(url) => {
            MysqlLeases::migrate(&url).await?;
            Ok(Box::new(open_mysql(settings, &url).await?))
        }
    }
}

/// Opens the database to be read by a person: one that is not there is not made.
pub async fn open_existing(settings: &Settings) -> anyhow::Result<Arc<dyn LeaseStore>> {
    if let DatabaseUrl::Sqlite(file) = settings.database()? {
        let path = sqlite_path(file.as_deref(), &settings.data_dir);
        anyhow::ensure!(path.exists(), "there is no lease store {}", path.display());
    }
    Ok(open(settings).await?)
}

/// Makes the directory of an embedded database. The id space's key will be in it: what is made is for this user alone.
fn make_private_dir_of(path: &Path) -> anyhow::Result<()> {
    umask(Mode::from_raw_mode(0o077));
    match path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        Some(dir) => DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("the directory {} cannot be made", dir.display())),
        None => Ok(()),
    }
}

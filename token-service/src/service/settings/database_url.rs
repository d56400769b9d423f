//! The URL of the database. It may hold a password: no error and no debug output repeats it.

use std::path::{Path, PathBuf};

use crate::mysql::{MysqlUrl, UrlError};

/// What the embedded database is called in the data directory.
const IN_DATA_DIR: &str = "leases.db";

/// Where leases are kept.
#[derive(Debug, Clone)]
pub enum DatabaseUrl {
    /// A file: the one in the data directory, or one of its own.
    Sqlite(Option<PathBuf>),
    Mysql(MysqlUrl),
}

/// Why something is no URL of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    #[error("it names no scheme; this build has mysql://user:password@host/database, sqlite: and sqlite:FILE")]
    NoScheme,
    #[error(
        "this build has no database for {0:?}; it has mysql://user:password@host/database, sqlite: and sqlite:FILE"
    )]
    UnknownScheme(String),
    #[error("it {0}")]
    Mysql(#[from] UrlError),
}

impl DatabaseUrl {
    /// Reads a URL.
    pub fn parse(url: &str) -> Result<Self, DatabaseUrlError> {
        match url.split_once(':') {
            Some(("sqlite", "")) => Ok(DatabaseUrl::Sqlite(None)),
            Some(("sqlite", path)) => Ok(DatabaseUrl::Sqlite(Some(path.strip_prefix("//").unwrap_or(path).into()))),
            Some(("mysql", rest)) if rest.starts_with("//") => Ok(DatabaseUrl::Mysql(url.parse()?)),
            // `user:password@host`, written without a scheme, must not be shown.
            _ => match url.split_once("://") {
                Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                    Err(DatabaseUrlError::UnknownScheme(scheme.to_owned()))
                }
                _ => Err(DatabaseUrlError::NoScheme),
            },
        }
    }
}

/// The file of an embedded database.
pub fn sqlite_path(file: Option<&Path>, data_dir: &Path) -> PathBuf {
    file.map_or_else(|| data_dir.join(IN_DATA_DIR), Path::to_owned)
}

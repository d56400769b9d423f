//! Migrations, and databases that are not fit for use.

use token_service::mysql::SchemaError;

use super::*;

/// Seen to fail when the lock is not waited for.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: run by tests/run"]
async fn many_may_migrate_at_once_and_again() {
    let database = mariadb::database();
    let url = url(&database);
    let migrating: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { MysqlLeases::migrate(&url).await })
        })
        .collect();
    for migrated in migrating {
        migrated.await.unwrap().unwrap();
    }
    let id_space = open(&database).id_space().await.unwrap();
    MysqlLeases::migrate(&url).await.unwrap();
    let leases = open(&database);
    leases.check().await.unwrap();
    assert_eq!(leases.id_space().await.unwrap(), id_space, "a key that is there stays");
}

/// Seen to fail when the record of a migration that never ended is left alone.
#[tokio::test]
#[ignore = "needs MariaDB: run by tests/run"]
async fn an_interrupted_migration_is_run_again() {
    let stored = Stored::new().await;
    stored.by_hand("DROP TABLE free_runs; UPDATE _sqlx_migrations SET success = FALSE WHERE version = 1").await;
    assert!(matches!(stored.leases.check().await, Err(SchemaError::NotMigrated)));
    MysqlLeases::migrate(&url(&stored.database)).await.unwrap();
    stored.leases.check().await.unwrap();
    stored.leases.lease(&request(1)).await.unwrap();
}

#[tokio::test]
#[ignore = "needs MariaDB: run by tests/run"]
async fn an_empty_database_must_be_migrated() {
    let database = mariadb::database();
    let error = open(&database).check().await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("septet-token-service migrate"), "{error}");
}

#[tokio::test]
#[ignore = "needs MariaDB: run by tests/run"]
async fn a_database_of_a_newer_version_is_refused() {
    let stored = Stored::new().await;
    stored
        .by_hand(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (99, 'later', TRUE, x'00', 0)",
        )
        .await;
    let (checked, migrated) = (stored.leases.check().await, MysqlLeases::migrate(&url(&stored.database)).await);
    assert!(matches!(checked, Err(SchemaError::Newer(99))), "{checked:?}");
    assert!(matches!(migrated, Err(SchemaError::Newer(99))), "{migrated:?}");
}

/// Seen to fail when a missing key is simply made anew, and when the check does not look for it.
#[tokio::test]
#[ignore = "needs MariaDB: run by tests/run"]
async fn a_lost_key_is_not_replaced() {
    let stored = Stored::new().await;
    stored.leases.lease(&request(1)).await.unwrap();
    stored.by_hand("DELETE FROM id_space").await;
    let checked = stored.leases.check().await;
    assert!(matches!(checked, Err(SchemaError::NotMigrated)), "{checked:?}");
    let migrated = MysqlLeases::migrate(&url(&stored.database)).await;
    assert!(matches!(migrated, Err(SchemaError::KeyLost)), "{migrated:?}");
}

#[tokio::test]
#[ignore = "needs MariaDB: run by tests/run"]
async fn a_password_is_in_no_error() {
    let database = mariadb::database();
    let wrong = database.url().replacen("://", "://nobody-of-that-name", 1).replacen('@', "-s3cret@", 1);
    let error = MysqlLeases::migrate(&wrong.parse().unwrap()).await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("refuses"), "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    let url: MysqlUrl = wrong.parse().unwrap();
    assert!(!format!("{url:?}").contains("s3cret"));
}

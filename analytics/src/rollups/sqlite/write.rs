//! The commit: many rows by few statements, as each statement is a trip to the thread that owns the connection.

use std::sync::LazyLock;

use sqlx::{Sqlite, SqliteConnection, SqlitePool, query::Query, sqlite::SqliteArguments};

use crate::{
    rollups::{
        Changes, Day, DayRow, Part, RollupsError, Subject, TotalRow,
        stored::{column, number, subject_number},
    },
    stream::{Progress, Source},
};

/// Rows of one statement; what is left over is written by statements of one row.
const ROWS_PER_STATEMENT: usize = 64;

type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

static DAYS: LazyLock<[String; 2]> = LazyLock::new(|| [ROWS_PER_STATEMENT, 1].map(days_sql));
static TOTALS: LazyLock<[String; 2]> = LazyLock::new(|| [ROWS_PER_STATEMENT, 1].map(totals_sql));

fn days_sql(rows: usize) -> String {
    let columns = Part::ALL.map(column);
    let values = vec![format!("(?,?,?,?{})", ",?".repeat(columns.len())); rows].join(",");
    let set = columns.map(|column| format!("{column} = excluded.{column}")).join(", ");
    format!(
        "INSERT INTO days (subject, day, source, watermark, {}) VALUES {values}
         ON CONFLICT DO UPDATE SET watermark = excluded.watermark, {set} WHERE excluded.watermark > watermark",
        columns.join(", ")
    )
}

fn totals_sql(rows: usize) -> String {
    let values = vec!["(?,?,?,?,?,?,?)"; rows].join(",");
    format!(
        "INSERT INTO totals (subject, source, watermark, clicks, bots, last_ms, first_day) VALUES {values}
         ON CONFLICT DO UPDATE SET watermark = excluded.watermark, clicks = excluded.clicks, bots = excluded.bots,
         last_ms = excluded.last_ms, first_day = excluded.first_day WHERE excluded.watermark > watermark"
    )
}

/// Writes rows and progress in one transaction.
pub(super) async fn commit(
    writer: &SqlitePool,
    source: &Source,
    changes: &Changes,
    progress: &Progress,
) -> Result<(), RollupsError> {
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    // In the order of the keys, so that neighbours in the tree are written one after the other.
    let mut days: Vec<_> = changes.days.iter().collect();
    days.sort_unstable_by_key(|(subject, day, _)| (subject_number(*subject), *day));
    let mut totals: Vec<_> = changes.totals.iter().collect();
    totals.sort_unstable_by_key(|(subject, _)| subject_number(*subject));

    in_statements(&mut transaction, &DAYS, &days, |statement, row| bind_day(statement, source, row)).await?;
    in_statements(&mut transaction, &TOTALS, &totals, |statement, row| bind_total(statement, source, row)).await?;
    write_progress(&mut transaction, source, progress).await?;
    Ok(transaction.commit().await?)
}

async fn in_statements<'q, T>(
    connection: &mut SqliteConnection,
    [many, one]: &'static [String; 2],
    rows: &'q [T],
    bind: impl Fn(Statement<'q>, &'q T) -> Result<Statement<'q>, RollupsError>,
) -> Result<(), RollupsError> {
    let (chunks, rest) = rows.as_chunks::<ROWS_PER_STATEMENT>();
    for chunk in chunks {
        chunk.iter().try_fold(sqlx::query(many.as_str()), &bind)?.execute(&mut *connection).await?;
    }
    for row in rest {
        bind(sqlx::query(one.as_str()), row)?.execute(&mut *connection).await?;
    }
    Ok(())
}

fn bind_day<'q>(
    statement: Statement<'q>,
    source: &'q Source,
    (subject, day, row): &(Subject, Day, DayRow),
) -> Result<Statement<'q>, RollupsError> {
    let watermark = number(row.watermark)?;
    let key = statement.bind(subject_number(*subject)).bind(day.0).bind(&source.0).bind(watermark);
    Ok(Part::ALL.iter().fold(key, |statement, part| statement.bind(row.encode(*part))))
}

fn bind_total<'q>(
    statement: Statement<'q>,
    source: &'q Source,
    (subject, row): &(Subject, TotalRow),
) -> Result<Statement<'q>, RollupsError> {
    let (watermark, clicks, bots) = (number(row.watermark)?, number(row.clicks)?, number(row.bots)?);
    let key = statement.bind(subject_number(*subject)).bind(&source.0);
    Ok(key.bind(watermark).bind(clicks).bind(bots).bind(row.last_ms).bind(row.first_day.map(|day| day.0)))
}

async fn write_progress(
    connection: &mut SqliteConnection,
    source: &Source,
    progress: &Progress,
) -> Result<(), RollupsError> {
    let moved = sqlx::query(
        "INSERT INTO progress (source, watermark) VALUES (?, ?)
         ON CONFLICT DO UPDATE SET watermark = excluded.watermark WHERE excluded.watermark >= watermark",
    )
    .bind(&source.0)
    .bind(number(progress.watermark)?)
    .execute(&mut *connection)
    .await?;
    if moved.rows_affected() == 0 {
        // A late writer: what is stored knows more.
        return Ok(());
    }
    let logs = progress.logs.iter().map(|(log, offset)| Ok((log.0 as i64, number(*offset)?)));
    let logs =
        serde_json::to_string(&logs.collect::<Result<Vec<_>, RollupsError>>()?).map_err(RollupsError::unavailable)?;
    sqlx::query(
        r#"INSERT INTO progress_logs (source, log, "offset")
           SELECT ?1, value ->> 0, value ->> 1 FROM json_each(?2) WHERE true
           ON CONFLICT DO UPDATE SET "offset" = excluded."offset" WHERE excluded."offset" <> "offset""#,
    )
    .bind(&source.0)
    .bind(&logs)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM progress_logs WHERE source = ?1 AND log NOT IN (SELECT value ->> 0 FROM json_each(?2))")
        .bind(&source.0)
        .bind(&logs)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

//! The secret: sent with each attempt, and seen nowhere else.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing_subscriber::fmt::MakeWriter;

use super::*;

const SECRET: &str = "a-secret-that-nobody-may-ever-read";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;
    fn make_writer(&self) -> Log {
        self.clone()
    }
}

/// Seen to fail when it was not sent, and when the options were logged with a secret of plain text.
#[tokio::test]
async fn the_secret_is_sent_and_never_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    // While there is one subscriber alone, `tracing` asks that of whichever thread comes by first whether a line is of interest to anybody.
    let _another = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let _guard = tracing::subscriber::set_default(subscriber);

    let server =
        Server::start(
            |n, _| if n == 0 { error(503, ErrorCode::Overloaded) } else { error(401, ErrorCode::Unauthorized) },
        )
        .await;
    let options =
        ClientOptions { secret: Some(Secret::parse(SECRET).unwrap()), ..options(vec![server.url(), dead_url()]) };
    tracing::info!(?options, "given");
    let client = HttpQueries::new(options).unwrap();
    let mut said = Vec::new();
    for _ in 0..2 {
        let error = count(&client).await.unwrap_err();
        said.push(format!("{error} {error:?}"));
    }
    let seen = server.requests();
    assert!(seen.len() >= 2, "{seen:?}");
    assert!(seen.iter().all(|request| request.headers["authorization"] == format!("Bearer {SECRET}")), "{seen:?}");

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("an attempt to ask the analytics service failed"), "{log}");
    for text in [&log, &said.concat()] {
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[tokio::test]
async fn without_a_secret_none_is_sent() {
    let server = Server::start(|_, _| counted()).await;
    count(&client(vec![server.url()])).await.unwrap();
    assert!(!server.requests()[0].headers.contains_key("authorization"));
}

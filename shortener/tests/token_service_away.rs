//! The process, while the token service that its leases come from is away.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use actix_web::{App, HttpResponse, HttpServer, rt::System, web};
use rustix::process::{Pid, Signal, kill_process};
use token_service::{
    Block, IdSpace, Lease, LeaseId,
    wire::{ID_SPACE, IdSpaceAnswer, LEASES, LeaseAnswer, LeaseCall},
};

const API_KEY: &str = "a-key-for-tests-that-nobody-guesses";
/// Longer than any step takes.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Blocks leased by all token services of this test, so that no two leases share one.
static BLOCKS: AtomicU32 = AtomicU32::new(0);

/// A token service that leases and remembers nothing.
struct TokenService {
    handle: actix_web::dev::ServerHandle,
    thread: thread::JoinHandle<()>,
}

impl TokenService {
    fn start(listener: TcpListener) -> Self {
        let (sender, started) = mpsc::channel();
        let thread = thread::spawn(move || {
            System::new().block_on(async move {
                let routes = || {
                    App::new()
                        .route(ID_SPACE, web::get().to(async || web::Json(IdSpaceAnswer::with_key(&id_space()))))
                        .route(LEASES, web::post().to(lease))
                        .default_service(web::to(async || HttpResponse::Ok().body("{}")))
                };
                let server = HttpServer::new(routes).workers(1).disable_signals().listen(listener).unwrap().run();
                sender.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        TokenService { handle: started.recv().unwrap(), thread }
    }

    fn stop(self) {
        System::new().block_on(self.handle.stop(false));
        self.thread.join().unwrap();
    }
}

fn id_space() -> IdSpace {
    IdSpace::new([9; 32])
}

async fn lease(call: web::Json<LeaseCall>) -> web::Json<LeaseAnswer> {
    assert_eq!(call.fingerprint, Some(id_space().fingerprint()), "the start has asked for it");
    let first = BLOCKS.fetch_add(1, Ordering::Relaxed);
    let lease = Lease { id: LeaseId(first.into()), first: Block(first), blocks: 1, ttl_ms: 60_000 };
    web::Json(LeaseAnswer { lease, id_space: IdSpaceAnswer::without_key(&id_space()) })
}

/// The process. Killed when dropped.
struct Septet {
    child: Child,
    log: mpsc::Receiver<String>,
}

impl Drop for Septet {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Septet {
    fn start(dir: &Path, leases: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_septet"))
            .args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--api-key", API_KEY, "--leases", leases])
            .arg("--data-dir")
            .arg(dir)
            .args(["--log-format", "json", "--token-service-secret", "a-secret-of-enough-characters"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, log) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Septet { child, log }
    }

    /// The fields of the first line from here on that says `message`.
    fn logged(&self, message: &str) -> serde_json::Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.log.recv_timeout(deadline - Instant::now()).unwrap_or_else(|_| panic!("no {message:?}"));
            assert!(!line.contains("a-secret-of-enough-characters"), "{line}");
            if line.contains(message) {
                return serde_json::from_str(&line).unwrap();
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.child.id().cast_signed()).unwrap(), signal).unwrap();
    }

    fn ended(&mut self) -> ExitStatus {
        poll("its end", || self.child.try_wait().unwrap())
    }
}

fn poll<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what} did not come");
        thread::sleep(POLL);
    }
}

fn address(field: &serde_json::Value) -> SocketAddr {
    field.as_str().unwrap().parse().unwrap()
}

/// Sends a request, and reads the answer as it is.
fn send(to: SocketAddr, head: &str, body: &str) -> String {
    let mut connection = TcpStream::connect(to).unwrap();
    let length = body.len();
    write!(
        connection,
        "{head} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {API_KEY}\r\nConnection: close\r\n"
    )
    .unwrap();
    write!(connection, "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

fn create(to: SocketAddr) -> String {
    send(to, "POST /api/links", r#"{"url":"https://example.com/there"}"#)
}

/// Seen to fail when the signal was not listened to during the wait.
#[test]
fn the_first_start_of_all_waits_and_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    // Port 1 is nobody's on loopback.
    let mut septet = Septet::start(dir.path(), "http://127.0.0.1:1");
    let ops = address(&septet.logged("prepares to start")["ops"]);
    let waits = septet.logged("waits for the lease store");
    assert!(waits["error"].as_str().unwrap().contains("http://127.0.0.1:1/"), "{waits}");
    assert_eq!(status(&send(ops, "GET /livez", "")), "200");
    let ready = send(ops, "GET /readyz", "");
    assert!(status(&ready) == "503" && ready.contains("starting"), "{ready}");
    assert_eq!(status(&send(ops, "GET /metrics", "")), "200");
    let told = Instant::now();
    septet.signal(Signal::TERM);
    assert!(septet.ended().success());
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
}

/// Seen to fail when every start waited for the id space.
#[test]
fn a_restart_serves_links_and_makes_new_ones_once_the_token_service_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let leases = format!("http://{at},http://127.0.0.1:1");

    let service = TokenService::start(listener);
    let septet = Septet::start(dir.path(), &leases);
    let listening = address(&septet.logged("Septet starts")["listening"]);
    let created = create(listening);
    assert_eq!(status(&created), "200", "{created}");
    let body: serde_json::Value = serde_json::from_str(created.split_once("\r\n\r\n").unwrap().1).unwrap();
    let key = body["key"].as_str().unwrap();
    drop(septet);
    service.stop();

    let mut septet = Septet::start(dir.path(), &leases);
    septet.logged("the lease store does not say which id space it is");
    let starts = septet.logged("Septet starts");
    let (listening, ops) = (address(&starts["listening"]), address(&starts["ops"]));
    poll("readiness", || (status(&send(ops, "GET /readyz", "")) == "200").then_some(()));
    let redirect = send(listening, &format!("GET /{key}"), "");
    assert!(status(&redirect) == "302" && redirect.contains("https://example.com/there"), "{redirect}");
    let refused = create(listening);
    assert_eq!(status(&refused), "503", "{refused}");
    assert!(refused.to_lowercase().contains("retry-after: "), "{refused}");

    let service = TokenService::start(TcpListener::bind(at).unwrap());
    poll("a new link", || (status(&create(listening)) == "200").then_some(()));
    septet.signal(Signal::TERM);
    assert!(septet.ended().success());
    service.stop();
}

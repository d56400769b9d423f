//! Kafka: one broker that is its own controller.

use std::{
    env, fs,
    io::{self, Read, Write},
    net::SocketAddr,
};

use anyhow::Result;

use super::{
    Engine, Once, jars::jars, java::java, once, place::Place, ports::Port, probe, server::Server,
    watched_dir::WatchedDir,
};

/// Names a Kafka that runs already: `host:port`.
pub const VARIABLE: &str = "SEPTET_TEST_KAFKA";

/// Sixteen bytes in base64, as Kafka wants it: of a cluster with one broker any will do.
const CLUSTER_ID: &str = "c2VwdGV0LXRlc3RzLWthZg";

/// The largest answer that [`request`] takes.
const ANSWER_MAX_BYTES: i32 = 1 << 20;

const API_VERSIONS: i16 = 18;

/// A Kafka that a test owns.
#[derive(Debug)]
pub struct Kafka {
    server: Server,
    _ports: [Port; 2],
}

impl Engine for Kafka {
    fn try_start() -> Result<Self> {
        let (java, jars) = (java()?, jars("kafka")?);
        let classes = format!("{}/*", jars.display());
        let ports = [Port::take()?, Port::take()?];
        let place = Place::named()?;
        let address = (place.address, ports[0].number()).into();
        let mut server = Server::new("Kafka", WatchedDir::new("kafka")?, address, answers);
        let properties = server.dir().join("server.properties");
        fs::write(&properties, properties_text(&server, &ports))?;
        let properties = properties.to_string_lossy().into_owned();

        let run = |args: &[&str]| -> Vec<String> {
            // Without UsePerfData nothing is left in the machine's directory for temporary files.
            let always = [&java, "-XX:-UsePerfData", "-cp", &classes];
            always.into_iter().chain(args.iter().copied()).map(String::from).collect()
        };
        server.prepare(&run(&["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", &properties]))?;
        let tmp = format!("-Djava.io.tmpdir={}", server.dir().display());
        server.start_by(place.run(run(&["-Xmx512m", &tmp, "kafka.Kafka", &properties])))?;
        Ok(Self { server, _ports: ports })
    }

    fn server(&self) -> &Server {
        &self.server
    }

    fn server_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

impl Kafka {
    /// What a client is told: `host:port`.
    pub fn bootstrap(&self) -> String {
        self.server.address().to_string()
    }
}

fn properties_text(server: &Server, [client, controller]: &[Port; 2]) -> String {
    let (address, client, controller) = (server.address().ip(), client.number(), controller.number());
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://{address}:{client},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://{address}:{client}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
",
        server.data().display()
    )
}

fn answers(address: SocketAddr) -> bool {
    request(address, API_VERSIONS, 0, &[]).is_ok_and(|answer| answer.starts_with(&[0, 0]))
}

/// One request by Kafka's own protocol, and the body of its answer: enough to see that a broker works. Versions with
/// tagged fields ("flexible" ones) are not for this.
///
/// # Errors
/// When no whole answer comes.
pub fn request(address: SocketAddr, api: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
    const CORRELATION_ID: [u8; 4] = 7_i32.to_be_bytes();
    const NO_CLIENT_ID: [u8; 2] = (-1_i16).to_be_bytes();
    let head = [&api.to_be_bytes()[..], &version.to_be_bytes(), &CORRELATION_ID, &NO_CLIENT_ID].concat();
    let length = i32::try_from(head.len() + body.len()).map_err(io::Error::other)?;
    let mut stream = probe::connect(address)?;
    stream.write_all(&[&length.to_be_bytes()[..], &head, body].concat())?;

    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = i32::from_be_bytes(length);
    if !(4..=ANSWER_MAX_BYTES).contains(&length) {
        return Err(io::Error::other(format!("an answer of {length} bytes")));
    }
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer)?;
    match answer.split_at(CORRELATION_ID.len()) {
        (id, body) if id == CORRELATION_ID => Ok(body.to_vec()),
        _ => Err(io::Error::other("the answer to another request")),
    }
}

/// The `host:port` that the environment names, or that of one that is started once for this process.
///
/// # Panics
/// When it does not start.
pub fn shared() -> &'static str {
    static SHARED: Once<(String, Option<Kafka>)> = Once::new();
    let (bootstrap, _) = once(&SHARED, || {
        if let Ok(named) = env::var(VARIABLE) {
            return Ok((named, None));
        }
        let kafka = Kafka::try_start()?;
        Ok((kafka.bootstrap(), Some(kafka)))
    });
    bootstrap
}

//! Cassandra, which stands for ScyllaDB: one node, or three.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};

use super::{
    Engine, Once,
    jars::jars,
    java::{java, keytool},
    network::{HOSTS, Network},
    once, or_fail,
    place::Place,
    ports::Port,
    probe,
    server::Server,
    watched_dir::WatchedDir,
};

/// Names a Cassandra or ScyllaDB that runs already: `host:port`.
pub const VARIABLE: &str = "SEPTET_TEST_CQL";

/// When a write is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitLog {
    /// Once it is on disk: what was answered survives `kill -9`.
    Batch,
    /// At once, as by Cassandra's default: `kill -9` of a node loses what it answered within the last ten seconds.
    Periodic,
}

/// What the node of a cluster knows.
#[derive(Debug, Clone)]
struct Node {
    address: Ipv4Addr,
    /// The node that the others ask for the rest of the cluster: the first one.
    seed: Ipv4Addr,
    /// What its command is run by: a machine of its own, or nothing.
    runner: Vec<String>,
    /// CQL's and the nodes' own, the same on every node.
    ports: Arc<[Port; 2]>,
    commit_log: CommitLog,
    is_guarded: bool,
}

impl Node {
    /// The one node of a cluster.
    fn alone(commit_log: CommitLog) -> Result<Self> {
        let (Place { address, runner }, ports) = (Place::named()?, take_ports()?);
        Ok(Self { address, seed: address, runner, ports, commit_log, is_guarded: false })
    }
}

/// A node that a test owns.
#[derive(Debug)]
pub struct Cassandra {
    server: Server,
    _ports: Arc<[Port; 2]>,
}

impl Engine for Cassandra {
    fn try_start() -> Result<Self> {
        Self::try_start_with(CommitLog::Batch)
    }

    fn server(&self) -> &Server {
        &self.server
    }

    fn server_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

impl Cassandra {
    /// One node; [`Engine::start`] takes [`CommitLog::Batch`].
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_with(commit_log: CommitLog) -> Self {
        or_fail(Self::try_start_with(commit_log))
    }

    /// A cluster of three nodes on 127.0.0.1, 127.0.0.2 and 127.0.0.3, with [`CommitLog::Batch`]. They start one after the
    /// other, in some 40 seconds, and take 4 GB of memory.
    ///
    /// # Panics
    /// When one of them does not start.
    pub fn start_three() -> [Self; 3] {
        Self::start_nodes([1, 2, 3].map(|last| Ipv4Addr::new(127, 0, 0, last)), |_| Vec::new())
    }

    /// As [`start_three`](Self::start_three), each on a host of `network`.
    ///
    /// # Panics
    /// When one of them does not start.
    pub fn start_three_in(network: &Network) -> [Self; HOSTS] {
        Self::start_nodes(Network::ALL.map(|host| network.address(host)), |host| network.runner(host))
    }

    fn start_nodes(addresses: [Ipv4Addr; 3], runner: impl Fn(usize) -> Vec<String>) -> [Self; 3] {
        let ports = or_fail(take_ports());
        [0, 1, 2].map(|index| {
            let (address, seed, ports) = (addresses[index], addresses[0], Arc::clone(&ports));
            or_fail(Self::start_node(Node {
                address,
                seed,
                runner: runner(index),
                ports,
                commit_log: CommitLog::Batch,
                is_guarded: false,
            }))
        })
    }

    /// One node, with [`CommitLog::Batch`], that wants a password (the user `cassandra` has `cassandra`), and speaks TLS with whoever
    /// begins it, under [its certificate](Self::certificate).
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_guarded() -> Self {
        let node = Node::alone(CommitLog::Batch);
        or_fail(node.and_then(|node| Self::start_node(Node { is_guarded: true, ..node })))
    }

    /// The certificate of a node that was [started guarded](Self::start_guarded), as a PEM file.
    pub fn certificate(&self) -> PathBuf {
        self.server.dir().join(CERTIFICATE)
    }

    /// What a client is told: `host:port`.
    pub fn contact_point(&self) -> String {
        self.server.address().to_string()
    }

    fn try_start_with(commit_log: CommitLog) -> Result<Self> {
        Self::start_node(Node::alone(commit_log)?)
    }

    fn start_node(node: Node) -> Result<Self> {
        let (java, jars) = (java()?, jars("cassandra")?);
        let address = (node.address, node.ports[0].number()).into();
        let mut server = Server::new("Cassandra", WatchedDir::new("cassandra")?, address, speaks_cql);
        let guard = if node.is_guarded { guard(server.dir()) } else { String::new() };
        fs::write(server.dir().join("cassandra.yaml"), yaml(&node, &server.data()) + &guard)?;
        fs::create_dir(server.data())?;
        if node.is_guarded {
            make_certificate(&mut server, &java, node.address)?;
        }
        let command = command(java, &jars, &server)?;
        server.start_by([node.runner, command].concat())?;
        Ok(Self { server, _ports: node.ports })
    }
}

fn take_ports() -> Result<Arc<[Port; 2]>> {
    Ok(Arc::new([Port::take()?, Port::take()?]))
}

fn yaml(node: &Node, data: &Path) -> String {
    let [cql, storage] = node.ports.each_ref().map(Port::number);
    let (address, seed, data) = (node.address, node.seed, data.display());
    let commit_log = match node.commit_log {
        CommitLog::Batch => "commitlog_sync: batch",
        CommitLog::Periodic => "commitlog_sync: periodic\ncommitlog_sync_period: 10s",
    };
    // Nodes that join have nothing to fetch: streaming would only make their start slower, and fail on a machine that pauses.
    format!(
        "cluster_name: septet
num_tokens: 16
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
{commit_log}
commitlog_segment_size: 8MiB
commitlog_total_space: 256MiB
memtable_heap_space: 96MiB
memtable_offheap_space: 96MiB
key_cache_size: 16MiB
concurrent_reads: 8
concurrent_writes: 8
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{{seeds: \"{seed}:{storage}\"}}]
listen_address: {address}
rpc_address: {address}
storage_port: {storage}
native_transport_port: {cql}
data_file_directories: [\"{data}/data\"]
commitlog_directory: \"{data}/commitlog\"
saved_caches_directory: \"{data}/saved_caches\"
hints_directory: \"{data}/hints\"
auto_snapshot: false
auto_bootstrap: false
"
    )
}

const KEYSTORE: &str = "keystore.p12";
const CERTIFICATE: &str = "certificate.pem";

/// The shortest that keytool takes is six characters.
const KEYSTORE_PASSWORD: &str = "not-secret";

/// TLS for whoever wants it: whether it is ready is asked without.
fn guard(dir: &Path) -> String {
    format!(
        "authenticator: PasswordAuthenticator
client_encryption_options:
  enabled: true
  optional: true
  keystore: \"{}\"
  keystore_password: {KEYSTORE_PASSWORD}
",
        dir.join(KEYSTORE).display()
    )
}

fn make_certificate(server: &mut Server, java: &str, address: Ipv4Addr) -> Result<()> {
    let [keystore, certificate] = [KEYSTORE, CERTIFICATE].map(|name| server.dir().join(name).display().to_string());
    let keytool = keytool(java);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let store = ["-alias", "node", "-keystore", &keystore, "-storepass", KEYSTORE_PASSWORD];
    let name = format!("san=ip:{address}");
    let make = ["-genkeypair", "-keyalg", "EC", "-dname", "CN=septet", "-ext", &name, "-storetype", "PKCS12"];
    server.prepare(&words(&[&[keytool.as_str()], &make[..], &store[..]].concat()))?;
    server.prepare(&words(
        &[&[keytool.as_str()], &["-exportcert", "-rfc", "-file", &certificate][..], &store[..]].concat(),
    ))
}

/// What Cassandra reaches into on Java 17, from its own `jvm17-server.options`.
const EXPORTS: [&str; 11] = [
    "java.base/jdk.internal.misc",
    "java.base/jdk.internal.ref",
    "java.base/java.lang.ref",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.unsupported/sun.misc",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.attach/sun.tools.attach",
];

/// As [`EXPORTS`].
const OPENS: [&str; 18] = [
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.util",
    "java.base/java.io",
    "java.base/java.nio",
    "java.base/sun.nio.ch",
    "java.base/java.net",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.util.jar",
    "jdk.management/com.sun.management.internal",
    "jdk.compiler/com.sun.tools.javac",
];

fn command(java: String, jars: &Path, server: &Server) -> Result<Vec<String>> {
    let (dir, data) = (server.dir().display(), server.data());
    let mut command = vec![java, format!("-javaagent:{}", jamm(jars)?)];
    command.extend(EXPORTS.map(|package| format!("--add-exports={package}=ALL-UNNAMED")));
    command.extend(OPENS.map(|package| format!("--add-opens={package}=ALL-UNNAMED")));
    command.extend(["-Xms640m", "-Xmx640m", "-Xss512k", "-XX:+UseSerialGC"].map(String::from));
    // What Java would leave in the machine's directory for temporary files after `kill -9`.
    command.extend(["-XX:-UsePerfData".into(), format!("-Djava.io.tmpdir={dir}"), format!("-Djna.tmpdir={dir}")]);
    command.extend([
        "-Djdk.attach.allowAttachSelf=true".into(),
        "-Dio.netty.tryReflectionSetAccessible=true".into(),
        format!("-Dcassandra.config=file://{dir}/cassandra.yaml"),
        format!("-Dcassandra.storagedir={}", data.display()),
        format!("-Dcassandra.logdir={dir}"),
        concat!("-Dlogback.configurationFile=", env!("CARGO_MANIFEST_DIR"), "/engines/cassandra/logback.xml").into(),
        "-Dcassandra-foreground=yes".into(),
        "-Dcassandra.ring_delay_ms=2000".into(),
        "-Dcassandra.superuser_setup_delay_ms=0".into(),
        "-Dcassandra.skip_wait_for_gossip_to_settle=0".into(),
    ]);
    command.extend(["-cp".into(), format!("{}/*", jars.display())]);
    command.push("org.apache.cassandra.service.CassandraDaemon".into());
    Ok(command)
}

/// The agent by which Cassandra measures its memory, in whatever version comes with it.
fn jamm(jars: &Path) -> Result<String> {
    let names = fs::read_dir(jars)?.flatten().map(|entry| entry.path().to_string_lossy().into_owned());
    let is_jamm = |path: &String| path.rsplit('/').next().is_some_and(|name| name.starts_with("jamm-"));
    names.into_iter().find(is_jamm).with_context(|| format!("no jamm-*.jar in {}", jars.display()))
}

/// Whether it answers a CQL client. A frame of version 4 of the protocol: flags, stream and length are zero, the opcode is OPTIONS (5) or SUPPORTED (6).
pub fn speaks_cql(address: SocketAddr) -> bool {
    const OPTIONS: [u8; 9] = [0x04, 0, 0, 0, 0x05, 0, 0, 0, 0];
    const SUPPORTED: [u8; 5] = [0x84, 0, 0, 0, 0x06];
    probe::ask::<{ SUPPORTED.len() }>(address, &OPTIONS).is_ok_and(|answer| answer == SUPPORTED)
}

/// The `host:port` that the environment names, or that of one that is started once for this process.
///
/// # Panics
/// When it does not start.
pub fn shared() -> &'static str {
    static SHARED: Once<(String, Option<Cassandra>)> = Once::new();
    let (contact_point, _) = once(&SHARED, || {
        if let Ok(named) = env::var(VARIABLE) {
            return Ok((named, None));
        }
        let cassandra = Cassandra::try_start()?;
        Ok((cassandra.contact_point(), Some(cassandra)))
    });
    contact_point
}

//! A network of three hosts on this machine: a network namespace for each, and cables that can be cut.
//!
//! Programs outside of it reach every host. Nothing but this network's own namespaces and addresses is touched, and all of it goes
//! with its owner, however that ends.

use std::{
    io::{self, PipeWriter},
    net::Ipv4Addr,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// How many hosts there are.
pub const HOSTS: usize = 3;

/// Removes the namespaces `$@`, and what is in them, once its standard input ends.
const WATCHER: &str = r#"
trap '' HUP INT QUIT TERM
while read -r line; do :; done
for name; do ip netns del "$name"; done
"#;

/// Three hosts, and a switch between them that this machine is connected to as well. Removed when dropped.
#[derive(Debug)]
pub struct Network {
    /// Tells it from other networks: what names of namespaces and interfaces begin with.
    name: String,
    /// The third byte of its addresses.
    subnet: u8,
    watcher: Child,
    life: Option<PipeWriter>,
}

impl Network {
    /// All hosts.
    pub const ALL: [usize; HOSTS] = [0, 1, 2];

    /// A new one.
    ///
    /// # Errors
    /// Where namespaces cannot be made: who is not root may not.
    pub fn new() -> Result<Self> {
        let random: u16 = rand::random();
        let (name, subnet) = (format!("sp{random:04x}"), random.to_be_bytes()[0]);
        let mut namespaces = Self::ALL.map(|host| format!("{name}-{host}")).to_vec();
        namespaces.push(format!("{name}-hub"));
        let (watched, life) = io::pipe()?;
        let mut sh = Command::new("sh");
        sh.args(["-c", WATCHER, "sh"]).args(&namespaces);
        sh.stdin(watched).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let watcher = sh.spawn().context("sh, which watches over a network")?;
        let network = Self { name, subnet, watcher, life: Some(life) };
        network.build()?;
        Ok(network)
    }

    /// The switch is a bridge in a namespace of its own: no setting of this machine is changed.
    fn build(&self) -> Result<()> {
        let name = &self.name;
        let hub = format!("{name}-hub");
        ip(&format!("netns add {hub}"))?;
        ip(&format!("-n {hub} link add switch type bridge"))?;
        ip(&format!("-n {hub} link set switch up"))?;
        ip(&format!("link add {name} type veth peer name here netns {hub}"))?;
        ip(&format!("address add {}/24 dev {name}", self.at(1)))?;
        ip(&format!("link set {name} up"))?;
        ip(&format!("-n {hub} link set here master switch up"))?;
        for host in Self::ALL {
            let namespace = self.namespace(host);
            ip(&format!("netns add {namespace}"))?;
            ip(&format!("-n {hub} link add host{host} type veth peer name cable netns {namespace}"))?;
            ip(&format!("-n {namespace} address add {}/24 dev cable", self.address(host)))?;
            ip(&format!("-n {namespace} link set cable up"))?;
            ip(&format!("-n {namespace} link set lo up"))?;
            ip(&format!("-n {hub} link set host{host} master switch up"))?;
        }
        Ok(())
    }

    /// A host's address.
    pub fn address(&self, host: usize) -> Ipv4Addr {
        self.at(u8::try_from(11 + host).expect("there are few hosts"))
    }

    /// From 198.18.0.0/15, which is set aside for tests of networks (RFC 2544).
    fn at(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.subnet, last)
    }

    /// What a command is put behind to run on a host.
    pub fn runner(&self, host: usize) -> Vec<String> {
        ["ip", "netns", "exec", &self.namespace(host)].map(String::from).to_vec()
    }

    /// Nothing that is sent to or by a host arrives any more, and nobody is told.
    ///
    /// # Panics
    /// When it is cut off already.
    pub fn cut_off(&self, host: usize) {
        self.cable(host, "down");
    }

    /// The end of [`cut_off`](Self::cut_off).
    ///
    /// # Panics
    /// When it was not cut off.
    pub fn connect(&self, host: usize) {
        self.cable(host, "up");
    }

    fn cable(&self, host: usize, state: &str) {
        ip(&format!("-n {}-hub link set host{host} {state}", self.name)).expect("a cable of this network");
    }

    /// A host and the others do not reach each other any more; this machine reaches all of them.
    ///
    /// # Panics
    /// When it is apart already.
    pub fn part(&self, host: usize) {
        self.routes(host, "add");
    }

    /// The end of [`part`](Self::part).
    ///
    /// # Panics
    /// When it was not apart.
    pub fn join(&self, host: usize) {
        self.routes(host, "del");
    }

    fn routes(&self, host: usize, change: &str) {
        for other in Self::ALL.into_iter().filter(|other| *other != host) {
            for (from, to) in [(host, other), (other, host)] {
                let route = format!("-n {} route {change} blackhole {}", self.namespace(from), self.address(to));
                ip(&route).expect("a host of this network");
            }
        }
    }

    fn namespace(&self, host: usize) -> String {
        format!("{}-{host}", self.name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.life = None;
        self.watcher.wait().ok();
    }
}

/// Runs `ip` with the words of `args`.
fn ip(args: &str) -> Result<()> {
    let output = Command::new("ip").args(args.split(' ')).stdin(Stdio::null()).output().context("ip")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {args}: {}", said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `to` is reached from `from`, or from this machine: it refuses a connection, as nobody listens there.
    fn reaches(network: &Network, from: Option<usize>, to: usize) -> bool {
        let mut command = from.map_or_else(Vec::new, |from| network.runner(from));
        let connect = format!("exec 3<>/dev/tcp/{}/9", network.address(to));
        command.extend(["timeout", "1", "bash", "-c", &connect].map(String::from));
        let output = Command::new(&command[0]).args(&command[1..]).output().expect("bash");
        String::from_utf8_lossy(&output.stderr).contains("refused")
    }

    /// Seen to fail when each of the four changes did nothing.
    #[test]
    fn hosts_are_cut_off_and_parted() {
        let network = match Network::new() {
            Ok(network) => network,
            Err(reason) => return eprintln!("there can be no network here: {reason:#}"),
        };
        assert!(reaches(&network, None, 0) && reaches(&network, Some(0), 1) && reaches(&network, Some(1), 0));
        network.part(0);
        assert!(reaches(&network, None, 0) && !reaches(&network, Some(0), 1) && !reaches(&network, Some(1), 0));
        assert!(reaches(&network, Some(1), 2));
        network.join(0);
        assert!(reaches(&network, Some(0), 1));
        network.cut_off(2);
        assert!(!reaches(&network, None, 2) && !reaches(&network, Some(0), 2));
        network.connect(2);
        // An address that did not answer is asked for again a second later.
        assert!((0..10).any(|_| reaches(&network, None, 2)));
    }
}

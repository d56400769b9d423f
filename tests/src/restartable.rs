//! A service that keeps its ports while it is killed and started again.

use std::net::SocketAddr;

use crate::{
    engines::ports::Port,
    process::{Launch, Running},
};

/// A service, running or not, at an address that stays its own.
#[derive(Debug)]
pub struct Restartable {
    launch: Launch,
    running: Option<Running>,
    address: SocketAddr,
    _ports: [Port; 2],
}

impl Restartable {
    /// What `launch` says, at ports of its own; not started yet.
    ///
    /// # Panics
    /// When there are no free ports.
    pub fn new(launch: Launch) -> Self {
        let ports = [(); 2].map(|()| Port::take().expect("a free port"));
        let [listen, ops] = ports.each_ref().map(|port| SocketAddr::from(([127, 0, 0, 1], port.number())));
        let launch = launch.flag("--listen", listen.to_string()).flag("--ops-listen", ops.to_string());
        Self { launch, running: None, address: listen, _ports: ports }
    }

    /// As [`new`](Self::new), started and ready.
    ///
    /// # Panics
    /// As [`Launch::start`] does.
    pub fn started(launch: Launch) -> Self {
        let mut restartable = Self::new(launch);
        restartable.start();
        restartable
    }

    /// Where it listens when it runs.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is started with.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// What it is started with from the next start on, but for its ports.
    pub fn change(&mut self, change: impl FnOnce(Launch) -> Launch) {
        self.launch = change(self.launch.clone());
    }

    /// The process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    /// Starts it, and waits until it is ready.
    ///
    /// # Panics
    /// When it runs already, and as [`Launch::start`] does.
    pub fn start(&mut self) {
        assert!(self.running.is_none(), "it runs: kill or stop it first");
        self.running = Some(self.launch.start());
    }

    /// Starts it, ready or not.
    ///
    /// # Panics
    /// When it runs already, and as [`Launch::start_unready`] does.
    pub fn start_unready(&mut self) {
        assert!(self.running.is_none(), "it runs: kill or stop it first");
        self.running = Some(self.launch.start_unready());
    }

    /// `kill -9`. It is gone when this returns. Nothing happens when it does not run.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    /// Stops it in order. Nothing happens when it does not run.
    ///
    /// # Panics
    /// As [`Running::stop`] does.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

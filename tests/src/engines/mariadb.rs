//! MariaDB, which stands for MySQL: nothing is asked of it that MySQL 8 has not.

use std::{env, fmt, fs, net::SocketAddr, thread, time::Duration};

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};
use url::Url;

use super::{
    DataCopy, Engine, Once, once, or_fail, place::Place, ports::Port, probe, server::Server, unique_name,
    watched_dir::WatchedDir,
};

/// Names a MySQL or MariaDB that runs already: `mysql://user:password@host:port`. The user must be able to make databases.
pub const VARIABLE: &str = "SEPTET_TEST_MYSQL";

/// The database that [`MariaDb::url`] names; it is there from the first start on.
pub const DATABASE: &str = "septet";

const USER: &str = "septet";
const PASSWORD: &str = "a-password-for-tests";

/// The first packet of a server: three bytes of length, one of its number, and the version of the protocol.
const GREETING_VERSION: usize = 4;
const PROTOCOL_VERSION: u8 = 10;

/// How long making or dropping a database may take.
const STATEMENT_LIMIT: Duration = Duration::from_secs(20);

/// A MariaDB that a test owns.
#[derive(Debug)]
pub struct MariaDb {
    server: Server,
    place: Place,
    port: Port,
}

impl Engine for MariaDb {
    fn try_start() -> Result<Self> {
        let mut mariadb = Self::new()?;
        let data = mariadb.server.data();
        let mut install =
            vec!["mariadb-install-db".into(), "--no-defaults".into(), format!("--datadir={}", data.display())];
        install.extend(["--auth-root-authentication-method=normal".into(), "--skip-test-db".into()]);
        install.extend(as_root());
        mariadb.server.prepare(&install)?;
        mariadb.start_server()?;
        Ok(mariadb)
    }

    fn server(&self) -> &Server {
        &self.server
    }

    fn server_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

impl MariaDb {
    /// One that begins with what another kept: both may run.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_from(copy: &DataCopy) -> Self {
        or_fail(Self::try_start_from(copy))
    }

    fn try_start_from(copy: &DataCopy) -> Result<Self> {
        let mut mariadb = Self::new()?;
        mariadb.server.restore(copy)?;
        mariadb.start_server()?;
        Ok(mariadb)
    }

    /// The URL of [`DATABASE`], with user and password.
    pub fn url(&self) -> String {
        self.address().url(DATABASE)
    }

    /// Where it answers, and as whom.
    pub fn address(&self) -> Address {
        let url = format!("mysql://{USER}:{PASSWORD}@{}", self.server.address());
        Address(Url::parse(&url).expect("a user, a password and an address make a URL"))
    }

    fn new() -> Result<Self> {
        let (place, port) = (Place::named()?, Port::take()?);
        let address = (place.address, port.number()).into();
        let server = Server::new("MariaDB", WatchedDir::new("mariadb")?, address, greets);
        Ok(Self { server, place, port })
    }

    fn start_server(&mut self) -> Result<()> {
        let (dir, data) = (self.server.dir(), self.server.data());
        let init_file = dir.join("init.sql");
        fs::write(&init_file, init_sql())?;
        let mut command = vec!["mariadbd".into(), "--no-defaults".into(), format!("--datadir={}", data.display())];
        command.extend([
            format!("--socket={}", dir.join("socket").display()),
            format!("--pid-file={}", dir.join("mariadbd.pid").display()),
            format!("--init-file={}", init_file.display()),
            format!("--port={}", self.port.number()),
            format!("--bind-address={}", self.place.address),
            "--skip-name-resolve".into(),
            "--skip-log-bin".into(),
        ]);
        command.extend(as_root());
        self.server.start_by(self.place.run(command))
    }
}

/// MariaDB does not run as root unless told to.
fn as_root() -> Option<String> {
    rustix::process::getuid().is_root().then(|| "--user=root".into())
}

/// Run at every start, before the port is opened; one statement a line. Who reaches the address that it listens on may come from anywhere.
fn init_sql() -> String {
    format!(
        "CREATE DATABASE IF NOT EXISTS {DATABASE};\n\
         CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
    )
}

fn greets(address: SocketAddr) -> bool {
    probe::ask::<{ GREETING_VERSION + 1 }>(address, &[])
        .is_ok_and(|greeting| greeting[GREETING_VERSION] == PROTOCOL_VERSION)
}

/// Where a server answers, and as whom.
#[derive(Debug, Clone)]
pub struct Address(Url);

impl Address {
    /// The URL of a database, `mysql://user:password@host:port/database`.
    pub fn url(&self, database: &str) -> String {
        let mut url = self.0.clone();
        url.set_path(database);
        url.into()
    }

    /// A new database with a name of its own.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn database(&self) -> Database {
        let name = unique_name("septet");
        or_fail(execute(self, &format!("CREATE DATABASE {name}")));
        Database { address: self.clone(), name }
    }
}

impl fmt::Display for Address {
    /// The URL without a database, as [`VARIABLE`] takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An empty database of a test's own. Dropped, as far as the server can be reached, when this is.
#[derive(Debug)]
pub struct Database {
    address: Address,
    name: String,
}

impl Database {
    /// Its URL, with user and password.
    pub fn url(&self) -> String {
        self.address.url(&self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Err(err) = execute(&self.address, &format!("DROP DATABASE {}", self.name)) {
            eprintln!("database {} is left behind: {err:#}", self.name);
        }
    }
}

/// The server that the environment names, or one that is started once for this process.
///
/// # Panics
/// When it does not start, or the variable is no URL.
pub fn shared() -> &'static Address {
    static SHARED: Once<(Address, Option<MariaDb>)> = Once::new();
    let (address, _) = once(&SHARED, || {
        if let Ok(url) = env::var(VARIABLE) {
            let url = Url::parse(&url).with_context(|| format!("{VARIABLE} is no URL"))?;
            return Ok((Address(url), None));
        }
        let mariadb = MariaDb::try_start()?;
        Ok((mariadb.address(), Some(mariadb)))
    });
    address
}

/// A new database in the shared server.
///
/// # Panics
/// As [`shared`] does, and when it cannot be made.
pub fn database() -> Database {
    shared().database()
}

/// Runs one statement, on a thread of its own: the caller may or may not be in an async runtime.
fn execute(address: &Address, statement: &str) -> Result<()> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let all = async {
                let mut connection = MySqlConnection::connect(address.0.as_str()).await?;
                sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
                connection.close().await
            };
            tokio::time::timeout(STATEMENT_LIMIT, all).await.context("no answer in time")?.context(statement.to_owned())
        })
    };
    thread::scope(|scope| scope.spawn(run).join().expect("the thread hands on its errors"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_s_url_keeps_user_password_and_options() {
        let address = Address(Url::parse("mysql://me:secret@db.example:3307/?ssl-mode=REQUIRED").unwrap());
        assert_eq!(address.url("links"), "mysql://me:secret@db.example:3307/links?ssl-mode=REQUIRED");
    }
}

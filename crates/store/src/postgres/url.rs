//! Where the database is.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use thiserror::Error;
use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};

/// How long connecting to one server may take, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// When a connection that is silent is asked whether it is still there, how often, and how many times.
const KEEPALIVES: (Duration, Duration, u32) = (Duration::from_secs(5), Duration::from_secs(2), 3);
/// What the library takes for a URL that does not say when to begin to ask.
const KEEPALIVES_UNSAID: Duration = Duration::from_hours(2);
/// How long what was sent may stay unacknowledged.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);
const PORT: u16 = 5432;

/// The URL of a PostgreSQL database: `postgres://USER:PASSWORD@HOST:PORT/DATABASE?OPTIONS`. Several servers,
/// of which one takes writes, stand as `HOST:PORT,HOST:PORT`. The options are those of `libpq`, as far as the
/// client library knows them.
///
/// Neither its text nor its `Debug` has the password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    config: Config,
    /// The certificates that the server's must lead to, in place of the system's.
    root_certificates: Option<PathBuf>,
}

/// A text is not the URL of a PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidDatabaseUrl {
    /// It begins otherwise.
    #[error("the URL of a database begins with postgres://")]
    Scheme,
    /// It names no server.
    #[error("the URL of the database names no server: postgres://USER@HOST:PORT/DATABASE")]
    NoServer,
    /// There must be one port for all servers, or one for each.
    #[error("the URL of the database has another number of ports than of servers")]
    Ports,
    /// It names no database.
    #[error("the URL names no database: postgres://USER@HOST:PORT/DATABASE")]
    NoDatabase,
    /// The password, or another part, has a letter that ends a part of a URL.
    #[error(
        "the URL of the database is more than one, or a part of it has a letter that ends the part: in a user \
         or a password write @ as %40, / as %2F, # as %23, ? as %3F, % as %25 and a space as %20"
    )]
    Unencoded,
    /// A part of it says nothing that is known.
    #[error("the URL of the database cannot be read: {0}")]
    Syntax(String),
}

/// One server of those that the URL names.
#[derive(Clone)]
pub(super) struct Server {
    /// Its name and port, for messages.
    pub(super) name: String,
    /// How to connect to it, and to it alone.
    pub(super) config: Config,
}

impl Server {
    /// How long connecting to it may take.
    pub(super) fn patience(&self) -> Duration {
        self.config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT)
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(InvalidDatabaseUrl::Scheme);
        }
        let (place, options) = text.split_once('?').unwrap_or((text, ""));
        if !is_well_parted(place) || options.contains(['@', '#', '\n', ' ']) {
            return Err(InvalidDatabaseUrl::Unencoded);
        }
        let (mut kept, mut root_certificates) = (Vec::new(), None);
        let (mut says_tls, mut says_roots) = (false, false);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("sslrootcert", "system")) => says_roots = true,
                Some(("sslrootcert", file)) => {
                    says_roots = true;
                    root_certificates = Some(decode(file)?.into());
                }
                Some(("sslmode", mode)) => {
                    says_tls = true;
                    // Whatever is encrypted is verified.
                    let is_strict = matches!(mode, "verify-ca" | "verify-full");
                    kept.push(if is_strict { "sslmode=require" } else { option });
                }
                _ => kept.push(option),
            }
        }
        let text = format!("{place}?{}", kept.join("&"));
        let mut config: Config = text.parse().map_err(|error| syntax(&error))?;
        if !says_tls {
            // Who names authorities wants to know who is there.
            let is_near = !says_roots && is_this_machine(&config);
            let mode = if is_near { SslMode::Disable } else { SslMode::Require };
            config.ssl_mode(mode);
        }
        match (config.get_hosts().len().max(config.get_hostaddrs().len()), config.get_ports()) {
            (0, _) => Err(InvalidDatabaseUrl::NoServer),
            _ if config.get_dbname().is_none() => Err(InvalidDatabaseUrl::NoDatabase),
            (servers, ports) if ports.len() > 1 && ports.len() != servers => {
                Err(InvalidDatabaseUrl::Ports)
            }
            _ => Ok(Self { config, root_certificates }),
        }
    }
}

/// Whether user and password end at the only `@`, before the only `/`, so that no part of a password is taken for a
/// server or a database, and shown as one.
fn is_well_parted(place: &str) -> bool {
    let place = place.split_once("://").map_or(place, |(_, place)| place);
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    authority.matches('@').count() <= 1
        && !database.contains(['@', '/'])
        && !place.contains(|letter: char| letter == '#' || letter.is_whitespace())
}

fn syntax(error: &tokio_postgres::Error) -> InvalidDatabaseUrl {
    let source = std::error::Error::source(error);
    InvalidDatabaseUrl::Syntax(source.map_or_else(|| error.to_string(), ToString::to_string))
}

/// `text` without percent signs.
fn decode(text: &str) -> Result<String, InvalidDatabaseUrl> {
    let wrong = || InvalidDatabaseUrl::Syntax("a percent sign begins no character".to_owned());
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// Whether what is sent stays on this machine.
fn is_this_machine(config: &Config) -> bool {
    let addresses = config.get_hostaddrs();
    let is_near = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) if name == "localhost" => true,
        Host::Tcp(name) => {
            name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
    };
    if addresses.is_empty() {
        config.get_hosts().iter().all(is_near)
    } else {
        addresses.iter().all(std::net::IpAddr::is_loopback)
    }
}

impl DatabaseUrl {
    /// Whether a password stands in it.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Whether anything may be sent in the clear.
    pub(super) fn is_encrypted(&self) -> bool {
        self.config.get_ssl_mode() != SslMode::Disable
    }

    /// The file with the certificates that the server's must lead to, if the URL names one.
    pub(super) const fn root_certificates(&self) -> Option<&PathBuf> {
        self.root_certificates.as_ref()
    }

    /// The servers, in their order.
    pub(super) fn servers(&self) -> Vec<Server> {
        let (hosts, addresses) = (self.config.get_hosts(), self.config.get_hostaddrs());
        (0..hosts.len().max(addresses.len())).map(|index| self.server(index)).collect()
    }

    fn server(&self, index: usize) -> Server {
        let url = &self.config;
        let mut config = Config::new();
        let host = url.get_hosts().get(index);
        match host {
            Some(Host::Tcp(name)) => config.host(name.as_str()),
            Some(Host::Unix(path)) => config.host_path(path),
            None => &mut config,
        };
        let address = url.get_hostaddrs().get(index);
        if let Some(address) = address {
            config.hostaddr(*address);
        }
        let port = self.port(index);
        config.port(port);
        self.copy_credentials(&mut config);
        self.copy_connection(&mut config);
        let name = match (host, address) {
            (Some(Host::Tcp(name)), _) => format!("{name}:{port}"),
            (Some(Host::Unix(path)), _) => format!("{}:{port}", path.display()),
            (None, Some(address)) => format!("{address}:{port}"),
            (None, None) => port.to_string(),
        };
        Server { name, config }
    }

    fn port(&self, index: usize) -> u16 {
        let ports = self.config.get_ports();
        ports.get(index).or_else(|| ports.first()).copied().unwrap_or(PORT)
    }

    fn copy_credentials(&self, config: &mut Config) {
        let url = &self.config;
        if let Some(user) = url.get_user() {
            config.user(user);
        }
        if let Some(password) = url.get_password() {
            config.password(password);
        }
        if let Some(database) = url.get_dbname() {
            config.dbname(database);
        }
        if let Some(options) = url.get_options() {
            config.options(options);
        }
        config.application_name(url.get_application_name().unwrap_or("countersign"));
    }

    fn copy_connection(&self, config: &mut Config) {
        let url = &self.config;
        let (idle, interval, retries) = KEEPALIVES;
        let said = Some(url.get_keepalives_idle()).filter(|said| *said != KEEPALIVES_UNSAID);
        config
            .ssl_mode(url.get_ssl_mode())
            .ssl_negotiation(url.get_ssl_negotiation())
            .channel_binding(url.get_channel_binding())
            // A standby takes no writes, but it can tell that a server which does was replaced.
            .target_session_attrs(TargetSessionAttrs::Any)
            .connect_timeout(url.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT))
            .tcp_user_timeout(url.get_tcp_user_timeout().copied().unwrap_or(TCP_USER_TIMEOUT))
            .keepalives(url.get_keepalives())
            .keepalives_idle(said.unwrap_or(idle))
            .keepalives_interval(url.get_keepalives_interval().unwrap_or(interval))
            .keepalives_retries(url.get_keepalives_retries().unwrap_or(retries));
    }
}

/// Without the password and the options.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.config.get_user() {
            write!(f, "{user}@")?;
        }
        let servers: Vec<_> = self.servers().into_iter().map(|server| server.name).collect();
        write!(f, "{}/{}", servers.join(","), self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> DatabaseUrl {
        text.parse().unwrap()
    }

    #[test]
    fn a_url_never_shows_its_password() {
        let url = url("postgres://alice:s3cret@db-1,db-2:5433/auth?password=s3cret");
        for shown in [url.to_string(), format!("{url:?}")] {
            assert!(!shown.contains("s3cret"), "{shown}");
        }
        assert_eq!(url.to_string(), "postgres://alice@db-1:5432,db-2:5433/auth");
        let refused: Result<DatabaseUrl, _> = "postgres://alice:s3cret@db/auth?x=y".parse();
        let refused = refused.unwrap_err();
        assert!(matches!(refused, InvalidDatabaseUrl::Syntax(_)));
        assert!(!refused.to_string().contains("s3cret"), "{refused}");
    }

    #[test]
    fn what_is_no_url_of_a_database_is_refused() {
        for (text, expected) in [
            ("host=db user=alice", InvalidDatabaseUrl::Scheme),
            ("https://db/auth", InvalidDatabaseUrl::Scheme),
            ("postgres://alice:p@ss@db/auth", InvalidDatabaseUrl::Unencoded),
            ("postgres://alice:S3cret/P@w#x@db:5432/auth", InvalidDatabaseUrl::Unencoded),
            ("postgres://alice:p?ss@db/auth", InvalidDatabaseUrl::Unencoded),
            ("postgres://a@db/auth\npostgres://a:s3cret@db/auth", InvalidDatabaseUrl::Unencoded),
            ("postgres://alice@db", InvalidDatabaseUrl::NoDatabase),
            ("postgres://alice@db/", InvalidDatabaseUrl::NoDatabase),
            ("postgres:///auth", InvalidDatabaseUrl::NoServer),
            ("postgres://a,b,c/auth?port=1,2", InvalidDatabaseUrl::Ports),
        ] {
            assert_eq!(text.parse::<DatabaseUrl>().unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn each_server_is_reached_by_itself_also_a_standby() {
        let servers =
            url("postgres://alice@a:1,b:2/auth?target_session_attrs=read-write").servers();
        let names: Vec<_> = servers.iter().map(|server| server.name.as_str()).collect();
        assert_eq!(names, ["a:1", "b:2"]);
        for Server { config, .. } in servers {
            assert_eq!(config.get_hosts().len(), 1);
            assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::Any);
            assert_eq!(config.get_user(), Some("alice"));
            assert_eq!(config.get_dbname(), Some("auth"));
            assert_eq!(config.get_connect_timeout(), Some(&CONNECT_TIMEOUT));
            assert_eq!(config.get_keepalives_idle(), KEEPALIVES.0);
            assert_eq!(config.get_tcp_user_timeout(), Some(&TCP_USER_TIMEOUT));
        }
        let other = url("postgres://a/auth?connect_timeout=9&keepalives_idle=8&tcp_user_timeout=7");
        let config = &other.servers()[0].config;
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(9)));
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(8));
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(7)));
    }

    #[test]
    fn whatever_leaves_the_machine_is_encrypted_unless_the_url_says_otherwise() {
        for (text, expected) in [
            ("postgres://localhost/auth", SslMode::Disable),
            ("postgres://127.0.0.1,[::1]/auth", SslMode::Disable),
            ("postgres://u@/auth?host=/run/postgresql", SslMode::Disable),
            ("postgres://db.example.com/auth", SslMode::Require),
            ("postgres://localhost,db.example.com/auth", SslMode::Require),
            ("postgres://localhost/auth?hostaddr=192.0.2.1", SslMode::Require),
            ("postgres://db.example.com/auth?sslmode=disable", SslMode::Disable),
            ("postgres://db.example.com/auth?sslmode=prefer", SslMode::Prefer),
            ("postgres://localhost/auth?sslmode=verify-full", SslMode::Require),
            // As through a tunnel.
            ("postgres://localhost/auth?sslrootcert=/etc/ca.pem", SslMode::Require),
            ("postgres://localhost/auth?sslrootcert=system", SslMode::Require),
            ("postgres://localhost/auth?sslrootcert=/ca.pem&sslmode=disable", SslMode::Disable),
        ] {
            assert_eq!(url(text).servers()[0].config.get_ssl_mode(), expected, "{text}");
        }
        let file = url("postgres://db/auth?sslrootcert=/etc/a%20b.pem&sslmode=verify-ca");
        assert_eq!(file.root_certificates(), Some(&PathBuf::from("/etc/a b.pem")));
        assert_eq!(url("postgres://db/auth?sslrootcert=system").root_certificates(), None);
    }
}

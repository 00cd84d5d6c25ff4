//! `countersign healthcheck`: whether the server that this configuration starts is ready.
//!
//! For containers and scripts without another HTTP client. It reads the same file and environment
//! as `serve`, so it needs no options if `serve` needs none.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use anyhow::{bail, ensure};
use clap::Args;
use countersign_protocol::wire;
use reqwest::{ClientBuilder, Response, StatusCode, redirect::Policy};

use crate::{
    config::{self, Listen, Location, Settings},
    output,
};

/// How much of the answer is shown if the server is not ready, in characters.
const SHOWN: usize = 300;

#[derive(Args)]
#[command(
    after_help = "Exit status: 0 if the server is ready, 1 if it is not, or does not answer."
)]
pub(crate) struct Options {
    #[command(flatten)]
    location: Location,

    /// The address that the server listens on, if `serve` got it by this option
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<Listen>,

    /// Ask at this URL instead, such as <https://auth.example.com>; no configuration is read then, and
    /// the server's certificate must be good
    #[arg(long, value_name = "URL", conflicts_with = "listen", value_parser = parse_origin)]
    url: Option<String>,

    /// How long the server may take to answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=300))]
    timeout: u64,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    // The server is on this machine, or at the given URL, so no proxy must be used.
    let client = ClientBuilder::new()
        .no_proxy()
        .redirect(Policy::none())
        .timeout(Duration::from_secs(options.timeout));
    let (origin, client) = match &options.url {
        Some(origin) => (origin.clone(), client),
        // The certificate is for the name that clients use, not for this address, so it is not
        // checked. Nothing secret is sent, and the answer only says whether the server is ready.
        None => (options.local_origin()?, client.tls_danger_accept_invalid_certs(true)),
    };
    let url = format!("{origin}{}", wire::path::READY);
    let asked = client.build()?.get(&url).send().await;
    let answer =
        asked.map_err(|error| anyhow::anyhow!("{url} does not answer: {}", explained(&error)))?;
    if answer.status() != StatusCode::OK {
        bail!("{url} answers {}: {}", answer.status(), beginning(answer).await);
    }
    Ok(output::line("ready")?)
}

impl Options {
    /// Where the server of this configuration answers on this machine.
    fn local_origin(&self) -> anyhow::Result<String> {
        let mut options = toml::Table::new();
        if let Some(address) = self.listen {
            options.insert("listen".to_owned(), address.to_string().into());
        }
        origin_of(&config::load(&self.location, options)?)
    }
}

fn origin_of(settings: &Settings) -> anyhow::Result<String> {
    // Where both loopback addresses are served, the IPv4 one is always among them.
    let (mut address, _) = settings.listen.addresses();
    ensure!(
        address.port() != 0,
        "the server listens on a port that is free at its start (port 0): say where it is, with \
         --url http://127.0.0.1:PORT"
    );
    address.set_ip(match address.ip() {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        one => one,
    });
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    Ok(format!("{scheme}://{address}"))
}

/// Reads `--url`, which may already end in the health check's path.
fn parse_origin(text: &str) -> Result<String, String> {
    let origin = text.trim_end_matches('/');
    let origin = origin.strip_suffix(wire::path::READY).unwrap_or(origin);
    if origin.starts_with("http://") || origin.starts_with("https://") {
        Ok(origin.to_owned())
    } else {
        Err(format!("write it with http:// or https://, such as http://{origin}"))
    }
}

/// The cause, with advice.
fn explained(error: &reqwest::Error) -> String {
    let cause = cause(error);
    let hint = tls_hint(&cause);
    cause + hint
}

/// Explains that one side speaks TLS and the other does not.
fn tls_hint(cause: &str) -> &'static str {
    if cause.contains("InvalidContentType") {
        "\n  is TLS spoken there at all? Without it: --url http://…"
    } else if cause.contains("HTTP version") || cause.contains("connection closed before message") {
        "\n  is TLS spoken there? What `serve` got by options, this command does not know: say it in the \
         configuration file or in the environment, which both read, or ask with --url https://…"
    } else {
        ""
    }
}

/// The last cause is the system's error; the causes before it only repeat the URL.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long (--timeout)".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The beginning of the server's answer.
async fn beginning(mut answer: Response) -> String {
    let chunk = answer.chunk().await.ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&chunk);
    text.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> anyhow::Result<String> {
        origin_of(&toml::from_str(text)?)
    }

    #[test]
    fn a_url_is_taken_with_the_path_and_not_without_the_scheme() {
        for text in ["https://a.example", "https://a.example/", "https://a.example/readyz"] {
            assert_eq!(parse_origin(text).unwrap(), "https://a.example");
        }
        let told = parse_origin("127.0.0.1:8090").unwrap_err();
        assert!(told.ends_with("such as http://127.0.0.1:8090"), "{told}");
    }

    #[test]
    fn the_server_is_asked_where_it_listens_on_this_machine() {
        for (listen, origin) in [
            ("localhost:8080", "http://127.0.0.1:8080"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:8080", "http://[::1]:8080"),
            ("192.0.2.7:8080", "http://192.0.2.7:8080"),
        ] {
            assert_eq!(asked(&format!("listen = {listen:?}")).unwrap(), origin);
        }
        let tls = "listen = \"0.0.0.0:8443\"\n[tls]\ncert = \"a\"\nkey = \"b\"";
        assert_eq!(asked(tls).unwrap(), "https://127.0.0.1:8443");
        let free = asked("listen = \"127.0.0.1:0\"").unwrap_err().to_string();
        assert!(free.contains("--url"), "{free}");
    }
}

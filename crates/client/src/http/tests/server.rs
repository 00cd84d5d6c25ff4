//! A server of a few lines, which answers as a test wants and keeps what it was asked.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use countersign_protocol::strict::base64url;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(own, _)| own == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is there twice");
        value
    }

    /// The claims of the DPoP proof.
    pub(super) fn proof(&self) -> Value {
        claims(self.header("dpop").expect("a DPoP header"))
    }

    /// A field of the form in the body.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let url = reqwest::Url::parse(&format!("form:?{}", self.body)).unwrap();
        let found = url.query_pairs().find(|(own, _)| own == name);
        found.map(|(_, value)| value.into_owned())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// The claims of a JWT, unverified.
pub(super) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64url::decode(payload).unwrap()).unwrap()
}

/// An answer: status, header fields, body. One with the status 0 gets lost: the connection ends.
pub(super) struct Answer(pub(super) u16, pub(super) Vec<(&'static str, String)>, pub(super) String);

pub(super) fn json(status: u16, body: &Value) -> Answer {
    Answer(status, vec![("content-type", "application/json".to_owned())], body.to_string())
}

impl Answer {
    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.1.push((name, value.to_owned()));
        self
    }
}

/// Listens on a port of this machine until the test process ends.
pub(super) struct Server {
    origin: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// `answer` gets the origin of this server and the request.
    pub(super) fn start(answer: impl Fn(&str, &Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(None, answer)
    }

    /// As [`Self::start`], for `https://localhost`.
    pub(super) fn start_tls(
        config: ServerConfig,
        answer: impl Fn(&str, &Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(Arc::new(config)), answer)
    }

    fn listen(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&str, &Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let origin = match &tls {
            None => format!("http://{address}"),
            Some(_) => format!("https://localhost:{}", address.port()),
        };
        let server = Self { origin: origin.clone(), asked: Arc::default() };
        let (asked, answer) = (Arc::clone(&server.asked), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (origin, asked, answer) = (origin.clone(), asked.clone(), answer.clone());
                let tls = tls.clone();
                thread::spawn(move || match tls {
                    None => drop(serve(stream, &origin, &asked, &*answer)),
                    Some(config) => {
                        let connection = ServerConnection::new(config).unwrap();
                        let stream = StreamOwned::new(connection, stream);
                        drop(serve(stream, &origin, &asked, &*answer));
                    }
                });
            }
        });
        server
    }

    pub(super) fn origin(&self) -> String {
        self.origin.clone()
    }

    /// Everything that was asked so far except for metadata.
    pub(super) fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| !asked.path.starts_with("/.well-known/")).cloned().collect()
    }
}

fn serve(
    stream: impl io::Read + io::Write,
    origin: &str,
    asked: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&str, &Asked) -> Answer,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader)? {
        let Answer(status, headers, body) = answer(origin, &request);
        asked.lock().unwrap().push(request);
        if status == 0 {
            return Ok(());
        }
        let mut head = format!("HTTP/1.1 {status} X\r\n");
        if !headers.iter().any(|(name, _)| *name == "transfer-encoding") {
            write!(head, "content-length: {}\r\n", body.len()).unwrap();
        }
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        reader.get_mut().write_all(format!("{head}\r\n{body}").as_bytes())?;
    }
    Ok(())
}

fn read_request(reader: &mut impl io::BufRead) -> io::Result<Option<Asked>> {
    let mut lines = reader.by_ref().lines();
    let Some(start) = lines.next().transpose()? else { return Ok(None) };
    let mut words = start.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut headers = Vec::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut asked = Asked { method, path, headers, body: String::new() };
    let length = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
    reader.take(length).read_to_string(&mut asked.body)?;
    Ok(Some(asked))
}

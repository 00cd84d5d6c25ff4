//! What is served of the account app: its files, and its pages with the server's settings in them.

use std::collections::HashMap;

use axum::body::Bytes;
use countersign_protocol::{
    digest::sha256,
    strict::{base64, base64url},
};
use http::HeaderValue;

use super::{
    encoded::Encoded,
    files::{Piece, WebFiles},
    shell::escape,
};

/// The account app of one server.
pub(crate) struct Site {
    files: HashMap<String, ServedFile>,
    pages: HashMap<String, Vec<Document>>,
    /// The part of the files' path that changes with the files.
    hash: String,
}

/// A file as it is served.
pub(crate) struct ServedFile {
    pub(crate) body: Encoded,
    pub(crate) media_type: HeaderValue,
    /// Whether it may run as a worker that compiles WebAssembly.
    pub(crate) is_worker: bool,
}

/// A page in one language.
pub(crate) struct Document {
    pub(crate) body: Encoded,
    /// Its entity tag, a weak one: it holds for the page in every coding.
    pub(crate) tag: HeaderValue,
    /// The tag of its language.
    pub(crate) language: HeaderValue,
    /// Its Content-Security-Policy.
    pub(crate) policy: HeaderValue,
}

/// Whether there are passkeys at a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PasskeysHere {
    /// There are.
    On,
    /// The operator has switched them off.
    Off,
    /// Browsers make none for its issuer.
    Impossible,
}

impl PasskeysHere {
    /// What `{{passkeys}}` becomes.
    const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Impossible => "impossible",
        }
    }
}

/// The name of the page at `/`.
const INDEX: &str = "index";

impl Site {
    /// The app of the server with this issuer identifier. `passkeys` says whether browsers can have
    /// passkeys of it.
    pub(crate) fn new(web: &WebFiles, issuer: &str, passkeys: PasskeysHere) -> Self {
        let is_served =
            |name: &str| ["pages/", "parts/"].iter().all(|made_of| !name.starts_with(made_of));
        let files = web.files.iter().filter(|(name, _)| is_served(name));
        let files = files.map(|(name, file)| {
            let body = Encoded::new(file.body.clone(), file.is_compressible);
            let is_worker = name.starts_with("workers/");
            (name.clone(), ServedFile { body, media_type: file.media_type.clone(), is_worker })
        });
        let pages = web.pages.iter().map(|(name, by_language)| {
            let path = if name == INDEX { "/".to_owned() } else { format!("/{name}") };
            let tags = web.languages.iter().map(|language| &language.tag);
            let documents = by_language.iter().zip(tags).map(|(pieces, language)| {
                Document::new(pieces, language, &escape(issuer), passkeys)
            });
            (path, documents.collect())
        });
        let path = web.path();
        let hash = path.rsplit('/').next().unwrap_or_default().to_owned();
        Self { files: files.collect(), pages: pages.collect(), hash }
    }

    /// The paths of all pages.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.pages.keys().map(String::as_str)
    }

    /// The page at `path`, in each language.
    pub(crate) fn page(&self, path: &str) -> Option<&[Document]> {
        self.pages.get(path).map(Vec::as_slice)
    }

    /// The file `name` among the files with this hash.
    pub(crate) fn file(&self, hash: &str, name: &str) -> Option<&ServedFile> {
        self.files.get(name).filter(|_| hash == self.hash)
    }

    /// The file `name`, whatever the others are.
    pub(crate) fn current_file(&self, name: &str) -> Option<&ServedFile> {
        self.files.get(name)
    }
}

impl Document {
    fn new(pieces: &[Piece], language: &str, issuer: &str, passkeys: PasskeysHere) -> Self {
        let text = |piece: &Piece| match piece {
            Piece::Html(html) => html.clone(),
            Piece::ImportMap(map) => format!("<script type=\"importmap\">{map}</script>\n"),
            Piece::Issuer => issuer.to_owned(),
            Piece::Passkeys => passkeys.as_str().to_owned(),
        };
        let html: String = pieces.iter().map(text).collect();
        let tag = format!("W/\"{}\"", base64url::encode(&sha256(&[html.as_bytes()])[..12]));
        let value =
            |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
        let (tag, language, policy) = (value(&tag), value(language), value(&policy(pieces)));
        Self { body: Encoded::new(Bytes::from(html), true), tag, language, policy }
    }
}

/// A page loads everything from its own server, and turns no text into script or markup. The one
/// inline element is the import map, known by its hash. Web Assembly is left to workers.
fn policy(pieces: &[Piece]) -> String {
    let inline = |piece: &Piece| match piece {
        Piece::ImportMap(map) => {
            Some(format!(" 'sha256-{}'", base64::encode(&sha256(&[map.as_bytes()]))))
        }
        Piece::Html(_) | Piece::Issuer | Piece::Passkeys => None,
    };
    let hashes: String = pieces.iter().filter_map(inline).collect();
    format!(
        "default-src 'none'; script-src 'self'{hashes}; style-src 'self'; img-src 'self'; \
         connect-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types countersign"
    )
}

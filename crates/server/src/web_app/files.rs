//! The files of `web/`, checked: whatever is wrong with them is found at the start.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::Path,
};

use axum::body::Bytes;
use countersign_protocol::{
    digest::sha256,
    strict::{base64, hex},
};
use http::HeaderValue;

use super::{
    embedded,
    languages::{self, Language, LanguageError},
    listing::files_below,
    media_types::media_type,
    modules::{self, ImportError, Imports},
    shell::{self, Part, Shared, ShellError, escape},
};

/// The largest file of a directory, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// The largest number of files of a directory.
const MAX_FILES: usize = 1000;
/// What stands around the content of all pages.
const FRAME: &str = "parts/frame.html";

/// The files of the account app. What they refer to is there.
pub struct WebFiles {
    pub(super) files: BTreeMap<String, WebFile>,
    pub(super) languages: Vec<Language>,
    /// By the path of the page, and then by language.
    pub(super) pages: BTreeMap<String, Vec<Vec<Piece>>>,
}

impl fmt::Debug for WebFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebFiles").field(&self.hash()).finish()
    }
}

pub(super) struct WebFile {
    pub(super) body: Bytes,
    sha256: [u8; 32],
    pub(super) media_type: HeaderValue,
    pub(super) is_compressible: bool,
    /// Of a module.
    imports: Option<Imports>,
}

/// A part of a page that is filled in but for what depends on the server's settings.
pub(super) enum Piece {
    Html(String),
    /// The hashes of all modules, as the text of an import map.
    ImportMap(String),
    Issuer,
    Passkeys,
}

/// What is wrong with the files.
#[derive(Debug, thiserror::Error)]
pub enum WebFilesError {
    /// The directory cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It has more files than an account app can have.
    #[error("there are {0} files, and at most {MAX_FILES} are served")]
    TooMany(usize),
    /// A file is larger than files of an account app are.
    #[error("{0} has {1} bytes, and at most {MAX_FILE_BYTES} are served")]
    TooLarge(String, u64),
    /// A file of a kind that no page can use.
    #[error("{0}: what is this? The ending of its name says no known media type")]
    UnknownKind(String),
    /// A module, page or language that is not UTF-8.
    #[error("{0} is not UTF-8")]
    NotUtf8(String),
    /// A module imports what it may not, or what is not there.
    #[error("{0}: {1}")]
    Import(String, #[source] ImportError),
    /// A file of texts is wrong.
    #[error("{0}: {1}")]
    Language(String, #[source] LanguageError),
    /// The language of clients that ask for none of the others is missing.
    #[error("lang/{}.js is missing", languages::DEFAULT)]
    NoDefaultLanguage,
    /// A text is there in one language and not in another.
    #[error("lang/{language}.js has no text {key:?}, which another language has")]
    Untranslated {
        /// The tag of the language that lacks it.
        language: String,
        /// The text's key.
        key: String,
    },
    /// What stands around the content of all pages is missing.
    #[error("{FRAME} is missing")]
    NoFrame,
    /// A page has a placeholder that is none, or the frame lacks one.
    #[error("{0}: {1}")]
    Shell(String, #[source] ShellError),
    /// A page wants a text that no language has.
    #[error("{page}: there is no text {key:?}")]
    NoText {
        /// The file of the page.
        page: String,
        /// The text's key.
        key: String,
    },
    /// A page wants a file that is not there.
    #[error("{page}: there is no file {file}")]
    NoFile {
        /// The file of the page.
        page: String,
        /// The file's name.
        file: String,
    },
    /// A directory has other pages than this version, which decides where pages can be.
    #[error(
        "pages/{0}.html is in one of them only: the directory and this version have the same pages"
    )]
    OtherPages(String),
}

impl WebFiles {
    /// The files that are part of this binary.
    ///
    /// # Errors
    /// What is wrong with them. A test of this crate makes sure that nothing is.
    pub fn embedded() -> Result<Self, WebFilesError> {
        let named =
            |&(name, body): &(&str, &'static [u8])| (name.to_owned(), Bytes::from_static(body));
        Self::check(embedded::FILES.iter().map(named))
    }

    /// The files below `directory`, which stand in for those of this binary. They are read once.
    ///
    /// # Errors
    /// What is wrong with them, and pages that this version does not have, or has besides.
    pub fn read(directory: &Path) -> Result<Self, WebFilesError> {
        let listed = files_below(directory)?;
        if listed.len() > MAX_FILES {
            return Err(WebFilesError::TooMany(listed.len()));
        }
        let mut files = Vec::new();
        for (name, path) in listed {
            let bytes = fs::metadata(&path)?.len();
            if bytes > MAX_FILE_BYTES {
                return Err(WebFilesError::TooLarge(name, bytes));
            }
            files.push((name, Bytes::from(fs::read(path)?)));
        }
        let (read, own) = (Self::check(files.into_iter())?, Self::embedded()?);
        let lacks = |files: &Self, name: &&String| !files.pages.contains_key(*name);
        let other = read.pages.keys().find(|name| lacks(&own, name));
        match other.or_else(|| own.pages.keys().find(|name| lacks(&read, name))) {
            Some(name) => Err(WebFilesError::OtherPages(name.clone())),
            None => Ok(read),
        }
    }

    /// SHA-256 over all files: over [`Self::list`].
    pub fn hash(&self) -> String {
        hex::encode(&sha256(&[self.list().as_bytes()]))
    }

    /// A line for each file with its SHA-256 and its name, as `sha256sum` writes it, in the order of
    /// the names' bytes.
    pub fn list(&self) -> String {
        let line =
            |(name, file): (&String, &WebFile)| format!("{}  {name}\n", hex::encode(&file.sha256));
        self.files.iter().map(line).collect()
    }

    /// The path below which the files are served. It is another one for other files.
    pub(super) fn path(&self) -> String {
        const DIGITS: usize = 16;
        format!("/web/{}", &self.hash()[..DIGITS])
    }

    fn check(files: impl Iterator<Item = (String, Bytes)>) -> Result<Self, WebFilesError> {
        let files = files.map(|(name, body)| {
            let Some((media_type, is_compressible)) = media_type(&name) else {
                return Err(WebFilesError::UnknownKind(name));
            };
            let sha256 = sha256(&[&body]);
            let module = name.strip_suffix(".js").and_then(|_| std::str::from_utf8(&body).ok());
            let imports = module.map(|text| modules::imports(&name, text));
            Ok((name, WebFile { body, sha256, media_type, is_compressible, imports }))
        });
        let files = files.collect::<Result<_, _>>()?;
        let mut checked = Self { files, languages: Vec::new(), pages: BTreeMap::new() };
        checked.check_modules()?;
        checked.languages = checked.read_languages()?;
        checked.pages = checked.fill_pages()?;
        Ok(checked)
    }

    /// The names below `directory` that end so, without both.
    fn names<'a>(
        &'a self,
        directory: &'a str,
        ending: &'a str,
    ) -> impl Iterator<Item = (&'a String, &'a str)> {
        self.files.keys().filter_map(move |name| {
            let own_name = name.strip_prefix(directory)?.strip_suffix(ending)?;
            Some((name, own_name))
        })
    }

    fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(&self.files.get(name)?.body).ok()
    }

    fn readable(&self, name: &str) -> Result<&str, WebFilesError> {
        self.text(name).ok_or_else(|| WebFilesError::NotUtf8(name.to_owned()))
    }

    fn imports_of(&self, name: &str) -> Option<&Imports> {
        self.files.get(name)?.imports.as_ref()
    }

    fn modules_of(&self, entry: &str) -> Result<Vec<String>, WebFilesError> {
        let needed = modules::needed_by(entry, |name| self.imports_of(name));
        let needed = needed.map_err(|(module, error)| WebFilesError::Import(module, error))?;
        Ok(needed.into_iter().collect())
    }

    fn check_modules(&self) -> Result<(), WebFilesError> {
        for (name, _) in self.names("js/", ".js").chain(self.names("workers/", ".js")) {
            self.readable(name)?;
            self.modules_of(name)?;
        }
        Ok(())
    }

    /// The languages, the default first.
    fn read_languages(&self) -> Result<Vec<Language>, WebFilesError> {
        let mut languages = Vec::new();
        let is_whole = |(_, tag): &(&String, &str)| !tag.contains('/');
        for (name, tag) in self.names("lang/", ".js").filter(is_whole) {
            let at_fault = |error| WebFilesError::Language(name.clone(), error);
            let mut language = Language::parse(tag, self.readable(name)?).map_err(at_fault)?;
            for (name, part) in self.names(&format!("lang/{tag}/"), ".js") {
                let at_fault = |error| WebFilesError::Language(name.clone(), error);
                language.add(part, self.readable(name)?).map_err(at_fault)?;
            }
            languages.push(language);
        }
        languages.sort_by_key(|language| language.tag != languages::DEFAULT);
        let has_default = languages.first().is_some_and(|first| first.tag == languages::DEFAULT);
        if !has_default {
            return Err(WebFilesError::NoDefaultLanguage);
        }
        for language in &languages {
            let keys = languages.iter().flat_map(|other| other.texts.keys());
            if let Some(key) = keys.into_iter().find(|key| !language.texts.contains_key(*key)) {
                let (language, key) = (language.tag.clone(), key.clone());
                return Err(WebFilesError::Untranslated { language, key });
            }
        }
        Ok(languages)
    }

    /// What pages share.
    fn shared(&self) -> Result<Shared<'_>, WebFilesError> {
        let mut parts = BTreeMap::new();
        for (file, name) in self.names("parts/", ".html") {
            parts.insert(name, self.readable(file)?);
        }
        let frame = parts.remove("frame").ok_or(WebFilesError::NoFrame)?;
        Shared::new(frame, parts).map_err(|error| WebFilesError::Shell(FRAME.to_owned(), error))
    }

    fn fill_pages(&self) -> Result<BTreeMap<String, Vec<Vec<Piece>>>, WebFilesError> {
        let web = self.path();
        let shared = self.shared()?;
        let mut pages = BTreeMap::new();
        for (file, name) in self.names("pages/", ".html") {
            let wrong = |error| WebFilesError::Shell(file.clone(), error);
            let page = shared.page(name, self.readable(file)?).map_err(wrong)?;
            let parts = shell::parse(&page).map_err(wrong)?;
            let in_language =
                |language| Page { files: self, file, web: &web, language }.fill(&parts);
            let filled = self.languages.iter().map(in_language).collect::<Result<_, _>>()?;
            pages.insert(name.to_owned(), filled);
        }
        Ok(pages)
    }
}

/// A page that is being filled in.
struct Page<'a> {
    files: &'a WebFiles,
    file: &'a str,
    web: &'a str,
    language: &'a Language,
}

impl Page<'_> {
    fn fill(&self, parts: &[Part<'_>]) -> Result<Vec<Piece>, WebFilesError> {
        let mut pieces = Vec::with_capacity(parts.len() + 1);
        for part in parts {
            if let Part::Entry(module) = part {
                pieces.push(Piece::ImportMap(self.import_map(module)?));
            }
            pieces.push(self.piece(part)?);
        }
        Ok(pieces)
    }

    fn piece(&self, part: &Part<'_>) -> Result<Piece, WebFilesError> {
        Ok(Piece::Html(match *part {
            Part::Html(html) => html.to_owned(),
            Part::Text(key) => escape(self.language.texts.get(key).ok_or_else(|| {
                WebFilesError::NoText { page: self.file.to_owned(), key: key.to_owned() }
            })?),
            Part::Entry(module) => self.entry(module)?,
            Part::Files(names) => self.links(names)?,
            Part::Style => {
                format!("<link rel=\"stylesheet\" {}>", self.source("href", "css/app.css")?)
            }
            Part::Language => escape(&self.language.tag),
            Part::Direction => self.language.direction().to_owned(),
            Part::Web => self.web.to_owned(),
            Part::Issuer => return Ok(Piece::Issuer),
            Part::Passkeys => return Ok(Piece::Passkeys),
        }))
    }

    /// The elements that load the module `entry`. All modules that it needs are loaded with it, each
    /// with its hash.
    fn entry(&self, entry: &str) -> Result<String, WebFilesError> {
        let mut html = String::new();
        for module in self.needed_by(entry)? {
            let source = self.source("href", &module)?;
            html.push_str(&["<link rel=\"modulepreload\" ", &source, ">\n"].concat());
        }
        let source = self.source("src", entry)?;
        Ok(format!("{html}<script type=\"module\" {source}></script>"))
    }

    /// Links to the files `names`, separated by spaces, and to all modules that they import, each with
    /// its hash. They load nothing: they tell the page what a worker is going to load.
    fn links(&self, names: &str) -> Result<String, WebFilesError> {
        let mut files = BTreeSet::new();
        for name in names.split_whitespace() {
            if self.files.imports_of(name).is_some() {
                files.extend(self.files.modules_of(name)?);
            }
            files.insert(name.to_owned());
        }
        let link = |name: &String| Ok(["<link ", &self.source("href", name)?, ">\n"].concat());
        files.iter().map(link).collect()
    }

    /// The hashes of `entry` and of the modules that it needs (HTML §8.1.5.2, "integrity"). `WebKit`
    /// takes the hash of an imported module from here and nowhere else.
    fn import_map(&self, entry: &str) -> Result<String, WebFilesError> {
        let mut hashes = serde_json::Map::new();
        for module in self.needed_by(entry)?.into_iter().chain([entry.to_owned()]) {
            let hash = self.hash(&module)?;
            hashes.insert(format!("{}/{module}", self.web), hash.into());
        }
        Ok(serde_json::json!({ "integrity": hashes }).to_string())
    }

    /// The modules that `entry` needs, those with the texts among them.
    fn needed_by(&self, entry: &str) -> Result<Vec<String>, WebFilesError> {
        if self.files.text(entry).is_none() {
            let (page, file) = (self.file.to_owned(), entry.to_owned());
            return Err(WebFilesError::NoFile { page, file });
        }
        let mut modules = self.files.modules_of(entry)?;
        modules.extend(self.language.files(&modules));
        Ok(modules)
    }

    /// The attributes that name the file `name` and its hash (Subresource Integrity §3.3).
    fn source(&self, attribute: &str, name: &str) -> Result<String, WebFilesError> {
        let hash = self.hash(name)?;
        Ok(format!("{attribute}=\"{}/{}\" integrity=\"{hash}\"", self.web, escape(name)))
    }

    fn hash(&self, name: &str) -> Result<String, WebFilesError> {
        let no_file =
            || WebFilesError::NoFile { page: self.file.to_owned(), file: name.to_owned() };
        let file = self.files.files.get(name).ok_or_else(no_file)?;
        Ok(format!("sha256-{}", base64::encode(&file.sha256)))
    }
}

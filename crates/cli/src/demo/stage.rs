//! The stage: sends requests, shows the parts that matter, and checks the answers.

use std::io::IsTerminal as _;

use anyhow::{Context as _, ensure};
use countersign_client::{
    AccessToken,
    proof::{NewKeyProof, Proof},
};
use countersign_protocol::{
    keys::PrivateKey,
    ports::{Clock as _, Random},
    wire,
};
use countersign_system::{SystemClock, SystemRandom};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use crate::output;

/// One HTTP client and one storyteller.
pub(super) struct Stage {
    pub(super) issuer: String,
    http: reqwest::Client,
    clock: SystemClock,
    random: SystemRandom,
    scenes: usize,
    thieves: usize,
    colours: bool,
}

/// A request as the story tells it.
#[derive(Default)]
pub(super) struct Scene<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    /// The scheme and the token of `Authorization`.
    pub(super) authorization: Option<(&'a str, &'a AccessToken)>,
    /// The `DPoP` header, and a description of it.
    pub(super) proof: Option<(&'a str, &'a str)>,
    pub(super) json: Option<Value>,
    pub(super) form: Vec<(&'a str, String)>,
}

/// The answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) nonce: Option<String>,
    pub(super) body: Value,
    challenge: Option<String>,
}

impl Stage {
    pub(super) fn open(issuer: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Ok(Self {
            issuer,
            http,
            clock: SystemClock::new(),
            random: SystemRandom,
            scenes: 0,
            thieves: 0,
            colours,
        })
    }

    /// A numbered heading.
    pub(super) fn heading(&mut self, text: &str) -> anyhow::Result<()> {
        self.scenes += 1;
        let heading = self.bold(&format!("{}. {text}", self.scenes));
        Ok(output::line(format!("\n{heading}"))?)
    }

    /// A proof by `key`, good for one use, for a request whose URI is its path.
    pub(super) fn proof(&self, key: &PrivateKey, request: Proof<'_>) -> anyhow::Result<String> {
        let uri = self.url(request.uri);
        Ok(Proof { uri: &uri, ..request }.sign(key, self.clock.now(), self.random())?)
    }

    /// A proof by the new key `key`, to be added to this account.
    pub(super) fn new_key_proof(
        &self,
        key: &PrivateKey,
        path: &str,
        account: &str,
    ) -> anyhow::Result<String> {
        let proof = NewKeyProof { uri: &self.url(path), account };
        Ok(proof.sign(key, self.clock.now(), self.random())?)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    pub(super) fn now(&self) -> countersign_protocol::UnixTime {
        self.clock.now()
    }

    pub(super) fn random(&self) -> &dyn Random {
        &self.random
    }

    /// Sends a request, shows it and its answer, and checks the status.
    pub(super) async fn play(
        &self,
        scene: Scene<'_>,
        expected: StatusCode,
    ) -> anyhow::Result<Answer> {
        output::line(format!("   > {} {}", scene.method, self.url(scene.path)))?;
        let mut request = self.http.request(scene.method.clone(), self.url(scene.path));
        if let Some((scheme, token)) = scene.authorization {
            output::line(format!("   > Authorization: {scheme} {}", shortened(token.expose())))?;
            request = request.header("authorization", format!("{scheme} {}", token.expose()));
        }
        if let Some((name, proof)) = scene.proof {
            output::line(format!("   > DPoP: {}   ({name})", shortened(proof)))?;
            request = request.header(wire::header::DPOP, proof);
        }
        if let Some(json) = &scene.json {
            output::line(format!("   > {}", shown(json)))?;
            request = request.header("content-type", "application/json").body(json.to_string());
        }
        if !scene.form.is_empty() {
            for (name, value) in &scene.form {
                output::line(format!("   > {name}={}", shortened(value)))?;
            }
            let body = form_urlencode(&scene.form);
            request = request.header("content-type", FORM).body(body);
        }
        let answer =
            Answer::read(request.send().await.context("the server does not answer")?).await?;
        self.show(&answer)?;
        ensure!(answer.status == expected, "the answer should have been {expected}");
        Ok(answer)
    }

    /// The same for a thief, who must be refused with `error` in the challenge.
    pub(super) async fn refuse(&mut self, scene: Scene<'_>, error: &str) -> anyhow::Result<()> {
        let answer = self.play(scene, StatusCode::UNAUTHORIZED).await?;
        let challenge = answer.challenge.unwrap_or_default();
        ensure!(
            challenge.contains(&format!("error=\"{error}\"")),
            "the thief should have been refused with {error}"
        );
        self.thieves += 1;
        let refused = self.bold("refused");
        say(&format!("→ {refused}"))
    }

    pub(super) const fn thieves_refused(&self) -> usize {
        self.thieves
    }

    /// The end.
    pub(super) fn curtain(&self) -> anyhow::Result<()> {
        let end =
            format!("\nEvery one of {} attempts with the stolen token was refused.", self.thieves);
        output::line(self.bold(&end))?;
        Ok(output::line("Next: countersign serve, then countersign register NAME")?)
    }

    fn show(&self, answer: &Answer) -> anyhow::Result<()> {
        output::line(format!("   < {}", self.bold(&answer.status.to_string())))?;
        if let Some(challenge) = &answer.challenge {
            output::line(format!("   < WWW-Authenticate: {challenge}"))?;
        } else if !answer.body.is_null() {
            output::line(format!("   < {}", shown(&answer.body)))?;
        }
        Ok(())
    }

    fn bold(&self, text: &str) -> String {
        if self.colours { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A remark of the storyteller.
pub(super) fn say(text: &str) -> anyhow::Result<()> {
    Ok(output::line(format!("   {text}"))?)
}

const FORM: &str = "application/x-www-form-urlencoded";

impl Answer {
    async fn read(response: Response) -> anyhow::Result<Self> {
        let text = |name: &str| {
            let value = response.headers().get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        let (status, nonce) = (response.status(), text(wire::header::DPOP_NONCE));
        let challenge = text("www-authenticate");
        let body = response.bytes().await?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(Self { status, nonce, body, challenge })
    }

    /// The access token in the answer of the token endpoint.
    pub(super) fn access_token(&self) -> anyhow::Result<AccessToken> {
        let token = self.body["access_token"].as_str().context("there is no access_token")?;
        Ok(AccessToken::new(token.to_owned())?)
    }
}

/// Long texts by their beginning and end.
fn shortened(text: &str) -> String {
    const KEEP: usize = 16;
    match (text.get(..KEEP), text.get(text.len().saturating_sub(KEEP)..)) {
        (Some(start), Some(end)) if text.len() > 3 * KEEP => format!("{start}…{end}"),
        _ => text.to_owned(),
    }
}

/// JSON with its long strings shortened; a token in it would fill the screen.
fn shown(value: &Value) -> String {
    fn shorten(value: &Value) -> Value {
        match value {
            Value::String(text) if text.len() > 72 => shortened(text).into(),
            Value::Object(members) => {
                members.iter().map(|(name, value)| (name.clone(), shorten(value))).collect()
            }
            other => other.clone(),
        }
    }
    shorten(value).to_string()
}

fn form_urlencode(fields: &[(&str, String)]) -> String {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(fields).finish()
}

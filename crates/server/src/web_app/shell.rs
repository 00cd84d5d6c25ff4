//! The pages of `web/pages`: a frame is put around them, and their placeholders become text.

use std::collections::BTreeMap;

/// A part of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// HTML as it is.
    Html(&'a str),
    /// `{{t:key}}`: the text with this key, in the page's language.
    Text(&'a str),
    /// `{{entry:js/pages/x.js}}`: the elements that load this module and all that it needs.
    Entry(&'a str),
    /// `{{files:workers/x.js vendor/y}}`: links to these files and to all modules that they import.
    Files(&'a str),
    /// `{{style}}`: the element that loads the style sheet.
    Style,
    /// `{{lang}}`: the tag of the language.
    Language,
    /// `{{dir}}`: the direction of its writing.
    Direction,
    /// `{{web}}`: the path below which all files are served.
    Web,
    /// `{{issuer}}`: the issuer identifier.
    Issuer,
    /// `{{passkeys}}`: `on`, `off` where they are switched off, `impossible` where browsers refuse them.
    Passkeys,
}

/// A placeholder that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShellError {
    /// There is no such placeholder.
    #[error("there is no placeholder {{{{{0}}}}}")]
    Unknown(String),
    /// It has no end.
    #[error("a placeholder has no end: {{{{{0}")]
    Open(String),
    /// A page does not say its title.
    #[error("its first line is not {{{{title:key}}}}")]
    NoTitle,
    /// The frame has no place for a part of the pages.
    #[error("it has no placeholder {{{{{0}}}}}")]
    NoPlace(&'static str),
}

/// The HTML that pages share.
pub(super) struct Shared<'a> {
    /// What stands around the content of each page.
    frame: &'a str,
    /// By name, what a page takes in by `{{part:name}}`.
    parts: BTreeMap<&'a str, &'a str>,
}

impl<'a> Shared<'a> {
    /// `frame` is checked: it has a place for the title, the program and the content of a page.
    ///
    /// # Errors
    /// The place that it lacks.
    pub(super) fn new(
        frame: &'a str,
        parts: BTreeMap<&'a str, &'a str>,
    ) -> Result<Self, ShellError> {
        let places = ["title", "program", "content"];
        match places.into_iter().find(|place| !frame.contains(&written(place))) {
            Some(place) => Err(ShellError::NoPlace(place)),
            None => Ok(Self { frame, parts }),
        }
    }

    /// The page `name` in its frame. What it takes in takes in nothing more.
    ///
    /// # Errors
    /// A page whose first line is not its title.
    pub(super) fn page(&self, name: &str, page: &str) -> Result<String, ShellError> {
        let first = page.strip_prefix("{{title:").and_then(|rest| rest.split_once("}}\n"));
        let (title, content) = first.ok_or(ShellError::NoTitle)?;
        let content = self.with_parts(content.trim_end());
        let title = written(&format!("t:{title}"));
        let entry = written(&format!("entry:js/pages/{name}.js"));
        let framed = self.frame.replacen(&written("title"), &title, 1);
        let framed = framed.replacen(&written("program"), &entry, 1);
        Ok(framed.replacen(&written("content"), &content, 1))
    }

    /// `content` with its parts. What is no part stays as it is, and is refused with the other unknown
    /// placeholders.
    fn with_parts(&self, content: &str) -> String {
        const OPEN: &str = "{{part:";
        let mut pieces = content.split(OPEN);
        let mut html = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let part = piece
                .split_once("}}")
                .and_then(|(name, after)| Some((self.parts.get(name)?.trim_end(), after)));
            let (part, after) = part.unwrap_or((OPEN, piece));
            html.push_str(part);
            html.push_str(after);
        }
        html
    }
}

/// The placeholder with this name.
fn written(name: &str) -> String {
    ["{{", name, "}}"].concat()
}

/// The parts of a page.
///
/// # Errors
/// A placeholder that is none.
pub(super) fn parse(page: &str) -> Result<Vec<Part<'_>>, ShellError> {
    let mut parts = Vec::new();
    let mut rest = page;
    while let Some((html, after)) = rest.split_once("{{") {
        let open = || ShellError::Open(after.chars().take(20).collect());
        let (name, after) = after.split_once("}}").ok_or_else(open)?;
        parts.push(Part::Html(html));
        parts.push(placeholder(name)?);
        rest = after;
    }
    parts.push(Part::Html(rest));
    Ok(parts)
}

fn placeholder(name: &str) -> Result<Part<'_>, ShellError> {
    Ok(match name.split_once(':') {
        Some(("t", key)) => Part::Text(key),
        Some(("entry", module)) => Part::Entry(module),
        Some(("files", names)) => Part::Files(names),
        None if name == "style" => Part::Style,
        None if name == "lang" => Part::Language,
        None if name == "dir" => Part::Direction,
        None if name == "web" => Part::Web,
        None if name == "issuer" => Part::Issuer,
        None if name == "passkeys" => Part::Passkeys,
        _ => return Err(ShellError::Unknown(name.to_owned())),
    })
}

/// `text` as it is written in HTML, between tags and in attributes.
pub(super) fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_html_and_placeholders() {
        let parts =
            parse("<a href=\"{{web}}/x\">{{t:a.b}}</a>{{entry:js/a.js}}{{files:b c}}").unwrap();
        let expected = [
            Part::Html("<a href=\""),
            Part::Web,
            Part::Html("/x\">"),
            Part::Text("a.b"),
            Part::Html("</a>"),
            Part::Entry("js/a.js"),
            Part::Html(""),
            Part::Files("b c"),
            Part::Html(""),
        ];
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_page_is_put_into_the_frame() {
        let parts = BTreeMap::from([("start", "<p>{{t:s}}</p>\n")]);
        let shared =
            Shared::new("<title>{{title}}</title>{{program}}\n{{content}}\n", parts).unwrap();
        let page = shared.page("a/b", "{{title:b.title}}\n<h1>x</h1>\n{{part:start}}\n").unwrap();
        let expected = "<title>{{t:b.title}}</title>{{entry:js/pages/a/b.js}}\n\
                        <h1>x</h1>\n<p>{{t:s}}</p>\n";
        assert_eq!(page, expected);
        assert_eq!(shared.page("a", "<h1>x</h1>\n"), Err(ShellError::NoTitle));
    }

    #[test]
    fn only_the_frame_has_places_and_a_part_that_is_none_is_refused() {
        let frame = "{{title}}{{program}}{{content}}";
        let shared = Shared::new(frame, BTreeMap::from([("a", "{{part:b}}"), ("b", "b")])).unwrap();
        let refused = |name: &str| {
            let page = shared.page("x", &format!("{{{{title:t}}}}\n{{{{{name}}}}}\n")).unwrap();
            parse(&page).unwrap_err()
        };
        for name in ["content", "program", "title", "part:c", "title:again"] {
            assert_eq!(refused(name), ShellError::Unknown(name.to_owned()));
        }
        assert_eq!(refused("part:a"), ShellError::Unknown("part:b".to_owned()));
        let lacking = Shared::new("{{title}}{{content}}", BTreeMap::new()).err();
        assert_eq!(lacking, Some(ShellError::NoPlace("program")));
    }

    #[test]
    fn an_unknown_placeholder_is_refused() {
        for name in ["", "name", "T:a", "name:x", "web ", " web", "issuer:x"] {
            let page = format!("<p>{{{{{name}}}}}</p>");
            assert_eq!(parse(&page), Err(ShellError::Unknown(name.to_owned())));
        }
        assert_eq!(parse("a {{web"), Err(ShellError::Open("web".to_owned())));
    }

    #[test]
    fn a_text_cannot_become_markup() {
        assert_eq!(escape("<a b=\"c\" d='e'>&"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;");
    }
}

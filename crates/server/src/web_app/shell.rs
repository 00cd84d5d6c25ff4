//! The pages of `web/pages`, whose placeholders become text.

/// A part of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// HTML as it is.
    Html(&'a str),
    /// `{{t:key}}`: the text with this key, in the page's language.
    Text(&'a str),
    /// `{{entry:js/pages/x.js}}`: the elements that load this module and all that it needs.
    Entry(&'a str),
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
    /// `{{passkeys}}`: `on`, or `off` where browsers would refuse them.
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
        let parts = parse("<a href=\"{{web}}/x\">{{t:a.b}}</a>{{entry:js/a.js}}").unwrap();
        let expected = [
            Part::Html("<a href=\""),
            Part::Web,
            Part::Html("/x\">"),
            Part::Text("a.b"),
            Part::Html("</a>"),
            Part::Entry("js/a.js"),
            Part::Html(""),
        ];
        assert_eq!(parts, expected);
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

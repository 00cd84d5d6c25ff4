//! What must hold for the files of `web/`, besides what is checked at every start.

use std::collections::{BTreeMap, BTreeSet};

use super::{embedded, files::WebFiles};

fn web() -> WebFiles {
    WebFiles::embedded().unwrap_or_else(|error| unreachable!("web/{error}"))
}

/// All own files with this ending, by their names.
fn texts(ending: &str) -> Vec<(&'static str, &'static str)> {
    let own = embedded::FILES.iter().filter(|(name, _)| {
        name.ends_with(ending) && !name.starts_with("vendor/") && !name.starts_with("lang/")
    });
    own.map(|&(name, body)| (name, std::str::from_utf8(body).unwrap())).collect()
}

/// The texts between `before` and `after`, each time that `before` is there.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let found = text.split(before).skip(1);
    found.filter_map(|rest| rest.split_once(after)).map(|(found, _)| found).collect()
}

#[test]
fn the_files_are_complete() {
    assert!(web().pages.contains_key("index"));
}

#[test]
fn every_text_says_the_same_values_in_every_language() {
    let web = web();
    let values = |text: &str| {
        between(text, "{", "}").into_iter().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    for (key, text) in &web.languages[0].texts {
        for other in &web.languages[1..] {
            assert_eq!(values(text), values(&other.texts[key]), "{key} in {}", other.tag);
        }
    }
}

/// The keys for which a script asks: those of `t("key")`, and everything else that stands in quotes
/// or before `${` in a template.
fn mentions(script: &str) -> BTreeSet<&str> {
    let quotes = ["\"", "'", "`"].into_iter().flat_map(|mark| {
        let mut ends = script.match_indices(mark).map(|(index, _)| index).peekable();
        let mut found = Vec::new();
        while let (Some(start), Some(&end)) = (ends.next(), ends.peek()) {
            found.push(script[start + 1..end].split("${").next().unwrap_or_default());
        }
        found
    });
    quotes.collect()
}

#[test]
fn every_text_is_used() {
    let (pages, scripts) = (texts(".html"), texts(".js"));
    let in_pages = pages.iter().flat_map(|(_, page)| between(page, "{{t:", "}}"));
    let used: BTreeSet<&str> =
        in_pages.chain(scripts.iter().flat_map(|(_, script)| mentions(script))).collect();
    for key in web().languages[0].texts.keys() {
        let singular = key
            .rsplit_once('.')
            .filter(|(_, form)| ["zero", "one", "two", "few", "many", "other"].contains(form));
        let whole = singular.map_or(key.as_str(), |(key, _)| key);
        // `t("error." + code)` uses all that begins so.
        let ends = whole.match_indices('.').map(|(dot, _)| &whole[..=dot]);
        let is_used = used.contains(whole) || used.contains(key.as_str());
        let is_used = is_used || ends.into_iter().any(|beginning| used.contains(beginning));
        assert!(is_used || key.starts_with("language."), "nothing uses the text {key}");
    }
}

#[test]
fn every_text_that_a_script_asks_for_is_there() {
    let web = web();
    let texts_by_key: &BTreeMap<String, String> = &web.languages[0].texts;
    for (name, script) in texts(".js") {
        for call in ["t(\"", "t('", "t(`"] {
            let mark = &call[2..];
            for (index, _) in script.match_indices(call) {
                let is_own_word = script[..index]
                    .chars()
                    .next_back()
                    .is_none_or(|before| !before.is_alphanumeric() && !"_$.".contains(before));
                let Some((key, _)) = script[index + 3..].split_once(mark) else { continue };
                let is_there = texts_by_key.contains_key(key)
                    || texts_by_key.contains_key(&format!("{key}.other"));
                let is_part = key.ends_with('.') || key.contains("${");
                assert!(!is_own_word || is_there || is_part, "{name}: no text {key}");
            }
        }
    }
}

#[test]
fn every_file_that_a_page_names_is_there() {
    let web = web();
    for (name, page) in texts(".html") {
        for file in between(page, "{{web}}/", "\"") {
            assert!(web.files.contains_key(file), "{name}: {file}");
        }
        for banned in ["<style", "style=\"", " onclick", "javascript:", "//cdn"] {
            assert!(!page.contains(banned), "{name}: {banned}");
        }
        for script in between(page, "<script", ">") {
            assert!(script.contains("type=\"application/json\""), "{name}: <script{script}>");
        }
        assert!(page.contains("<html lang=\"{{lang}}\" dir=\"{{dir}}\">"), "{name}");
    }
}

#[test]
fn no_own_script_makes_markup_of_text() {
    for (name, script) in texts(".js") {
        for banned in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!script.contains(banned), "{name}: {banned}");
        }
    }
}

#[test]
fn the_hash_is_one_that_a_person_can_make() {
    let web = web();
    let list = web.list();
    assert!(list.lines().all(|line| line.len() > 66 && &line[64..66] == "  "));
    assert!(list.lines().map(|line| &line[66..]).is_sorted());
    assert!(web.path().len() == 21 && web.path()[5..] == web.hash()[..16]);
}

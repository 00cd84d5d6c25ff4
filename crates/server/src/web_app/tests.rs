//! What must hold for the files of `web/`, besides what is checked at every start.

use std::collections::{BTreeMap, BTreeSet};

use countersign_authority::model::audit::{EventKind, Fact, Reason};

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

/// Kinds of event that are about no account, so that no page shows them.
const OF_NO_ACCOUNT: [EventKind; 12] = [
    EventKind::AccountsExpired,
    EventKind::DatabaseBackedUp,
    EventKind::DatabaseLossAccepted,
    EventKind::DatabaseMoved,
    EventKind::DatabaseRestored,
    EventKind::MasterKeyAbandoned,
    EventKind::MasterKeyChanged,
    EventKind::RefusalsDropped,
    EventKind::RegistrationRefused,
    EventKind::SigningKeyCreated,
    EventKind::SigningKeyRemoved,
    EventKind::SigningKeyRotated,
];

#[test]
fn every_event_and_each_of_its_facts_has_a_text_in_every_language() {
    let shown = EventKind::ALL.iter().filter(|kind| !OF_NO_ACCOUNT.contains(kind));
    let events = shown.map(|kind| format!("event.{}", kind.name()));
    let facts = Fact::ALL.iter().flat_map(|fact| {
        let of_codes = fact.codes().into_iter().map(|code| format!("fact.{}.{code}", fact.name()));
        let of_codes: Vec<_> = of_codes.collect();
        if of_codes.is_empty() { vec![format!("fact.{}", fact.name())] } else { of_codes }
    });
    let unknown = ["event.unknown", "fact.unknown"].map(str::to_owned);
    let expected: BTreeSet<String> = events.chain(facts).chain(unknown).collect();
    for language in web().languages {
        let is_ours = |key: &&String| key.starts_with("event.") || key.starts_with("fact.");
        let found: BTreeSet<String> = language.texts.keys().filter(is_ours).cloned().collect();
        assert_eq!(found, expected, "{}", language.tag);
    }
}

#[test]
fn alarms_are_told_by_codes_that_the_server_sends() {
    let scripts = texts(".js");
    let (_, script) = scripts.iter().find(|(name, _)| *name == "js/lib/events.js").unwrap();
    let keys = |table: &str| {
        let rows = between(script, &format!("const {table} = {{"), "}")[0].lines();
        let keys = rows.filter_map(|row| row.split_once(':'));
        keys.map(|(key, _)| key.trim().trim_matches('"').to_owned()).collect::<Vec<_>>()
    };
    let (events, reasons) = (keys("ALARM_OF_EVENT"), keys("ALARM_OF_REASON"));
    assert!(!events.is_empty() && !reasons.is_empty());
    assert!(events.iter().all(|name| name.parse::<EventKind>().is_ok()), "{events:?}");
    let known = |code: &String| Reason::ALL.iter().any(|reason| reason.name() == code);
    assert!(reasons.iter().all(known), "{reasons:?}");
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
    let in_pages = pages.iter().flat_map(|(_, page)| {
        ["{{t:", "{{title:"].into_iter().flat_map(|open| between(page, open, "}}"))
    });
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
    }
    let (_, frame) = texts("parts/frame.html")[0];
    assert!(frame.contains("<html lang=\"{{lang}}\" dir=\"{{dir}}\">"));
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

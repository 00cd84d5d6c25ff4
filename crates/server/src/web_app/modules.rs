//! Which modules a module imports.
//!
//! Static imports stand at the top of a module, before everything else, so that they are found
//! without knowing the rest of the language.

use std::collections::BTreeSet;

/// What is wrong with the imports of a module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Something else than white space, a comment, an import or `export … from` stands before it.
    #[error("line {0}: imports stand at the top of a module")]
    NotAtTop(usize),
    /// It is not relative.
    #[error("imports {0:?}: an import begins with ./ or ../")]
    NotRelative(String),
    /// There is no such file.
    #[error("imports {0:?}, which does not exist")]
    Missing(String),
}

/// The modules that one module imports by itself, or what is wrong with its imports.
pub(super) type Imports = Result<Vec<String>, ImportError>;

/// The names of the modules that the module `name` with this text imports by itself, in order.
///
/// # Errors
/// An import that is not at the top, or not relative, or that leads out of `web/`.
pub(super) fn imports(name: &str, text: &str) -> Imports {
    let mut rest = text;
    let mut specifiers = Vec::new();
    loop {
        rest = without_comment(rest);
        let Some((specifier, after)) = import(rest) else { break };
        specifiers.push(specifier);
        rest = after;
    }
    let first_line = 1 + text[..text.len() - rest.len()].matches('\n').count();
    let mut lines = rest.split_inclusive('\n').scan(0, |start, line| {
        *start += line.len();
        Some(*start - line.len())
    });
    if let Some(late) = lines.position(|start| import(&rest[start..]).is_some()) {
        return Err(ImportError::NotAtTop(first_line + late));
    }
    specifiers.into_iter().map(|specifier| resolve(name, specifier)).collect()
}

/// All modules that the module `name` needs, itself not among them. `imports_of` returns the imports of a
/// module, which are read once: many modules need the same ones.
///
/// # Errors
/// A module that is missing, or whose imports are wrong, with the name of the module that is at fault.
pub(super) fn needed_by<'a>(
    name: &str,
    imports_of: impl Fn(&str) -> Option<&'a Imports>,
) -> Result<BTreeSet<String>, (String, ImportError)> {
    let mut needed = BTreeSet::new();
    let mut unread = vec![name];
    while let Some(module) = unread.pop() {
        let at_fault = |error| (module.to_owned(), error);
        let missing = |name: &str| at_fault(ImportError::Missing(name.to_owned()));
        let imports = imports_of(module).ok_or_else(|| missing(module))?;
        for imported in imports.as_ref().map_err(|error| at_fault(error.clone()))? {
            if imports_of(imported).is_none() {
                return Err(missing(imported));
            }
            if imported != name && needed.insert(imported.clone()) {
                unread.push(imported);
            }
        }
    }
    Ok(needed)
}

/// `text` from its first word on, behind white space, semicolons and comments.
fn without_comment(text: &str) -> &str {
    let mut text = text;
    loop {
        text = text.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
        let end = if text.starts_with("//") {
            "\n"
        } else if text.starts_with("/*") {
            "*/"
        } else {
            return text;
        };
        let Some((_, after)) = text.split_once(end) else { return "" };
        text = after;
    }
}

/// The specifier of the import, or `export … from`, that `text` begins with, and what follows it.
fn import(text: &str) -> Option<(&str, &str)> {
    let (rest, is_export) = match text.strip_prefix("import") {
        Some(rest) => (rest, false),
        None => (text.strip_prefix("export")?, true),
    };
    let clause = rest.trim_start();
    if clause.starts_with(['"', '\'']) && !is_export {
        return quoted(clause);
    }
    // Another export is a declaration, and `import(` and `import.meta` are expressions.
    let begins_clause =
        |c: char| c == '{' || c == '*' || (!is_export && rest != clause && c.is_alphabetic());
    clause.starts_with(begins_clause).then_some(())?;
    let names = clause.find(['"', '\''])?;
    let before = clause[..names].trim_end().strip_suffix("from")?;
    (!before.contains([';', '(', '='])).then_some(())?;
    quoted(&clause[names..])
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    let mark = text.chars().next()?;
    text[1..].split_once(mark)
}

/// The name of the file that `specifier` means in the module `name`.
fn resolve(name: &str, specifier: &str) -> Result<String, ImportError> {
    let not_relative = || ImportError::NotRelative(specifier.to_owned());
    if !specifier.starts_with("./") && !specifier.starts_with("../") {
        return Err(not_relative());
    }
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in specifier.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop().ok_or_else(not_relative)?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn imports_of(text: &str) -> Result<Vec<String>, ImportError> {
        imports("js/pages/a.js", text)
    }

    #[test]
    fn every_form_of_a_static_import_is_found() {
        let text = "// import \"./no.js\";\n/** import x from './no.js' */\n\
                    import { a, b as c } from \"../lib/one.js\";\nimport d from './two.js'\n\
                    import * as e from \"../../vendor/x-1/three.mjs\";\nimport \"./four.js\";\n\
                    import f, {\n  g,\n} from './five.js';\nexport * from './six.js';\n\
                    export { h } from './seven.js';import{i}from\"./eight.js\";\n\
                    export function from() { return import(\"./later.js\"); }\n\
                    const text = 'import x from \"./no.js\"';\n";
        let found = imports_of(text).unwrap();
        assert_eq!(
            found,
            [
                "js/lib/one.js",
                "js/pages/two.js",
                "vendor/x-1/three.mjs",
                "js/pages/four.js",
                "js/pages/five.js",
                "js/pages/six.js",
                "js/pages/seven.js",
                "js/pages/eight.js",
            ]
        );
    }

    #[test]
    fn expressions_and_exports_of_ones_own_are_no_imports() {
        for text in [
            "",
            "import(\"./a.js\").then(b);",
            "import.meta.url;",
            "const a = 1;\nexport { a };\nconst from = \"x\";",
            "export default {\n\"from\": \"x\"\n};",
            "export const from = \"./a.js\";",
            "important(\"./a.js\")",
            "/* without an end",
        ] {
            assert_eq!(imports_of(text), Ok(Vec::new()), "{text:?}");
        }
    }

    #[test]
    fn an_import_below_the_top_is_refused() {
        let late = "import './b.js';\nconst a = 1;\nimport {\n c } from './c.js';\n";
        assert_eq!(imports_of(late), Err(ImportError::NotAtTop(3)));
    }

    #[test]
    fn an_import_stays_within_the_app() {
        for specifier in ["argon2id", "/js/a.js", "https://evil.example/a.js", "../../../a.js"] {
            let refused = imports_of(&format!("import '{specifier}';"));
            assert_eq!(refused, Err(ImportError::NotRelative(specifier.to_owned())));
        }
    }

    #[test]
    fn what_imports_need_is_needed_too_also_in_a_ring() {
        let modules = [
            ("a.js", "import './b.js';"),
            ("b.js", "import './c.js'; import './a.js';"),
            ("c.js", "import './b.js';"),
            ("d.js", "import './gone.js';"),
        ];
        let read = BTreeMap::from(modules.map(|(name, text)| (name, imports(name, text))));
        let imports_of = |name: &str| read.get(name);
        assert_eq!(
            needed_by("a.js", imports_of).unwrap(),
            BTreeSet::from(["b.js".into(), "c.js".into()])
        );
        let missing = ImportError::Missing("gone.js".to_owned());
        assert_eq!(needed_by("d.js", imports_of), Err(("d.js".to_owned(), missing)));
    }
}

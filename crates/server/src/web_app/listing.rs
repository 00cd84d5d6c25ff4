//! Which files of a directory belong to the account app. The build script uses this file too.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The names of all files below `root`, sorted, with their paths. A name is relative to `root` and
/// has slashes.
///
/// What only developers need does not belong to the app: `README.md`, types for the type checker, the
/// sources of what was compiled, descriptions of packages, and everything whose name begins with a
/// dot.
///
/// # Errors
/// A directory that cannot be read, and a name that is not UTF-8.
pub(super) fn files_below(root: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let not_utf8 = || io::Error::other(format!("{} is not UTF-8", path.display()));
            let own_name = path.file_name().and_then(|name| name.to_str()).ok_or_else(not_utf8)?;
            if is_for_developers(own_name) {
                continue;
            }
            if path.is_dir() {
                directories.push(path);
            } else {
                let relative = path.strip_prefix(root).map_err(io::Error::other)?;
                let name = relative.to_str().ok_or_else(not_utf8)?.replace('\\', "/");
                files.push((name, path));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn is_for_developers(name: &str) -> bool {
    let endings = [".c", ".d.ts"];
    name.starts_with('.')
        || ["README.md", "package.json"].contains(&name)
        || endings.iter().any(|ending| name.ends_with(ending))
}

//! Lists the files of `web/` for `src/web_app/embedded.rs`, so that they become part of the binary.

#[path = "src/web_app/listing.rs"]
mod listing;

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web").canonicalize()?;
    println!("cargo::rerun-if-changed={}", root.display());
    let mut list = String::from("[\n");
    for (name, path) in listing::files_below(&root)? {
        let path = path.to_str().ok_or("the path of web/ is not UTF-8")?;
        writeln!(list, "    ({name:?}, include_bytes!({path:?}) as &[u8]),")?;
    }
    list.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("web_files.rs"), list)?;
    Ok(())
}

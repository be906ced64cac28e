//! Replays the seeds and findings of the fuzzers.

#[path = "../../../fuzz/targets/checks.rs"]
mod checks;

use std::fs;
use std::path::Path;

/// All files of a target; it must have some.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty(), "{}", folder.display());
    for file in &files {
        eprintln!("{}", file.display());
        check(&fs::read(file).unwrap());
    }
    println!("{target}: {} seeds", files.len());
}

#[test]
fn parser() {
    replay("parser", checks::parser);
}

#[test]
fn coder() {
    replay("coder", checks::coder);
}

#[test]
fn y4m() {
    replay("y4m", checks::y4m);
}

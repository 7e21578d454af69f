//! Every type of the public API, which `public-api.txt` lists and CI holds against the code, has an example.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The definitions of types in a file, with whether their documentation has an example. Text is read, and not syntax, as
/// macros define some.
fn types(file: &Path) -> Vec<(String, bool)> {
    let source = fs::read_to_string(file).unwrap();
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let defined = |line: &str| {
        let rest = ["pub struct ", "pub enum ", "pub trait "].into_iter().find_map(|head| line.strip_prefix(head))?;
        let end = rest.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(rest.len());
        rest.get(..end).map(str::to_owned)
    };
    let is_above = |line: &&&str| line.starts_with("///") || line.starts_with("#[");
    let has_example = |place: usize| lines[..place].iter().rev().take_while(is_above).any(|line| line.contains("```"));
    lines.iter().enumerate().filter_map(|(place, line)| Some((defined(line)?, has_example(place)))).collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn every_public_type_has_an_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = fs::read_to_string(root.join("public-api.txt")).unwrap();
    let kinds = ["pub struct ", "pub enum ", "pub trait "];
    let name = |line: &'_ str| {
        let line = line.trim_start_matches("#[non_exhaustive] ");
        let path = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
        path.split(['<', '(', ' ']).next()?.rsplit("::").next().map(|name| name.trim_end_matches(':').to_owned())
    };
    let listed: BTreeSet<String> = listed.lines().filter_map(name).collect();
    let mut sources = Vec::new();
    files(&root.join("src"), &mut sources);
    sources.retain(|file| !file.starts_with(root.join("src/bin")));
    let types: Vec<(String, bool)> = sources.iter().flat_map(|file| types(file)).collect();
    let public = types.iter().filter(|(name, _)| listed.contains(name));
    let without: Vec<&str> = public.clone().filter(|(_, has)| !has).map(|(name, _)| name.as_str()).collect();
    assert!(public.count() > 120 && without.is_empty(), "{without:?} have no example");
}

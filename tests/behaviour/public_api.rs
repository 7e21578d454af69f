//! The names that a host can write are those of `public-api.txt`, so that none is added or taken away by accident, and every
//! type among them has an example.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use syn::{File, Item, UseTree, Visibility};

/// The public names of a file, each with `path` before it, and the modules that it makes public.
fn names(file: &Path, path: &str) -> (BTreeSet<String>, Vec<String>) {
    let source = fs::read_to_string(file).unwrap();
    let File { items, .. } = syn::parse_file(&source).unwrap();
    let (mut names, mut modules) = (BTreeSet::new(), Vec::new());
    for item in items {
        let (visibility, name) = match &item {
            Item::Use(item) => {
                if matches!(item.vis, Visibility::Public(_)) {
                    used(&item.tree, &mut |name| names.extend([format!("{path}{name}")]));
                }
                continue;
            }
            Item::Mod(item) => (&item.vis, &item.ident),
            Item::Struct(item) => (&item.vis, &item.ident),
            Item::Enum(item) => (&item.vis, &item.ident),
            Item::Trait(item) => (&item.vis, &item.ident),
            Item::Type(item) => (&item.vis, &item.ident),
            Item::Const(item) => (&item.vis, &item.ident),
            Item::Static(item) => (&item.vis, &item.ident),
            Item::Fn(item) => (&item.vis, &item.sig.ident),
            _ => continue,
        };
        if matches!(visibility, Visibility::Public(_)) {
            if matches!(item, Item::Mod(_)) {
                modules.push(name.to_string());
            } else {
                names.insert(format!("{path}{name}"));
            }
        }
    }
    (names, modules)
}

/// The names that an import makes.
fn used(tree: &UseTree, take: &mut dyn FnMut(String)) {
    match tree {
        UseTree::Path(path) => used(&path.tree, take),
        UseTree::Name(name) => take(name.ident.to_string()),
        UseTree::Rename(renamed) => take(renamed.rename.to_string()),
        UseTree::Group(group) => group.items.iter().for_each(|tree| used(tree, take)),
        UseTree::Glob(_) => panic!("a public import of everything says no names"),
    }
}

/// The public names of a folder or file of the library, and of what it makes public.
fn all(folder: &Path, file: &Path, path: &str, found: &mut BTreeSet<String>) {
    let (names, modules) = names(file, path);
    found.extend(names);
    for module in modules {
        let (inside, beside) = (folder.join(&module).join("mod.rs"), folder.join(format!("{module}.rs")));
        let file = if inside.exists() { inside } else { beside };
        all(&folder.join(&module), &file, &format!("{path}{module}::"), found);
    }
}

#[test]
fn the_public_names_are_those_that_are_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    all(&root.join("src"), &root.join("src/lib.rs"), "flowseek::", &mut found);
    let listed = fs::read_to_string(root.join("public-api.txt")).unwrap();
    let listed: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
    let added: Vec<_> = found.difference(&listed).collect();
    let removed: Vec<_> = listed.difference(&found).collect();
    assert!(
        added.is_empty() && removed.is_empty(),
        "public-api.txt is not up to date: {added:?} are public, and {removed:?} are not"
    );
}

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
    let listed: BTreeSet<&str> = listed.lines().filter_map(|name| name.rsplit("::").next()).collect();
    let mut sources = Vec::new();
    files(&root.join("src"), &mut sources);
    sources.retain(|file| !file.starts_with(root.join("src/bin")));
    let types: Vec<(String, bool)> = sources.iter().flat_map(|file| types(file)).collect();
    let public = types.iter().filter(|(name, _)| listed.contains(name.as_str()));
    let without: Vec<&str> = public.clone().filter(|(_, has)| !has).map(|(name, _)| name.as_str()).collect();
    assert!(public.count() > 130 && without.is_empty(), "{without:?} have no example");
}

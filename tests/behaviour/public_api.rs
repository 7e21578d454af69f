//! The names that a host can write are those of `public-api.txt`, so that none is added or taken away by accident.

use std::{collections::BTreeSet, fs, path::Path};

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

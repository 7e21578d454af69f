//! No two files need one another: what a file names lies in files that do not name it, directly or through others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use syn::{
    Attribute, Item, UseTree, Visibility,
    visit::{self, Visit},
};

/// The path of a module in its crate: `["query", "search"]`.
type Module = Vec<String>;

/// What a file says of itself, and of others.
#[derive(Default)]
struct Source {
    file: String,
    children: BTreeSet<String>,
    /// What the names stand for that it imports.
    aliases: BTreeMap<String, Vec<String>>,
    /// Modules of which it imports all names.
    globs: Vec<Vec<String>>,
    items: BTreeSet<String>,
    /// The paths that it uses. Those that it only hands on, by `pub use`, are not among them.
    used: Vec<Vec<String>>,
}

/// The modules of a crate whose root is the file `root` in a folder.
struct Crate(BTreeMap<Module, Source>);

impl Crate {
    fn read(folder: &Path, root: &str) -> Self {
        let mut sources = BTreeMap::new();
        read(folder, &[], root, &mut sources);
        Self(sources)
    }

    /// The module that defines what `path` names in `module`; `None` where another crate does.
    fn resolve(&self, module: &[String], path: &[String]) -> Option<Module> {
        self.follow(module, path, 0)
    }

    fn follow(&self, module: &[String], path: &[String], depth: usize) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.descend(&[], rest, depth),
            "self" => self.descend(module, rest, depth),
            "super" => self.descend(module.get(..module.len().checked_sub(1)?)?, rest, depth),
            name => {
                let source = self.0.get(module)?;
                let is_known = source.children.contains(name) || source.aliases.contains_key(name);
                if is_known { self.descend(module, path, depth) } else { None }
            }
        }
    }

    fn descend(&self, module: &[String], path: &[String], depth: usize) -> Option<Module> {
        let Some((first, rest)) = path.split_first() else { return Some(module.to_vec()) };
        let source = self.0.get(module)?;
        if first == "super" {
            return self.descend(module.get(..module.len().checked_sub(1)?)?, rest, depth);
        }
        if source.children.contains(first) {
            return self.descend(&[module, std::slice::from_ref(first)].concat(), rest, depth);
        }
        if source.items.contains(first) || depth > 16 {
            return Some(module.to_vec());
        }
        if let Some(alias) = source.aliases.get(first) {
            return self.follow(module, &[alias.as_slice(), rest].concat(), depth + 1);
        }
        let mut globs = source.globs.iter().filter_map(|glob| self.follow(module, glob, depth + 1));
        globs.find(|glob| self.0.get(glob).is_some_and(|source| source.items.contains(first)))
    }

    /// For each file the others that it needs, and what it takes from each.
    fn needs(&self) -> BTreeMap<&str, BTreeMap<&str, BTreeSet<String>>> {
        let mut needs: BTreeMap<&str, BTreeMap<&str, BTreeSet<String>>> = BTreeMap::new();
        for (module, source) in &self.0 {
            let needed = needs.entry(&source.file).or_default();
            for path in &source.used {
                if let Some(definer) = self.resolve(module, path)
                    && let Some(of) = self.0.get(&definer).filter(|of| of.file != source.file)
                {
                    needed.entry(&of.file).or_default().insert(path.last().cloned().unwrap_or_default());
                }
            }
        }
        needs
    }
}

/// Reads the module in the file `name` of `folder`, and those that it declares.
fn read(folder: &Path, module: &[String], name: &str, sources: &mut BTreeMap<Module, Source>) {
    let path = folder.join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut source = Source { file: path.to_string_lossy().into_owned(), ..Source::default() };
    let file = syn::parse_file(&text).unwrap();
    let items: Vec<&Item> = file.items.iter().filter(|item| !is_test(attributes(item))).collect();
    for item in &items {
        match item {
            Item::Mod(declared) if declared.content.is_none() => {
                source.children.insert(declared.ident.to_string());
            }
            Item::Use(used) => {
                let is_handed_on = !matches!(used.vis, Visibility::Inherited);
                let mut leaves = Vec::new();
                flatten(&used.tree, &[], &mut leaves);
                for (alias, path) in leaves {
                    match alias {
                        None => source.globs.push(path.clone()),
                        Some(alias) => drop(source.aliases.insert(alias, path.clone())),
                    }
                    if !is_handed_on {
                        source.used.push(path);
                    }
                }
            }
            item => source.items.extend(name_of(item)),
        }
    }
    let mut paths = Paths(Vec::new());
    items.iter().filter(|item| !matches!(item, Item::Use(_))).for_each(|item| paths.visit_item(item));
    source.used.extend(paths.0);
    let children: Vec<String> = source.children.iter().cloned().collect();
    sources.insert(module.to_vec(), source);
    let is_root = name == "mod.rs" || module.is_empty();
    let inside = if is_root { folder.to_path_buf() } else { folder.join(module.last().unwrap()) };
    for child in children {
        let of_child = [module, std::slice::from_ref(&child)].concat();
        match inside.join(&child).join("mod.rs").exists() {
            true => read(&inside.join(&child), &of_child, "mod.rs", sources),
            false => read(&inside, &of_child, &format!("{child}.rs"), sources),
        }
    }
}

/// The paths in types and expressions that have several parts.
struct Paths(Vec<Vec<String>>);

impl<'ast> Visit<'ast> for Paths {
    /// Who may use an item is no need of it.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }
}

/// The names that a tree of imports brings in, each with its path; no name where all of a module are.
fn flatten(tree: &UseTree, before: &[String], leaves: &mut Vec<(Option<String>, Vec<String>)>) {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => flatten(&path.tree, &with(&path.ident), leaves),
        UseTree::Name(name) if name.ident == "self" => leaves.push((before.last().cloned(), before.to_vec())),
        UseTree::Name(name) => leaves.push((Some(name.ident.to_string()), with(&name.ident))),
        UseTree::Rename(rename) => leaves.push((Some(rename.rename.to_string()), with(&rename.ident))),
        UseTree::Glob(_) => leaves.push((None, before.to_vec())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, before, leaves)),
    }
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Mod(item) => &item.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        let list = attribute.meta.require_list().ok();
        list.is_some_and(|list| list.path.is_ident("cfg") && list.tokens.to_string() == "test")
    };
    attributes.iter().any(is_test)
}

/// The files that need one another, in groups.
fn cycles<'a>(needs: &BTreeMap<&'a str, BTreeMap<&'a str, BTreeSet<String>>>) -> Vec<Vec<&'a str>> {
    let reachable = |from: &'a str| {
        let mut reached = BTreeSet::new();
        let mut left = vec![from];
        while let Some(file) = left.pop() {
            let next = needs.get(file).into_iter().flat_map(|needed| needed.keys().copied());
            left.extend(next.filter(|next| reached.insert(*next)));
        }
        reached
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = needs.keys().map(|file| (*file, reachable(file))).collect();
    let mut done = BTreeSet::new();
    let mut cycles = Vec::new();
    for (file, of) in reached.iter().filter(|(file, of)| of.contains(*file)) {
        if done.insert(*file) {
            let cycle: Vec<&str> = of.iter().copied().filter(|other| reached[other].contains(file)).collect();
            done.extend(&cycle);
            cycles.push(cycle);
        }
    }
    cycles
}

#[test]
fn no_two_files_need_one_another() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = String::new();
    for (folder, root) in [(source.clone(), "lib.rs"), (source.join("bin/flowseek"), "main.rs")] {
        let files = Crate::read(&folder, root);
        let needs = files.needs();
        assert!(needs.len() > 20 && needs.values().map(BTreeMap::len).sum::<usize>() > 20, "imports are not read");
        let short =
            |file: &str| file.strip_prefix(source.to_str().unwrap()).unwrap().trim_start_matches('/').to_owned();
        for cycle in cycles(&needs) {
            found.push_str("\na cycle:\n");
            for (file, needed) in needs.iter().filter(|(file, _)| cycle.contains(file)) {
                for (other, names) in needed.iter().filter(|(other, _)| cycle.contains(other)) {
                    let names = names.iter().cloned().collect::<Vec<_>>().join(", ");
                    found.push_str(&format!("  {} needs {names} of {}\n", short(file), short(other)));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found}");
}

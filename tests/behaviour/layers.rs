//! Imports run downwards only.

use std::{collections::BTreeMap, fs, path::Path};

/// The layers, lowest first. A module may use what lies below it, and what lies beside it only where that is said.
const LAYERS: &[(&str, usize)] = &[
    ("decimal", 0),
    ("encoding", 0),
    ("error", 0),
    ("setters", 0),
    ("spelling", 0),
    ("flow", 1),
    ("filter", 2),
    ("order", 2),
    ("generate", 2),
    ("import", 2),
    ("resources", 2),
    ("schema", 3),
    ("segment", 4),
    ("archive", 5),
    ("ingest", 6),
    ("query", 6),
    ("wire", 7),
    ("http", 8),
];

/// The files that may name DataFusion.
const DATAFUSION: [&str; 36] = [
    "schema/expr.rs",
    "schema/sample.rs",
    "query/recognise/mod.rs",
    "query/recognise/atom.rs",
    "query/recognise/compare.rs",
    "query/recognise/implied.rs",
    "query/recognise/line.rs",
    "query/recognise/table.rs",
    "query/recognise/laws.rs",
    "query/recognise/sql.rs",
    "query/condition.rs",
    "query/provider.rs",
    "query/run.rs",
    "query/flow_groups/input.rs",
    "query/flow_groups/key.rs",
    "query/flow_groups/mod.rs",
    "query/flow_groups/answer.rs",
    "query/flow_groups/rule.rs",
    "query/flow_groups/run.rs",
    "query/flow_groups/shape.rs",
    "query/flow_scan/mod.rs",
    "query/flow_scan/plan.rs",
    "query/flow_scan/metrics.rs",
    "query/flow_scan/narrowing.rs",
    "query/flow_scan/ordered.rs",
    "query/flow_scan/ordering.rs",
    "query/flow_scan/paged.rs",
    "query/flow_scan/parts.rs",
    "query/flow_scan/source.rs",
    "query/flow_scan/statistics.rs",
    "query/flow_scan/survey.rs",
    "query/session.rs",
    "query/exact.rs",
    "query/date_trunc.rs",
    "query/functions.rs",
    "query/version.rs",
];
/// The modules that are plain Rust: no Arrow, no Parquet, no tokio, no disk.
const PLAIN: [&str; 9] =
    ["decimal", "encoding", "flow", "filter", "order", "generate", "import", "setters", "spelling"];

fn sources(folder: &Path, found: &mut Vec<(String, String)>, root: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found, root);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

fn all_sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found, &root);
    found.retain(|(name, _)| name != "lib.rs" && !name.starts_with("bin/"));
    // What follows are unit tests, and comments and examples import what a user would.
    let code = |text: &str| {
        let lines = text.split("#[cfg(test)]").next().unwrap_or_default().lines();
        lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
    };
    found.into_iter().map(|(name, text)| (name, code(&text))).collect()
}

/// The modules named after `crate::` in a source.
fn imports(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.push(rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect());
            continue;
        };
        let mut depth = 0;
        for part in list.split_inclusive([',', '{', '}']) {
            let name: String =
                part.trim().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
            if depth == 0 && !name.is_empty() {
                names.push(name);
            }
            depth += part.matches('{').count() as i32 - part.matches('}').count() as i32;
            if depth < 0 {
                break;
            }
        }
    }
    names
}

#[test]
fn unit_tests_are_last_in_a_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found, &root);
    for (name, text) in found {
        // What comes after the first of them is looked at by no test here: so it must be tests and nothing else.
        let Some((_, tests)) = text.split_once("\n#[cfg(test)]\n") else { continue };
        for line in tests.lines().filter(|line| line.starts_with(|letter: char| letter.is_ascii_alphanumeric())) {
            let is_module = line.starts_with("mod ") || line.starts_with("pub(crate) mod ");
            assert!(is_module, "{name} has code behind its tests: {line}");
        }
    }
}

#[test]
fn imports_run_downwards() {
    let layers: BTreeMap<&str, usize> = LAYERS.iter().copied().collect();
    for (name, text) in all_sources() {
        let module = name.split(['/', '.']).next().unwrap();
        let layer = *layers.get(module).unwrap_or_else(|| panic!("{module} has no layer"));
        for import in imports(&text) {
            let below = *layers.get(import.as_str()).unwrap_or_else(|| panic!("{name} imports {import}"));
            assert!(import == module || import == "error" || below < layer, "{name} imports {import}");
        }
    }
}

#[test]
fn datafusion_stands_in_few_files_and_the_domain_is_plain_rust() {
    for (name, text) in all_sources() {
        assert!(DATAFUSION.contains(&name.as_str()) || !text.contains("datafusion::"), "{name} names DataFusion");
        let module = name.split(['/', '.']).next().unwrap();
        for foreign in ["arrow::", "parquet::", "tokio::", "std::fs"] {
            assert!(!PLAIN.contains(&module) || !text.contains(foreign), "{name} names {foreign}");
        }
    }
}

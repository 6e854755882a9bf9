//! Holds the documents together: every relative link leads to something that exists, and so does every test they name.
//!
//! Never follows a link to the network.

use std::collections::BTreeSet;
use std::path::Path;

use crate::Report;
use crate::tree::{SourceFile, files, root};

/// A word in `code` with so many underscores is the name of a test: what else the documents name has fewer.
const UNDERSCORES_MIN: usize = 4;

/// Judges every Markdown file of the tree.
pub(crate) fn check() -> anyhow::Result<Report> {
    let root = root();
    let pages = files("", &[".md"])?;
    let mut problems: Vec<String> =
        pages.iter().flat_map(|page| broken(page, &|path| root.join(path).exists())).collect();
    problems.extend(missing_tests(&pages)?);
    Ok(Report { notes: vec![format!("{} pages", pages.len())], problems })
}

/// Tests that a page names and no source has.
fn missing_tests(pages: &[SourceFile]) -> anyhow::Result<Vec<String>> {
    let sources = [files("crates", &[".rs"])?, files("xtask", &[".rs"])?].concat();
    let known = tests_of_crates(&sources);
    let bare: BTreeSet<&str> = known.iter().filter_map(|name| Some(name.split_once("::")?.1)).collect();
    let mut problems = Vec::new();
    for page in pages {
        for name in tests_named(&page.text) {
            if !known.contains(name) && !bare.contains(name) {
                problems.push(format!("{} names the test {name}, which is not there", page.path));
            }
        }
    }
    Ok(problems)
}

/// Every test, as `crate::name`.
pub(crate) fn tests_of_crates(sources: &[SourceFile]) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for source in sources {
        let path = source.path.strip_prefix("crates/").unwrap_or(&source.path);
        let package = path.split('/').next().unwrap_or_default();
        let tests = source.text.split("#[test]").chain(source.text.split("#[tokio::test")).skip(1);
        let names = tests.filter_map(|test| test.split_once("fn ")?.1.split('(').next());
        known.extend(names.map(|name| format!("{package}::{name}")));
    }
    known
}

/// Words in `code` that name a test: with its crate, or so long that nothing else is meant.
pub(crate) fn tests_named(text: &str) -> impl Iterator<Item = &str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.split('`').skip(1).step_by(2).filter(move |word| match word.split_once("::") {
        Some((package, name)) => {
            [package, name].iter().all(|part| part.bytes().all(plain)) && name.contains('_')
        }
        None => word.bytes().all(plain) && word.matches('_').count() >= UNDERSCORES_MIN,
    })
}

fn broken(page: &SourceFile, exists: &dyn Fn(&Path) -> bool) -> Vec<String> {
    let folder = Path::new(&page.path).parent().unwrap_or(Path::new(""));
    let targets = page.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = targets.filter(|target| !target.contains("://") && !target.starts_with(['#', '<']));
    let paths = local.filter_map(|target| target.split('#').next()).filter(|target| !target.contains(' '));
    paths
        .filter(|path| !exists(&folder.join(path)))
        .map(|path| format!("{} links to {path}, which is not there", page.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_leads_somewhere() {
        let report = check().unwrap();
        assert!(report.problems.is_empty(), "{}", report.problems.join("\n"));
    }

    #[test]
    fn every_test_that_is_named_exists() {
        let pages = files("", &[".md"]).unwrap();
        assert_eq!(missing_tests(&pages).unwrap(), Vec::<String>::new());
        let text = "`every_test_that_is_named_exists` and `a_b_c_d_e`, not `handshake_required`; \
                    `xtask::broken_links_are_found` and `plane::broken_links_are_found`";
        let page = SourceFile { path: "x.md".into(), text: text.to_owned() };
        let expected = ["a_b_c_d_e", "plane::broken_links_are_found"]
            .map(|name| format!("x.md names the test {name}, which is not there"));
        assert_eq!(missing_tests(&[page]).unwrap(), expected);
    }

    #[test]
    fn broken_links_are_found() {
        let text = "[a](b.md) [c](d.md#e) [f](https://g.h/i) [j](#k)".to_owned();
        let page = SourceFile { path: "docs/x.md".into(), text };
        let found = broken(&page, &|path| path == Path::new("docs/b.md"));
        assert_eq!(found, ["docs/x.md links to d.md, which is not there"]);
    }
}

//! Holds the documents together: every relative link leads to something that exists.
//!
//! Never follows a link to the network.

use std::path::Path;

use crate::Report;
use crate::tree::{SourceFile, files, root};

/// Judges every Markdown file of the tree.
pub(crate) fn check() -> anyhow::Result<Report> {
    let root = root();
    let pages = files("", &[".md"])?;
    let problems = pages.iter().flat_map(|page| broken(page, &|path| root.join(path).exists())).collect();
    Ok(Report { notes: vec![format!("{} pages", pages.len())], problems })
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
    fn broken_links_are_found() {
        let text = "[a](b.md) [c](d.md#e) [f](https://g.h/i) [j](#k)".to_owned();
        let page = SourceFile { path: "docs/x.md".into(), text };
        let found = broken(&page, &|path| path == Path::new("docs/b.md"));
        assert_eq!(found, ["docs/x.md links to d.md, which is not there"]);
    }
}

//! What the README tells its reader to write and to type, word for word.

use crate::tools::root;

/// A section of the README, up to the next heading of its level or above.
pub(crate) struct Section {
    text: String,
}

impl Section {
    /// # Panics
    /// If there is none of that name.
    pub(crate) fn named(heading: &str) -> Self {
        let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
        let (_, rest) = readme.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading:?}"));
        let ends = ["\n### ", "\n## "].map(|end| rest.find(end).unwrap_or(rest.len()));
        Self { text: rest[..ends[0].min(ends[1])].to_owned() }
    }

    /// The fenced block number `number` of those in `language`.
    ///
    /// # Panics
    /// If there are not so many.
    pub(crate) fn block(&self, language: &str, number: usize) -> String {
        let fence = format!("```{language}\n");
        let rest = self.text.split(&fence).nth(number + 1).unwrap_or_else(|| panic!("no {number} in {language}"));
        rest.split("```").next().unwrap_or_default().to_owned()
    }
}

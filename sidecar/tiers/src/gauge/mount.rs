//! Where the cgroup trees that count memory are mounted, and which of their folders lie above a process.

use std::path::{Component, Path, PathBuf};

/// The two ways in which the kernel shows cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// A tree for each controller.
    One,
    /// One tree.
    Two,
}

/// Where one tree is mounted, and which part of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) version: Version,
    part: PathBuf,
    at: PathBuf,
}

impl Mount {
    /// From a line of `mountinfo`, `id parent device part at options [tags...] - type source options`, if what is mounted
    /// counts memory.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let version = match (after.next()?, after.nth(1)?) {
            ("cgroup2", _) => Version::Two,
            ("cgroup", options) if names_memory(options) => Version::One,
            _ => return None,
        };
        let mut before = before.split(' ').skip(3);
        Some(Self { version, part: unescaped(before.next()?), at: unescaped(before.next()?) })
    }

    /// The group that a line of `/proc/self/cgroup`, `number:controllers:group`, names in this tree.
    pub(super) fn group_in<'a>(&self, line: &'a str) -> Option<&'a Path> {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next()?;
        let ours = match self.version {
            Version::One => names_memory(controllers),
            Version::Two => controllers.is_empty(),
        };
        fields.next().filter(|_| ours).map(Path::new)
    }

    /// The folders of `group` and of all above it, as far as they are mounted.
    ///
    /// In a container the group's name may lie outside of what is mounted: then the mount point, which is the container's
    /// own group, is all there is to see.
    pub(super) fn folders(&self, group: &Path) -> impl Iterator<Item = PathBuf> {
        let below = group.strip_prefix(&self.part).unwrap_or(Path::new(""));
        let outside = below.components().any(|part| part == Component::ParentDir);
        let below = if outside { Path::new("") } else { below };
        below.ancestors().map(|part| self.at.join(part))
    }
}

fn names_memory(list: &str) -> bool {
    list.split(',').any(|name| name == "memory")
}

/// A path as `mountinfo` writes it: blanks, tabs, line ends and backslashes as three octal digits.
fn unescaped(path: &str) -> PathBuf {
    let codes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    codes.iter().fold(path.to_owned(), |path, (code, plain)| path.replace(code, plain)).into()
}

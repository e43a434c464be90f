//! The configuration file: TOML, flat, each key known and of its type, each error with its line.

use std::fs;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::keys;
use super::source::{Problem, Setting, Source};
use super::value::Kind;

/// The settings in the file at `path`, relative folders taken from the file's own folder.
///
/// # Errors
/// Everything that is wrong with it: unreadable, no TOML, unknown keys, values of the wrong type or out of bounds.
pub(super) fn read(path: &Path) -> Result<Vec<Setting>, Vec<Problem>> {
    let at = |line: Option<usize>, key: Option<&str>, message: String| {
        let place = line.map_or_else(|| path.display().to_string(), |line| format!("{}:{line}", path.display()));
        Problem { place: Some(place), key: key.map(str::to_owned), message }
    };
    let text = fs::read_to_string(path).map_err(|e| vec![at(None, None, format!("can't be read: {e}"))])?;
    let (table, errors) = DeTable::parse_recoverable(&text);
    if !errors.is_empty() {
        let problem =
            |e: &toml::de::Error| at(e.span().map(|span| line_of(&text, span.start)), None, e.message().to_owned());
        return Err(errors.iter().map(problem).collect());
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let (mut settings, mut problems) = (Vec::new(), Vec::new());
    for (name, value) in table.get_ref() {
        let line = line_of(&text, value.span().start);
        match setting(name.get_ref(), value.get_ref()) {
            Ok((key, value)) => {
                let source = Source::File { path: path.to_path_buf(), line };
                settings.push(Setting::new(key, value.within(folder), source));
            }
            Err(message) => problems.push((line, at(Some(line), Some(name.get_ref()), message))),
        }
    }
    problems.sort_by_key(|(line, _)| *line);
    if problems.is_empty() { Ok(settings) } else { Err(problems.into_iter().map(|(_, problem)| problem).collect()) }
}

fn setting(name: &str, value: &DeValue<'_>) -> Result<(&'static keys::Key, super::Value), String> {
    let Some(key) = keys::find(name) else {
        if value.is_table() {
            return Err("there are no tables in this file: keys stand one to a line, without a [heading]".into());
        }
        return Err(format!("unknown key; the nearest known one is `{}`", keys::nearest(name)));
    };
    if !key.lasting {
        return Err(format!("this is a flag only, {}: it would act again at every start", key.flag()));
    }
    let text = text_of(key.kind, value)
        .ok_or_else(|| format!("expected {}, found {} {}", key.kind.expects(), article(value), value.type_str()))?;
    key.kind.parse(&text).map(|value| (key, value))
}

/// The value as the text that a flag would have, if it has a type that fits.
fn text_of(kind: Kind, value: &DeValue<'_>) -> Option<String> {
    match (kind, value) {
        (Kind::Users | Kind::Groups, DeValue::Array(items)) => {
            let items: Option<Vec<_>> = items.iter().map(|item| word_or_number(item.get_ref())).collect();
            items.map(|items| items.join(","))
        }
        (Kind::Users | Kind::Groups, _) | (Kind::Count { .. }, DeValue::String(_)) => None,
        (Kind::Size { .. } | Kind::Capacity | Kind::Count { .. }, DeValue::Integer(_)) => word_or_number(value),
        (Kind::Switch, DeValue::Boolean(on)) => Some(on.to_string()),
        (Kind::Switch, _) => None,
        (_, DeValue::String(text)) => Some(text.to_string()),
        _ => None,
    }
}

fn word_or_number(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string()),
        _ => None,
    }
}

fn article(value: &DeValue<'_>) -> &'static str {
    if matches!(value, DeValue::Integer(_) | DeValue::Array(_)) { "an" } else { "a" }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

#[cfg(test)]
mod tests;

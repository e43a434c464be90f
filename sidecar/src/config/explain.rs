//! The configuration in force, said in full: as TOML that can be used as a configuration file again, and as JSON.

use serde_json::{Value as Json, json};

use super::Config;
use super::limits::Capacity;
use super::source::{Setting, Source};
use super::value::{Kind, Value};

/// TOML: one line a setting with its source behind it, then what bounds the tiers, as comments.
pub(super) fn toml(config: &Config) -> String {
    let mut lines =
        vec![("# payload-manager: what is in force, and where each value comes from".to_owned(), String::new())];
    lines.extend(config.settings().iter().filter_map(line));
    let width = lines.iter().skip(1).map(|(left, _)| left.chars().count()).filter(|n| *n < 60).max().unwrap_or(0);
    let mut text = String::new();
    for (left, comment) in lines {
        let line = if comment.is_empty() { left } else { format!("{left:width$}  # {}", one_line(&comment)) };
        text.push_str(line.trim_end());
        text.push('\n');
    }
    for (tier, capacity) in [("RAM", &config.ram), ("DISK", &config.disk)] {
        text.push_str(&format!("\n# {tier}: {}\n", one_line(&capacity.to_string())));
        for bound in capacity.bounds.iter().skip(1) {
            text.push_str(&format!("#   next: {}\n", one_line(&bound.to_string())));
        }
    }
    text
}

/// A comment ends with its line, and a path may have a line break in it.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn line(setting: &Setting) -> Option<(String, String)> {
    let text = format!("{} = {}", setting.key.name, value(setting));
    // A switch that is a flag only can't stand in the file that this output can be used as.
    let text = match (setting.key.kind, &setting.value) {
        (Kind::Switch, Value::Switch(false)) if !setting.key.lasting => return None,
        (Kind::Switch, _) if !setting.key.lasting => format!("# {text}"),
        _ => text,
    };
    let note = setting.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
    Some((text, format!("{}{note}", setting.source)))
}

fn value(setting: &Setting) -> String {
    let text = setting.value.to_string();
    match &setting.value {
        Value::Count(_) | Value::Switch(_) => text,
        Value::Bytes(_) if text.bytes().all(|b| b.is_ascii_digit()) => text,
        Value::Ids(ids) => format!("{ids:?}"),
        _ => toml::Value::String(text).to_string(),
    }
}

/// One object: `file`, `settings`, `limits`, `warnings`.
pub(super) fn json(config: &Config) -> Json {
    json!({
        "file": config.file,
        "settings": config.settings().iter().map(setting).collect::<Vec<_>>(),
        "limits": { "ram": limit(&config.ram), "disk": limit(&config.disk) },
        "warnings": config.warnings,
    })
}

fn setting(setting: &Setting) -> Json {
    let mut object = json!({
        "name": setting.key.name,
        "value": plain(&setting.value),
        "source": source(&setting.source),
    });
    match &setting.value {
        Value::Bytes(bytes) => object["bytes"] = json!(bytes),
        Value::Time(time) => object["seconds"] = json!(time.as_secs_f64()),
        _ => {}
    }
    if let Some(note) = &setting.note {
        object["note"] = json!(note);
    }
    object
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Count(count) => json!(count),
        Value::Switch(on) => json!(on),
        Value::Ids(ids) => json!(ids),
        Value::Listen(None) | Value::Store(None) => Json::Null,
        other => json!(other.to_string()),
    }
}

fn source(source: &Source) -> Json {
    match source {
        Source::Default => json!({ "kind": "default" }),
        Source::Derived(why) => json!({ "kind": "derived", "why": why }),
        Source::File { path, line } => json!({ "kind": "file", "path": path.display().to_string(), "line": line }),
        Source::Env(name) => json!({ "kind": "environment", "name": name }),
        Source::Flag(name) => json!({ "kind": "flag", "name": name }),
    }
}

fn limit(capacity: &Capacity) -> Json {
    let bounds = capacity.bounds.iter();
    let bounds = bounds.map(|b| json!({ "what": b.what, "total": b.total, "headroom": b.headroom, "room": b.room() }));
    json!({ "bytes": capacity.bytes, "why": capacity.explain(), "bounds": bounds.collect::<Vec<_>>() })
}

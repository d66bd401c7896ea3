//! Limits and timeouts: every setting is held by a test and stands in `docs/limits.md`, which is written from the code.

use std::collections::BTreeMap;

use super::Findings;
use crate::source::{Source, closing, identifier, split_commas, words};
use crate::workspace::root;

/// The page that lists them.
pub(super) const PAGE: &str = "docs/limits.md";

/// A struct of limits or timeouts.
pub(super) struct Settings {
    name: String,
    krate: String,
    place: String,
    docs: String,
    fields: Vec<Setting>,
}

/// One field of it.
struct Setting {
    name: String,
    kind: String,
    docs: String,
    default: Option<String>,
}

/// Structs whose names do not tell that they hold settings. What else is in them, such as a name, is none.
const MIXED: &[&str] = &["AppOptions", "RestartPolicy", "ServeStdioOptions"];

/// Every `pub struct …Limits`, `pub struct …Timeouts` and `pub struct …Deadlines` in `crates/`, and those of [`MIXED`].
pub(super) fn collect(sources: &[Source]) -> Vec<Settings> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with("crates/")) {
        for at in words(&source.code, "pub struct") {
            let name = identifier(source.code[at + 10..].trim_start());
            let is_mixed = MIXED.contains(&name);
            let is_settings = ["Limits", "Timeouts", "Deadlines"].iter().any(|end| name.ends_with(end));
            if source.in_test(at) || !(is_settings || is_mixed) {
                continue;
            }
            let Some(open) = source.code[at..].find(['{', ';']).map(|offset| at + offset) else { continue };
            if source.code.as_bytes()[open] == b'{' {
                let mut one = settings(source, sources, name, at, open);
                if is_mixed {
                    one.fields.retain(|field| field.unit() != "–");
                }
                found.push(one);
            }
        }
    }
    found
}

/// Every public field is named in a test.
pub(super) fn tested(structs: &[Settings], sources: &[Source]) -> Findings {
    let mut findings = Findings::default();
    for (settings, field) in fields(structs) {
        findings.checked += 1;
        let setter = format!("with_{}", field.name);
        let in_a_test = |source: &Source| {
            [&field.name, &setter].iter().any(|name| words(&source.code, name).any(|at| source.in_test(at)))
        };
        if !sources.iter().any(in_a_test) {
            findings.fail(&settings.place, format!("no test names {}::{}", settings.name, field.name));
        }
    }
    findings
}

/// The page says what the code says; every field has a description.
pub(super) fn documented(structs: &[Settings], written: &str) -> Findings {
    let mut findings = Findings::default();
    for (settings, field) in fields(structs) {
        findings.checked += 1;
        let name = format!("{}::{}", settings.name, field.name);
        if field.docs.trim().is_empty() {
            findings.fail(&settings.place, format!("{name} has no description"));
        }
        if !written.contains(&format!("| `{}` |", field.name)) {
            findings.fail(PAGE, format!("does not name {name}"));
        }
    }
    if written != page(structs) {
        findings.fail(PAGE, "is not what the code says: run `cargo xtask tidy --write-limits`");
    }
    findings
}

/// The page.
pub(super) fn page(structs: &[Settings]) -> String {
    let mut page = String::from(
        "# Limits and timeouts\n\n<!-- Written by `cargo xtask tidy --write-limits` from the doc comments in the code. -->\n\n\
         Every queue, map, buffer and wait that a peer can grow has a setting. The defaults are safe for a peer that\n\
         is not trusted; each setting says what happens when it is reached.\n",
    );
    let mut by_crate: BTreeMap<&str, Vec<&Settings>> = BTreeMap::new();
    for settings in structs {
        by_crate.entry(&settings.krate).or_default().push(settings);
    }
    for (krate, structs) in by_crate {
        page.push_str(&format!("\n## {krate}\n"));
        for settings in structs {
            page.push_str(&format!("\n### `{}`\n\n", settings.name));
            let summary = paragraphs(&settings.docs).into_iter().next().unwrap_or_default();
            if !summary.is_empty() {
                page.push_str(&format!("{summary}\n\n"));
            }
            page.push_str(
                "| Setting | Unit | Default | Meaning, and what happens at the limit |\n|---|---|---|---|\n",
            );
            for field in &settings.fields {
                let default =
                    field.default.as_deref().map_or_else(|| "–".to_owned(), |d| humanise(d, field.unit()));
                let docs = paragraphs(&field.docs).join("<br>").replace('|', "\\|");
                page.push_str(&format!("| `{}` | {} | {default} | {docs} |\n", field.name, field.unit()));
            }
        }
    }
    page
}

impl Settings {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// The names of the fields that are settings themselves, and do not hold others.
    pub(super) fn leaves<'a>(&'a self, structs: &'a [Settings]) -> impl Iterator<Item = &'a str> {
        let holds =
            |field: &&Setting| !structs.iter().any(|other| words(&field.kind, &other.name).next().is_some());
        self.fields.iter().filter(holds).map(|field| field.name.as_str())
    }
}

impl Setting {
    fn unit(&self) -> &'static str {
        if words(&self.kind, "Duration").next().is_some() {
            "time"
        } else if self.name.ends_with("_bytes") {
            "bytes"
        } else if words(&self.kind, "bool").next().is_some() {
            "on/off"
        } else if ["usize", "u64", "u32", "u16", "u8", "NonZeroUsize", "NonZeroU32"]
            .iter()
            .any(|number| words(&self.kind, number).next().is_some())
        {
            "count"
        } else {
            "–"
        }
    }
}

fn fields(structs: &[Settings]) -> impl Iterator<Item = (&Settings, &Setting)> {
    structs.iter().flat_map(|settings| settings.fields.iter().map(move |field| (settings, field)))
}

fn settings(source: &Source, sources: &[Source], name: &str, at: usize, open: usize) -> Settings {
    let body = &source.code[open + 1..closing(&source.code, open) - 1];
    let folder = source.path.split("/src/").next().unwrap_or(&source.path);
    let same_crate: Vec<&Source> = sources.iter().filter(|other| other.path.starts_with(folder)).collect();
    let defaults = defaults(&same_crate, name);
    let mut fields = Vec::new();
    for (offset, part) in split_commas(body) {
        // Attributes contain no colon that matters: the field is what follows the last `pub`.
        let Some(public) = words(part, "pub").last() else { continue };
        let Some((field, kind)) = part[public + 3..].split_once(':') else { continue };
        let field = field.trim();
        fields.push(Setting {
            name: field.to_owned(),
            kind: kind.trim().to_owned(),
            docs: source.docs_above(open + 1 + offset + public),
            default: defaults.get(field).cloned(),
        });
    }
    Settings {
        name: name.to_owned(),
        place: source.place(at),
        docs: source.docs_above(at),
        krate: package(folder),
        fields,
    }
}

/// The name of the package in a folder.
fn package(folder: &str) -> String {
    let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap_or_default();
    let name = manifest.lines().find_map(|line| line.strip_prefix("name = \""));
    name.map_or(folder, |name| name.trim_end_matches('"')).to_owned()
}

/// The fields of `impl Default for Name`, constants of the crate resolved.
fn defaults(sources: &[&Source], name: &str) -> BTreeMap<String, String> {
    let header = format!("Default for {name}");
    let mut found = BTreeMap::new();
    for source in sources {
        let Some(at) = words(&source.code, &header).next() else { continue };
        let code = &source.code[at + header.len()..];
        let Some(open) = code.find('{') else { continue };
        let code = &code[open..closing(code, open)];
        // The last one: the first `Self {` may be the return type of `default` and its body.
        let end = |start: &str| Some(code.rfind(start)? + start.len());
        let literal = ["Self {", &format!("{name} {{")].iter().filter_map(|start| end(start)).max();
        let Some(literal) = literal else { continue };
        for (_, part) in split_commas(&code[literal..closing(code, literal - 1) - 1]) {
            if let Some((field, value)) = part.split_once(':') {
                found.insert(field.trim().to_owned(), resolve(sources, value.trim()));
            }
        }
    }
    found
}

/// A constant becomes its value, also inside `Some(…)`.
fn resolve(sources: &[&Source], value: &str) -> String {
    if let Some(inner) = value.strip_prefix("Some(").and_then(|rest| rest.strip_suffix(')')) {
        return format!("Some({})", resolve(sources, inner));
    }
    let name = value.trim_start_matches("Self::");
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') {
        return value.to_owned();
    }
    let declared = format!("const {name}:");
    let value_of = |source: &&Source| {
        let at = words(&source.code, &declared).next()?;
        let (_, rest) = source.code[at..].split_once('=')?;
        Some(rest.split_once(';')?.0.trim().to_owned())
    };
    sources.iter().find_map(value_of).unwrap_or_else(|| value.to_owned())
}

/// A default as a person writes it: `16 MiB`, `10 min`, `off`.
fn humanise(value: &str, unit: &str) -> String {
    if value == "None" {
        return "off".to_owned();
    }
    let inner = value.strip_prefix("Some(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(value);
    let call = |name: &str| inner.strip_suffix(')').and_then(|rest| rest.split_once(name)).map(|(_, n)| n);
    let plain = match unit {
        "time" => {
            [("from_millis(", 1), ("from_secs(", 1000), ("from_mins(", 60_000), ("from_hours(", 3_600_000)]
                .iter()
                .find_map(|(name, factor)| Some(time(product(call(name)?)? * factor)))
        }
        "bytes" => product(inner).map(bytes),
        "count" => product(inner).map(grouped),
        _ => None,
    };
    plain.unwrap_or_else(|| format!("`{}`", inner.split_whitespace().collect::<Vec<_>>().join(" ")))
}

/// `16 * 1024 * 1024`, `1 << 20`, `10_000`.
fn product(text: &str) -> Option<u64> {
    if let Some((left, right)) = text.split_once("<<") {
        return product(left)?.checked_shl(u32::try_from(product(right)?).ok()?);
    }
    text.split('*').try_fold(1_u64, |total, factor| {
        let digits: String = factor.chars().filter(|c| !c.is_whitespace() && *c != '_').collect();
        total.checked_mul(digits.parse().ok()?)
    })
}

fn time(millis: u64) -> String {
    match millis {
        m if m > 0 && m % 3_600_000 == 0 => format!("{} h", m / 3_600_000),
        m if m > 60_000 && m % 60_000 == 0 => format!("{} min", m / 60_000),
        m if m % 1000 == 0 => format!("{} s", m / 1000),
        m => format!("{m} ms"),
    }
}

fn bytes(count: u64) -> String {
    match count {
        c if c > 0 && c % (1 << 20) == 0 => format!("{} MiB", c >> 20),
        c if c > 0 && c % (1 << 10) == 0 => format!("{} KiB", c >> 10),
        c => grouped(c),
    }
}

fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Paragraphs of a doc comment, each on one line, links to items as plain code.
fn paragraphs(docs: &str) -> Vec<String> {
    docs.split("\n\n").map(|part| plain(&part.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
}

/// Links to items, with or without a target, lead somewhere only in the documentation of the crate: they become code.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("[`") {
        out.push_str(before);
        let Some((name, tail)) = after.split_once("`]") else {
            out.push_str("[`");
            rest = after;
            continue;
        };
        out.push_str(&format!("`{name}`"));
        rest = match tail.strip_prefix('(').and_then(|target| target.split_once(')')) {
            Some((_, tail)) => tail,
            None => tail,
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "
/// How much a lane takes.
pub struct LaneLimits {
    /// The largest message.
    ///
    /// At the limit: see [`Error`](crate::Error).
    pub max_message_bytes: usize,
    /// The longest silence.
    #[allow(dead_code)]
    pub idle: Option<Duration>,
    pub in_flight: usize,
    hidden: u8,
}
const IN_FLIGHT: usize = 1_024;
impl Default for LaneLimits {
    fn default() -> Self {
        Self { max_message_bytes: 16 * 1024 * 1024, idle: Some(Duration::from_secs(600)), in_flight: IN_FLIGHT, hidden: 0 }
    }
}
#[cfg(test)]
mod tests { fn a() { let l = LaneLimits { max_message_bytes: 1, idle: None, ..x }; } }
";

    fn sources() -> [Source; 1] {
        [Source::new("crates/x/src/limits.rs", CODE)]
    }

    #[test]
    fn a_limit_that_no_test_names_is_refused() {
        let findings = tested(&collect(&sources()), &sources());
        assert_eq!(findings.checked, 3);
        assert_eq!(findings.failures, ["crates/x/src/limits.rs:3: no test names LaneLimits::in_flight"]);
    }

    #[test]
    fn a_limit_without_a_description_is_refused() {
        let structs = collect(&sources());
        let findings = documented(&structs, &page(&structs));
        assert_eq!(findings.failures, ["crates/x/src/limits.rs:3: LaneLimits::in_flight has no description"]);
    }

    #[test]
    fn a_stale_page_is_refused() {
        let structs = collect(&sources());
        let stale = page(&structs).replace("16 MiB", "8 MiB");
        assert!(documented(&structs, &stale).failures.iter().any(|line| line.contains("--write-limits")));
        assert!(documented(&structs, "").failures.iter().any(|line| line.contains("does not name")));
    }

    #[test]
    fn of_a_mixed_struct_only_the_settings_are_on_the_page() {
        let code = "pub struct RestartPolicy {
            /// How long.
            pub quick: Duration,
            /// Who.
            pub info: Implementation,
        }
        pub struct OtherPolicy { pub quick: Duration }";
        let page = page(&collect(&[Source::new("crates/x/src/policy.rs", code)]));
        assert!(page.contains("| `quick` | time | – | How long. |"), "{page}");
        assert!(!page.contains("info") && !page.contains("OtherPolicy"), "{page}");
    }

    #[test]
    fn the_page_has_unit_and_default() {
        let page = page(&collect(&sources()));
        let row =
            "| `max_message_bytes` | bytes | 16 MiB | The largest message.<br>At the limit: see `Error`. |";
        assert!(page.contains(row), "{page}");
        assert!(page.contains("| `idle` | time | 10 min | The longest silence. |"), "{page}");
        assert!(page.contains("| `in_flight` | count | 1,024 |"), "{page}");
    }
}

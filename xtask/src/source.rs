//! A Rust source file, seen well enough to check rules on it: comments and literals blanked out, test code known.
//!
//! This is a scanner, not a parser. It has to be right about what is code and what is a test; it does not know types.

use std::collections::HashSet;
use std::ops::Range;

use crate::workspace::{self, Result};

/// One file.
pub(crate) struct Source {
    /// Relative to the root of the workspace.
    pub(crate) path: String,
    /// As it is on disk.
    pub(crate) text: String,
    /// The same, byte for byte, with comments and the inside of literals turned into spaces.
    pub(crate) code: String,
    tests: Vec<Range<usize>>,
    only_test: bool,
}

impl Source {
    /// Reads a file of the given path and text.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = mask(text);
        let only_test =
            is_test_path(path) || attributes(&code).any(|(_, inner, body)| inner && is_test(&body));
        let tests = attributes(&code)
            .filter(|(_, inner, body)| !inner && is_test(body))
            .map(|(start, _, _)| start..item_end(&code, start))
            .collect();
        Self { path: path.to_owned(), text: text.to_owned(), code, tests, only_test }
    }

    /// Whether the code at this offset is compiled for tests only.
    pub(crate) fn in_test(&self, at: usize) -> bool {
        self.only_test || self.tests.iter().any(|range| range.contains(&at))
    }

    /// The line of an offset, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }

    /// `path:line` of an offset.
    pub(crate) fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path, self.line(at))
    }

    /// Whether the line of this offset, or the one above, says why a rule does not apply: `// allowed: reason`.
    pub(crate) fn is_allowed(&self, at: usize) -> bool {
        let here = self.line(at);
        let marked = |number: usize| {
            number
                .checked_sub(1)
                .and_then(|index| self.text.lines().nth(index))
                .and_then(|line| line.split_once("// allowed:"))
                .is_some_and(|(_, reason)| !reason.trim().is_empty())
        };
        marked(here) || marked(here - 1)
    }

    /// The lines directly above the line of an offset that are comments or attributes, top-down, trimmed.
    pub(crate) fn comments_above(&self, at: usize) -> Vec<&str> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut found = Vec::new();
        let mut inside_attribute = false;
        for line in lines[..self.line(at) - 1].iter().rev().map(|line| line.trim()) {
            let attribute = line.starts_with("#[");
            if !inside_attribute && !attribute && !line.starts_with("//") && !line.ends_with(")]") {
                break;
            }
            inside_attribute = !attribute && !line.starts_with("//");
            found.push(line);
        }
        found.reverse();
        found
    }

    /// The doc comment of the item at an offset, without the slashes.
    pub(crate) fn docs_above(&self, at: usize) -> String {
        let lines = self.comments_above(at).into_iter().filter_map(|line| line.strip_prefix("///"));
        lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
    }

    /// Every function with its name, in order.
    pub(crate) fn functions(&self) -> Vec<Function<'_>> {
        words(&self.code, "fn").filter_map(|at| Function::at(&self.code, at)).collect()
    }

    /// Every use of an item by path, with `use` lists spelt out: `use a::{b, c}` is `a::b` and `a::c`.
    pub(crate) fn imports(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for at in words(&self.code, "use") {
            let rest = &self.code[at + 3..];
            // `impl Trait + use<'a>` is no import.
            if !rest.starts_with(char::is_whitespace) {
                continue;
            }
            let end = rest.find(';').unwrap_or(rest.len());
            expand(&rest[..end].split_whitespace().collect::<Vec<_>>().join(" "), "", &mut |path| {
                found.push((at, path));
            });
        }
        found
    }
}

/// A function as it stands in the source.
pub(crate) struct Function<'a> {
    /// Where `fn` is.
    pub(crate) at: usize,
    pub(crate) name: &'a str,
    /// What stands before `fn`: visibility and qualifiers.
    pub(crate) qualifiers: &'a str,
    /// From the name to the body.
    pub(crate) signature: &'a str,
    /// The body with its braces; empty for a declaration.
    pub(crate) body: &'a str,
}

impl<'a> Function<'a> {
    fn at(code: &'a str, at: usize) -> Option<Self> {
        let after = &code[at + 2..];
        let name_at = at + 2 + (after.len() - after.trim_start().len());
        let name = identifier(&code[name_at..]);
        if name.is_empty() {
            return None;
        }
        let end = header_end(code, name_at)?;
        let body = if code.as_bytes()[end] == b'{' { &code[end..closing(code, end)] } else { "" };
        let line = &code[code[..at].rfind('\n').map_or(0, |index| index + 1)..at];
        let qualifiers = line.rsplit(['{', '}', ']', ';']).next().unwrap_or(line).trim();
        Some(Self { at, name, qualifiers, signature: &code[name_at..end], body })
    }

    /// Visible to everyone, as far as the function itself says.
    pub(crate) fn is_public(&self) -> bool {
        self.qualifiers.split_whitespace().any(|word| word == "pub")
    }

    /// `async fn`, or one that returns `impl Future`.
    pub(crate) fn is_async(&self) -> bool {
        let returned = self.signature.split_once("->").map_or("", |(_, returned)| returned);
        let returned = returned.split(" where ").next().unwrap_or("");
        self.qualifiers.split_whitespace().any(|word| word == "async")
            || (words(returned, "impl").next().is_some() && words(returned, "Future").next().is_some())
    }
}

/// The Rust files of the workspace, with the modules that are declared `#[cfg(test)] mod name;` known as tests.
pub(crate) fn load(files: &[String]) -> Result<Vec<Source>> {
    let root = workspace::root();
    let mut sources = Vec::new();
    for path in files.iter().filter(|path| path.ends_with(".rs")) {
        let text = std::fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))?;
        sources.push(Source::new(path, &text));
    }
    mark_test_modules(&mut sources);
    Ok(sources)
}

/// Files that a `#[cfg(test)] mod name;` elsewhere pulls in are tests as a whole.
pub(crate) fn mark_test_modules(sources: &mut [Source]) {
    let mut modules = HashSet::new();
    for source in &*sources {
        for range in &source.tests {
            let item = source.code[range.clone()].trim_end();
            let Some(at) = words(item, "mod").next().filter(|_| item.ends_with(';')) else { continue };
            let name = identifier(item[at + 3..].trim_start());
            let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
            let stem = file.trim_end_matches(".rs");
            modules.insert(match stem {
                "lib" | "main" | "mod" => format!("{folder}/{name}"),
                _ => format!("{folder}/{stem}/{name}"),
            });
        }
    }
    for source in sources {
        let stem = source.path.trim_end_matches(".rs");
        let inside = |module: &String| stem == module || stem.starts_with(&format!("{module}/"));
        source.only_test |= modules.iter().any(inside);
    }
}

fn is_test_path(path: &str) -> bool {
    // The contract suite of the testkit is a library of tests.
    path.starts_with("crates/testkit/src/contract")
        || path.contains("/tests/")
        || path.contains("/benches/")
        || path.starts_with("tests/") && !path.contains("/src/")
}

fn is_test(attribute: &str) -> bool {
    let attribute: String = attribute.chars().filter(|c| !c.is_whitespace()).collect();
    let path = attribute.split('(').next().unwrap_or("");
    attribute.starts_with("cfg(test)")
        || attribute.starts_with("cfg(all(test")
        || path == "test"
        || path.ends_with("::test")
}

/// Attributes: where each starts, whether it is an inner one, and what is between the brackets.
fn attributes(code: &str) -> impl Iterator<Item = (usize, bool, String)> + '_ {
    code.match_indices('#').filter_map(|(start, _)| {
        let rest = &code[start + 1..];
        let inner = rest.starts_with('!');
        let open = start + 1 + usize::from(inner);
        (code.as_bytes().get(open) == Some(&b'[')).then(|| {
            let end = closing(code, open);
            (start, inner, code[open + 1..end.saturating_sub(1).max(open + 1)].to_owned())
        })
    })
}

/// The end of the item that begins with the attribute at `start`.
fn item_end(code: &str, start: usize) -> usize {
    let mut at = start;
    while code[at..].starts_with('#') {
        at = closing(code, at + 1);
        at += code[at..].len() - code[at..].trim_start().len();
    }
    match header_end(code, at) {
        Some(end) if code.as_bytes()[end] == b'{' => closing(code, end),
        Some(end) => end + 1,
        None => code.len(),
    }
}

/// The first `{` or `;` outside parentheses and brackets.
fn header_end(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (offset, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' | b';' if depth <= 0 => return Some(offset),
            _ => {}
        }
    }
    None
}

/// The offset after the bracket that closes the one at `open`.
pub(crate) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_i32;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return offset + 1;
        }
    }
    code.len()
}

/// Splits at commas outside brackets; each part with its offset. Angle brackets count, `->` and `=>` do not.
pub(crate) fn split_commas(code: &str) -> Vec<(usize, &str)> {
    let (mut parts, mut depth, mut start, mut last) = (Vec::new(), 0_i32, 0, b' ');
    for (offset, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b'<' if last != b'<' && !code[offset + 1..].starts_with('<') => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b'>' if last != b'-' && last != b'=' && depth > 0 => depth -= 1,
            b',' if depth == 0 => {
                parts.push((start, &code[start..offset]));
                start = offset + 1;
            }
            _ => {}
        }
        last = byte;
    }
    parts.push((start, &code[start..]));
    parts.into_iter().filter(|(_, part)| !part.trim().is_empty()).collect()
}

/// The identifier that a text starts with.
pub(crate) fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    &text[..end]
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where `needle` stands in `text` as words of its own.
pub(crate) fn words<'a>(text: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(needle).map(|(at, _)| at).filter(move |at| {
        let before = text[..*at].chars().next_back();
        let after = text[at + needle.len()..].chars().next();
        let opens = needle.starts_with(is_word) && before.is_some_and(is_word);
        let continues = needle.ends_with(is_word) && after.is_some_and(is_word);
        !opens && !continues
    })
}

fn expand(tree: &str, prefix: &str, found: &mut impl FnMut(String)) {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let inside = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
        let prefix = format!("{prefix}{}", tree[..open].trim());
        for (_, part) in split_commas(inside) {
            expand(part, &prefix, found);
        }
    } else {
        let name = tree.split(" as ").next().unwrap_or(tree).trim();
        found(format!("{prefix}{name}"));
    }
}

/// Blanks out comments and the inside of literals, byte for byte.
pub(crate) fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(text, at);
        match end {
            Some((end, quoted)) => {
                for (offset, byte) in bytes[at..end].iter().enumerate() {
                    let edge = quoted && (offset == 0 || at + offset + 1 == end);
                    out.push(if edge || *byte == b'\n' { *byte } else { b' ' });
                }
                at = end;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// If a comment or literal starts here: where it ends, and whether its first and last byte are kept.
fn literal_end(text: &str, at: usize) -> Option<(usize, bool)> {
    let bytes = text.as_bytes();
    let rest = bytes.get(at..)?;
    let find =
        |from: usize, what: &str| text.get(from..).and_then(|t| t.find(what)).map(|found| from + found);
    match rest {
        [b'/', b'/', ..] => Some((find(at, "\n").unwrap_or(bytes.len()), false)),
        [b'/', b'*', ..] => {
            let (mut depth, mut here) = (0_i32, at);
            while here < bytes.len() {
                match &bytes[here..] {
                    [b'/', b'*', ..] => (depth, here) = (depth + 1, here + 2),
                    [b'*', b'/', ..] => (depth, here) = (depth - 1, here + 2),
                    _ => here += 1,
                }
                if depth == 0 {
                    break;
                }
            }
            Some((here, false))
        }
        [b'"', ..] => {
            let mut here = at + 1;
            while here < bytes.len() && bytes[here] != b'"' {
                here += if bytes[here] == b'\\' { 2 } else { 1 };
            }
            Some(((here + 1).min(bytes.len()), true))
        }
        [b'r', b'"' | b'#', ..]
            if at == 0 || !is_word(char::from(bytes[at - 1])) || raw_prefix(bytes, at) =>
        {
            let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
            if rest.get(1 + hashes) != Some(&b'"') {
                return None;
            }
            let close = format!("\"{}", "#".repeat(hashes));
            let end = find(at + 2 + hashes, &close).map_or(bytes.len(), |found| found + close.len());
            Some((end, false))
        }
        [b'\'', b'\\', ..] => {
            let mut here = at + 1;
            while here < bytes.len() && bytes[here] != b'\'' {
                here += if bytes[here] == b'\\' { 2 } else { 1 };
            }
            Some(((here + 1).min(bytes.len()), true))
        }
        [b'\'', ..] => {
            let (width, next) = text.get(at + 1..)?.char_indices().nth(1)?;
            (next == '\'').then_some((at + 1 + width + 1, true))
        }
        _ => None,
    }
}

/// `br"` and `cr"`: the letter before the `r` belongs to the literal, and nothing before that.
fn raw_prefix(bytes: &[u8], at: usize) -> bool {
    matches!(bytes[at - 1], b'b' | b'c') && (at < 2 || !is_word(char::from(bytes[at - 2])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_not_code() {
        let text = "a // b\n/* c /* d */ */ \"e \\\" f\" r#\"g \" h\"# 'i' '\\'' &'j k b\"l\" br\"m\\\" n";
        let code = mask(text);
        assert_eq!(code.len(), text.len());
        let left: Vec<&str> = code.split_whitespace().collect();
        assert_eq!(left.concat(), "a\"\"''''&'jkb\"\"bn");
    }

    #[test]
    fn multi_byte_text_keeps_offsets() {
        let text = "let a = \"größer\"; // ≥ 3\nlet b = '≥';";
        let code = mask(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.find("let b"), text.find("let b"));
    }

    #[test]
    fn test_modules_and_functions_are_known() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\n#[tokio::test(flavor = \"x\")]\n#[other]\nasync fn c() {}\nfn d() {}";
        let source = Source::new("crates/x/src/lib.rs", text);
        let inside: Vec<(&str, bool)> =
            source.functions().iter().map(|f| (f.name, source.in_test(f.at))).collect();
        assert_eq!(inside, [("a", false), ("b", true), ("c", true), ("d", false)]);
    }

    #[test]
    fn a_test_module_in_its_own_file_is_a_test() {
        let mut sources = [
            Source::new("crates/x/src/frame.rs", "#[cfg(test)]\nmod tests;"),
            Source::new("crates/x/src/frame/tests.rs", "fn a() {}"),
            Source::new("crates/x/src/frame/other.rs", "fn a() {}"),
        ];
        mark_test_modules(&mut sources);
        assert!(sources[1].in_test(0));
        assert!(!sources[2].in_test(0));
    }

    #[test]
    fn imports_are_spelt_out() {
        let source = Source::new(
            "a.rs",
            "use std::{sync::{Arc, Mutex as Lock}, fmt};\nuse tokio::time;\nfn a() -> impl B + use<'_> { c }",
        );
        let paths: Vec<String> = source.imports().into_iter().map(|(_, path)| path).collect();
        assert_eq!(paths, ["std::sync::Arc", "std::sync::Mutex", "std::fmt", "tokio::time"]);
    }

    #[test]
    fn functions_say_what_they_are() {
        let text = "pub async fn a() {}\npub(crate) async fn b() {}\nimpl X { pub fn c(&self) -> impl Future<Output = ()> + Send { x } fn d(f: fn(u8) -> u8); }";
        let source = Source::new("a.rs", text);
        let seen: Vec<(&str, bool, bool)> =
            source.functions().iter().map(|f| (f.name, f.is_public(), f.is_async())).collect();
        assert_eq!(seen, [("a", true, true), ("b", false, true), ("c", true, true), ("d", false, false)]);
    }

    #[test]
    fn a_reason_allows_on_the_line_or_above() {
        let text =
            "a(); // allowed: start-up only\n// allowed: the table is const\nb();\n\nc(); // allowed:\n";
        let source = Source::new("a.rs", text);
        let at = |needle: &str| source.code.find(needle).unwrap();
        assert!(source.is_allowed(at("a()")));
        assert!(source.is_allowed(at("b()")));
        assert!(!source.is_allowed(at("c()")));
    }

    #[test]
    fn docs_pass_over_attributes() {
        let text =
            "x\n/// One.\n///\n/// Two.\n#[must_use]\n#[cfg_attr(\n    a,\n    b(c)\n)]\npub fn a() {}";
        let source = Source::new("a.rs", text);
        let at = source.code.find("pub fn").unwrap();
        assert_eq!(source.docs_above(at), "One.\n\nTwo.");
    }
}

//! Foreign text on a terminal or in a log: on one line, of bounded length, and without control over either.

/// Makes text that somebody else wrote fit into one line: its lines are joined, what is not printable is replaced, and
/// what is too long is cut.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for part in text.lines().map(str::trim).filter(|part| !part.is_empty()) {
        if !line.is_empty() {
            line.push_str(" | ");
        }
        for char in part.chars() {
            if line.len() >= LINE_BYTES {
                line.push('…');
                return line;
            }
            match char {
                '\t' => line.push(' '),
                char if is_hidden(char) => line.push('?'),
                char => line.push(char),
            }
        }
    }
    line
}

/// Valid JSON with a line for each member and element. The values stay as they are: no number is read, no member is
/// dropped. Characters that would control the terminal are escaped, as JSON may.
pub(crate) fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut chars = json.chars().peekable();
    let mut in_string = false;
    while let Some(char) = chars.next() {
        if in_string {
            match char {
                '\\' => {
                    out.push(char);
                    out.extend(chars.next());
                    continue;
                }
                '"' => in_string = false,
                _ => {}
            }
            if is_hidden(char) {
                out.push_str(&format!("\\u{:04x}", u32::from(char)));
            } else {
                out.push(char);
            }
            continue;
        }
        match char {
            ' ' | '\t' | '\r' | '\n' => {}
            '{' | '[' => {
                out.push(char);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                match chars.next_if(|next| matches!(next, '}' | ']')) {
                    Some(close) => out.push(close),
                    None => {
                        depth += 1;
                        break_line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                break_line(&mut out, depth);
                out.push(char);
            }
            ',' => {
                out.push(char);
                break_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            char => {
                in_string = char == '"';
                out.push(char);
            }
        }
    }
    out
}

fn break_line(out: &mut String, depth: usize) {
    out.push('\n');
    // A deep nesting must not make the text longer by its square.
    (0..depth.min(DEEPEST_INDENT)).for_each(|_| out.push_str("  "));
}

/// Control characters, and those that change the direction of what follows them. All are below U+10000.
fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

const LINE_BYTES: usize = 4 << 10;
const DEEPEST_INDENT: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_one_line_that_controls_nothing() {
        assert_eq!(one_line("one\r\n\n  two\t2\n\u{1b}[31mred\u{202e}\n"), "one | two 2 | ?[31mred?");
        let long = one_line(&"é".repeat(LINE_BYTES));
        assert!(long.len() <= LINE_BYTES + 8 && long.ends_with('…'));
        assert_eq!(one_line(&"x\n".repeat(LINE_BYTES)).lines().count(), 1);
    }

    #[test]
    fn pretty_json_has_a_line_for_each_value_and_keeps_each_as_it_was() {
        let json = r#"{"a":[1e400, 9223372036854775808,{}, [ ]],"b" : "x,:[{\"\\","a":null}"#;
        let expected = r#"{
  "a": [
    1e400,
    9223372036854775808,
    {},
    []
  ],
  "b": "x,:[{\"\\",
  "a": null
}"#;
        assert_eq!(pretty(json), expected);
        assert_eq!(pretty("\"a\u{7f}\u{9b}\u{202e}é\""), r#""a\u007f\u009b\u202eé""#);
        assert_eq!(pretty("true"), "true");
    }

    #[test]
    fn pretty_json_of_a_deep_nesting_stays_in_proportion() {
        let deep = "[1,".repeat(20_000) + "1" + &"]".repeat(20_000);
        assert!(pretty(&deep).len() < deep.len() * 60);
    }
}

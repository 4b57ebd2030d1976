//! Tells prose from code, where brackets are indices and hashes are comments.

/// Drops fenced blocks and `code spans`, whose brackets are no links.
pub(super) fn without_code(text: &str) -> String {
    let mut prose = String::new();
    for paragraph in without_fences(text).split("\n\n") {
        prose += &without_spans(paragraph);
        prose += "\n\n";
    }
    prose
}

/// Drops fenced blocks, whose lines are no headings.
pub(super) fn without_fences(text: &str) -> String {
    let mut prose = String::new();
    let mut open: Option<&str> = None;
    for line in text.lines() {
        let fence = fence(line);
        match open {
            None if fence.is_some() => open = fence,
            None => {
                prose += line;
                prose.push('\n');
            }
            Some(opening) if fence.is_some_and(|closing| closing.starts_with(opening)) => {
                open = None
            }
            Some(_) => {}
        }
    }
    prose
}

/// The run of backticks or tildes that a fence begins with.
fn fence(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let run = &line[..line.len() - line.trim_start_matches(mark).len()];
    (run.len() >= 3).then_some(run)
}

/// A span ends at a run of as many backticks as it began with; without one the backticks are text.
fn without_spans(mut text: &str) -> String {
    let mut prose = String::new();
    while let Some(start) = text.find('`') {
        let run = text[start..].len() - text[start..].trim_start_matches('`').len();
        let inside = start + run;
        prose += &text[..start];
        text =
            closing_run(&text[inside..], run).map_or(&text[inside..], |end| &text[inside + end..]);
    }
    prose + text
}

/// Where the text goes on after the next run of exactly `length` backticks.
fn closing_run(text: &str, length: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(start) = text[at..].find('`') {
        let run = text[at + start..].len() - text[at + start..].trim_start_matches('`').len();
        at += start + run;
        if run == length {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_ends_at_one_of_its_own_kind() {
        let text = "before\n````rust\nf[1](2)\n```\n~~~\n`````\nafter\n";
        assert_eq!(without_fences(text), "before\nafter\n");
    }

    #[test]
    fn a_span_ends_at_as_many_backticks() {
        assert_eq!(without_spans("`a[0](b)` c ``d`e`` f"), " c  f");
    }

    #[test]
    fn a_stray_backtick_hides_nothing() {
        assert_eq!(
            without_code("a stray ` [b](c)\n\nd `e`\n").trim(),
            "a stray  [b](c)\n\nd"
        );
    }
}

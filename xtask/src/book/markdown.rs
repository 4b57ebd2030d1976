//! As much of Markdown as a link checker needs.

use super::code::{without_code, without_fences};

/// The targets of all links and images, inline and by reference, outside code.
pub(super) fn links(text: &str) -> Vec<String> {
    let prose = without_code(text);
    let mut targets = Vec::new();
    for (at, _) in prose.match_indices("](") {
        targets.extend(destination(&prose[at + 2..]));
    }
    targets.extend(prose.lines().filter_map(definition));
    targets
}

/// The names that a link's fragment may have: those of the headings, and `id` attributes in HTML.
pub(super) fn anchors(text: &str) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for heading in without_fences(text).lines().filter_map(heading) {
        let slug = heading_anchor(heading);
        let earlier = anchors
            .iter()
            .filter(|anchor| is_repeat(anchor, &slug))
            .count();
        anchors.push(if earlier == 0 {
            slug
        } else {
            format!("{slug}-{earlier}")
        });
    }
    anchors.extend(
        text.split(" id=\"")
            .skip(1)
            .filter_map(|rest| rest.split_once('"'))
            .map(|(id, _)| id.to_owned()),
    );
    anchors
}

/// What stands between the parentheses, without a title or angle brackets.
fn destination(rest: &str) -> Option<String> {
    let mut depth = 0;
    let end = rest.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth < 0
    })?;
    let target = rest[..end].split_whitespace().next()?;
    Some(
        target
            .trim_start_matches('<')
            .trim_end_matches('>')
            .to_owned(),
    )
}

/// The target in `[name]: target`; a footnote, `[^name]: text`, has none.
fn definition(line: &str) -> Option<String> {
    let (name, rest) = line.trim_start().strip_prefix('[')?.split_once("]:")?;
    if name.starts_with('^') || name.contains(']') {
        return None;
    }
    Some(
        rest.split_whitespace()
            .next()?
            .trim_matches(['<', '>'])
            .to_owned(),
    )
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    ((1..=6).contains(&(line.len() - text.len())) && text.starts_with(' ')).then(|| text.trim())
}

/// The heading's own `{#name}`, or mdbook's: letters and digits in lower case, spaces as hyphens.
fn heading_anchor(heading: &str) -> String {
    if let Some((_, name)) = heading
        .strip_suffix('}')
        .and_then(|rest| rest.rsplit_once("{#"))
    {
        return name.to_owned();
    }
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || "_- ".contains(*c));
    kept.map(|c| {
        if c == ' ' {
            '-'
        } else {
            c.to_ascii_lowercase()
        }
    })
    .collect()
}

fn is_repeat(anchor: &str, slug: &str) -> bool {
    anchor.strip_prefix(slug).is_some_and(|rest| {
        rest.is_empty()
            || rest
                .strip_prefix('-')
                .is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_inline_images_and_references() {
        let text = "[a](a.md) ![b](img/b.svg \"title\") [c](<c.md>) [d](d_(x).md)\n[e]: e.md\n[^1]: a note\n";
        assert_eq!(
            links(text),
            ["a.md", "img/b.svg", "c.md", "d_(x).md", "e.md"]
        );
    }

    #[test]
    fn headings_are_named_as_mdbook_names_them() {
        let text = "# When *not* to use\n## `Store` & time\n## Own {#mine}\n## Cost\n## Cost\n```\n# code\n```\n<a id=\"here\"></a>\n";
        assert_eq!(
            anchors(text),
            [
                "when-not-to-use",
                "store--time",
                "mine",
                "cost",
                "cost-1",
                "here"
            ]
        );
    }
}

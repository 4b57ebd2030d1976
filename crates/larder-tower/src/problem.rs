//! Problem details (RFC 9457).

use http::StatusCode;

/// The registered type of a request over its quota (draft-ietf-httpapi-ratelimit-headers, section 5.1).
pub(crate) const QUOTA_EXCEEDED: Kind = Kind {
    uri: "https://iana.org/assignments/http-problem-types#quota-exceeded",
    title: "Request cannot be satisfied as assigned quota has been exceeded",
};

/// A type of problem with its title.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    uri: &'static str,
    title: &'static str,
}

/// What went wrong, as the body of a response. Without a kind it is no more than its status says.
#[derive(Debug)]
pub(crate) struct Problem<'a> {
    pub(crate) kind: Option<Kind>,
    pub(crate) status: StatusCode,
    pub(crate) detail: &'a str,
    pub(crate) violated: Option<Vec<&'a str>>,
}

impl Problem<'_> {
    pub(crate) const CONTENT_TYPE: &'static str = "application/problem+json";

    pub(crate) fn json(&self) -> String {
        let uri = self.kind.map_or("about:blank", |kind| kind.uri);
        let phrase = || self.status.canonical_reason().unwrap_or("Refused");
        let title = self.kind.map_or_else(phrase, |kind| kind.title);
        let mut members = vec![
            format!(r#""type":{}"#, quoted(uri)),
            format!(r#""title":{}"#, quoted(title)),
            format!(r#""status":{}"#, self.status.as_u16()),
            format!(r#""detail":{}"#, quoted(self.detail)),
        ];
        if let Some(violated) = &self.violated {
            let names: Vec<_> = violated.iter().map(|name| quoted(name)).collect();
            members.push(format!(r#""violated-policies":[{}]"#, names.join(",")));
        }
        format!("{{{}}}", members.join(","))
    }
}

/// A string of JSON (RFC 8259, section 7).
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            plain => out.push(plain),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_problem_is_one_object() {
        let problem = Problem {
            kind: Some(QUOTA_EXCEEDED),
            status: StatusCode::TOO_MANY_REQUESTS,
            detail: "later",
            violated: Some(vec!["daily", r#"a "b" \"#]),
        };
        assert_eq!(
            problem.json(),
            r#"{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Request cannot be satisfied as assigned quota has been exceeded","status":429,"detail":"later","violated-policies":["daily","a \"b\" \\"]}"#
        );
    }

    #[test]
    fn a_status_without_a_phrase_has_a_title_too() {
        let problem = Problem {
            kind: None,
            status: StatusCode::from_u16(599).expect("a status"),
            detail: "",
            violated: None,
        };
        assert_eq!(
            problem.json(),
            r#"{"type":"about:blank","title":"Refused","status":599,"detail":""}"#
        );
    }

    proptest! {
        #[test]
        fn every_string_is_read_as_it_was(text in ".*", control in "[\\x00-\\x20\"\\\\/]*") {
            for text in [text, control] {
                let read: String = serde_json::from_str(&quoted(&text)).expect("JSON");
                prop_assert_eq!(read, text);
            }
        }
    }
}

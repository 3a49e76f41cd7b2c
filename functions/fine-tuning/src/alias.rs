//! The alias under which a model is promoted.

use hooks_openai::{FineTuningJob, Json};

/// Maximum length of an alias, in characters. A parameter's whole name has at most a thousand.
const MAX_LENGTH: usize = 64;

/// The alias of a job's model: the `alias` in the job's metadata, else the model's suffix, else the base model.
///
/// The first of them with a letter or a digit counts. Characters that a parameter's name cannot have become hyphens.
pub(crate) fn of(job: &FineTuningJob) -> Option<String> {
    let name = job.fine_tuned_model.as_deref().and_then(parts);
    let chosen = job.raw().at("/metadata/alias").and_then(Json::text);
    let candidates = [
        chosen.as_deref(),
        job.suffix.as_deref(),
        name.map(|(_, suffix)| suffix),
        name.map(|(base, _)| base),
        job.model.as_deref(),
    ];
    candidates.into_iter().flatten().find_map(usable)
}

/// The base model and the suffix of `ft:base:organization:suffix:id`. The suffix can be empty.
fn parts(model: &str) -> Option<(&str, &str)> {
    let mut parts = model.strip_prefix("ft:")?.split(':');
    Some((parts.next()?, parts.nth(1)?))
}

fn usable(text: &str) -> Option<String> {
    let valid = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '-' };
    // No hyphen at either end, whatever was replaced or cut there.
    let alias: String = text.trim().chars().map(valid).take(MAX_LENGTH).collect();
    let alias = alias.trim_matches('-');
    alias.contains(|c: char| c.is_ascii_alphanumeric()).then(|| alias.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_is_split_into_its_parts() {
        assert_eq!(parts("ft:gpt-4.1-mini:acme:support:B1"), Some(("gpt-4.1-mini", "support")));
        assert_eq!(parts("ft:gpt-4.1-mini:acme::B1"), Some(("gpt-4.1-mini", "")));
        assert_eq!(parts("ft:gpt-4.1-mini:acme:support:B1:ckpt-step-88"), Some(("gpt-4.1-mini", "support")));
        for other in ["", "ft:", "ft:gpt", "gpt-4.1-mini", "curie:ft-acme-2021"] {
            assert_eq!(parts(other), None, "{other:?}");
        }
    }

    #[test]
    fn an_alias_has_only_characters_that_a_parameters_name_may_have() {
        let long = "a".repeat(100);
        let cases = [
            ("support", Some("support")),
            ("Support_2.1-b", Some("Support_2.1-b")),
            (" night shift ", Some("night-shift")),
            ("../admin/key", Some("..-admin-key")),
            ("{{ssm:x}}", Some("ssm-x")),
            ("K\u{fc}che", Some("K-che")),
            (&long, Some(&long[..64])),
            ("", None),
            ("..", None),
            ("---", None),
            ("\u{65e5}\u{672c}", None),
        ];
        for (text, alias) in cases {
            assert_eq!(usable(text).as_deref(), alias, "{text:?}");
        }
    }
}

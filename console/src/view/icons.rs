//! Icons: one symbol each, drawn once per page and used by name. Each has a word beside it.

use maud::{Markup, PreEscaped, html};

/// An icon by name.
pub(crate) fn icon(name: &str) -> Markup {
    html! { svg.icon aria-hidden="true" { use href={ "#icon-" (name) }; } }
}

const SYMBOLS: &[(&str, &str)] = &[
    ("bell", r#"<path d="M4 11V7a4 4 0 0 1 8 0v4l1.2 1.3H2.8zM6.7 14.2h2.6"/>"#),
    ("busy", r#"<circle cx="8" cy="8" r="6.2"/><path d="M8 1.8a6.2 6.2 0 0 1 0 12.4z" fill="currentColor"/>"#),
    (
        "copy",
        r#"<rect x="5.5" y="5.5" width="8" height="8" rx="1.5"/><path d="M10.5 5.5v-2a1 1 0 0 0-1-1h-6a1 1 0 0 0-1 1v6a1 1 0 0 0 1 1h2"/>"#,
    ),
    ("cross", r#"<path d="m4 4 8 8m0-8-8 8"/>"#),
    ("done", r#"<circle cx="8" cy="8" r="6.2"/><path d="m5.3 8.2 1.9 1.9 3.6-4"/>"#),
    ("failed", r#"<path d="M5.4 1.8h5.2l3.6 3.6v5.2l-3.6 3.6H5.4l-3.6-3.6V5.4z"/><path d="m6 6 4 4m0-4-4 4"/>"#),
    ("gone", r#"<circle cx="8" cy="8" r="6.2" stroke-dasharray="2.6 2.6"/><path d="M8 4.8v3.6M8 11v.1"/>"#),
    ("lock", r#"<rect x="3.5" y="7" width="9" height="6.5" rx="1.2"/><path d="M5.5 7V5a2.5 2.5 0 0 1 5 0v2"/>"#),
    ("menu", r#"<path d="M2 4.5h12M2 8h12M2 11.5h12"/>"#),
    ("paused", r#"<path d="M5.5 3v10M10.5 3v10" stroke-width="2.6"/>"#),
    ("retry", r#"<path d="M13.4 8A5.4 5.4 0 1 1 11.6 4"/><path d="M12 1.3V4.4H8.9"/>"#),
    ("wait", r#"<path d="M8 2 14.3 13.4H1.7z"/><path d="M8 6.5v3M8 11.4v.1"/>"#),
];

/// The symbols and hatches that a page refers to.
pub(crate) fn sprite() -> Markup {
    html! {
        svg width="0" height="0" aria-hidden="true" {
            defs {
                @for (name, shape) in SYMBOLS {
                    symbol id={ "icon-" (name) } viewBox="0 0 16 16" { (PreEscaped(*shape)) }
                }
                pattern id="hatch-bad" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    path.line-bad d="M0 0v4" stroke-width="4.6" {}
                }
                pattern id="hatch-warn" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)" {
                    path.line-warn d="M0 0v5" stroke-width="5" {}
                }
            }
        }
    }
}

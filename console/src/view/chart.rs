//! Charts: SVG with percentages across and pixels up, so that text keeps its size and no inline style is needed.

use maud::{Markup, html};

use super::format::count;

/// A series: its name, the class of its bars, and a value for each bucket.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) class: &'static str,
    pub(crate) values: Vec<u64>,
}

impl Series {
    pub(crate) fn sum(&self) -> u64 {
        self.values.iter().sum()
    }
}

/// Labels of the buckets.
pub(crate) struct Buckets<'a> {
    pub(crate) labels: &'a [String],
    /// The unit of a bucket, such as "hour".
    pub(crate) unit: &'a str,
}

/// A legend with shape, name and sum.
pub(crate) fn legend<'a>(series: impl IntoIterator<Item = &'a Series>) -> Markup {
    html! {
        ul.legend {
            @for one in series {
                li {
                    svg aria-hidden="true" { rect.(one.class) width="100%" height="100%" {} }
                    bdi { (one.name) } " " b { (count(one.sum())) }
                }
            }
        }
    }
}

/// Stacked bars above a common axis. `finding` says what is to be seen, for those who do not see it.
pub(crate) fn bars(series: &[&Series], buckets: &Buckets<'_>, height: u16, finding: &str, axis: bool) -> Markup {
    let length = buckets.labels.len().max(1);
    let total = |at: usize| series.iter().map(|one| one.values.get(at).copied().unwrap_or(0)).sum::<u64>();
    let (top, steps) = scale((0..length).map(total).max().unwrap_or(0));
    // Little room has two numbers.
    let steps = if height < 60 { vec![top, 0] } else { steps };
    let (plot, width) = (f64::from(height), 100.0 / as_f64(length as u64));
    let y = |value: u64| plot - plot * as_f64(value) / as_f64(top);
    let below = if axis { 24 } else { 6 };
    html! {
        svg height=(height + 8 + below) role="img" aria-label=(finding) {
            g transform="translate(0 8)" {
                @for value in steps {
                    line class=(if value == 0 { "base" } else { "grid" }) x2="100%" y1=(pixels(y(value))) y2=(pixels(y(value))) {}
                    text x="-8" y=(pixels(y(value) + 4.0)) text-anchor="end" { (count(value)) }
                }
                @for at in 0..length {
                    (stack(series, at, width, plot, top))
                    @if axis && at % label_every(length) == 0 {
                        text class=[(at / label_every(length) % 2 == 1).then_some("odd")] x=(percent(width * (as_f64(at as u64) + 0.5)))
                            y=(height + 18) text-anchor="middle" { (buckets.labels[at]) }
                    }
                }
            }
        }
    }
}

fn stack(series: &[&Series], at: usize, width: f64, plot: f64, top: u64) -> Markup {
    let mut base = plot;
    html! {
        @for one in series {
            @let value = one.values.get(at).copied().unwrap_or(0);
            @if value > 0 {
                // The smallest bar is seen.
                @let tall = (plot * as_f64(value) / as_f64(top)).max(3.0).min(base);
                ({ base -= tall; rectangle(one.class, width * (as_f64(at as u64) + 0.12), base, width * 0.76, tall) })
            }
        }
    }
}

fn rectangle(class: &str, x: f64, y: f64, width: f64, height: f64) -> Markup {
    html! {
        rect.(class) x=(percent(x)) y=(pixels(y)) width=(percent(width)) height=(pixels(height)) rx="1" {}
    }
}

/// The figures of a chart as a table that opens by a click.
pub(crate) fn figures(title: &str, series: &[&Series], buckets: &Buckets<'_>) -> Markup {
    html! {
        details {
            summary { "Figures as a table" }
            div.scroll tabindex="0" role="region" aria-label=(title) {
                table {
                    caption.unseen { (title) }
                    thead { tr {
                        th scope="col" { (buckets.unit) }
                        @for one in series { th.number scope="col" { (one.name) } }
                    } }
                    tbody {
                        @for (at, label) in buckets.labels.iter().enumerate() {
                            tr {
                                th scope="row" { (label) }
                                @for one in series { td.number { (count(one.values.get(at).copied().unwrap_or(0))) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A small line of bars without axes, for a row of a table.
pub(crate) fn spark(values: &[u64], class: &str) -> Markup {
    let (most, width) = (values.iter().copied().max().unwrap_or(0).max(1), 120.0 / as_f64(values.len().max(1) as u64));
    html! {
        svg.spark viewBox="0 0 120 24" aria-hidden="true" preserveAspectRatio="none" {
            @for (at, value) in values.iter().enumerate() {
                @let tall = if *value == 0 { 1.0 } else { (22.0 * as_f64(*value) / as_f64(most)).max(3.0) };
                rect.(class) x=(pixels(width * as_f64(at as u64))) y=(pixels(24.0 - tall)) width=(pixels(width * 0.8)) height=(pixels(tall)) {}
            }
        }
    }
}

/// A bar of parts: what is done in one piece, what failed hatched behind it, the rest pale.
pub(crate) fn progress(parts: &[(u64, &str)], total: u64, text: &str) -> Markup {
    let total = as_f64(total.max(1));
    let mut x = 0.0;
    html! {
        svg.bar height="12" role="img" aria-label=(text) {
            rect.fill-rest width="100%" height="100%" {}
            @for (value, class) in parts {
                @if *value > 0 {
                    @let width = (as_f64(*value) * 100.0 / total).clamp(0.4, 100.0);
                    ({ let at = x; x += width; html! { rect.(class) x=(percent(at)) width=(percent(width)) height="100%" {} } })
                }
            }
        }
    }
}

/// A step on the scale of its part, which is `total` long. The shortest is seen.
pub(crate) fn step(class: &str, start: i64, length: i64, total: i64) -> Markup {
    let share = |part: i64| as_f64(part.max(0).unsigned_abs()) * 100.0 / as_f64(total.max(1).unsigned_abs());
    let width = share(length).clamp(0.6, 100.0);
    let start = share(start).min(100.0 - width);
    html! { svg aria-hidden="true" { rect.(class) x=(percent(start)) width=(percent(width)) height="100%" rx="2" {} } }
}

/// The top of an axis, and its few round numbers from the top down.
fn scale(most: u64) -> (u64, Vec<u64>) {
    let mut step: u64 = 1;
    let fits = |step: u64| step.saturating_mul(4) >= most;
    while !fits(step) {
        let digits = step.to_string();
        // 1, 2, 5, 10, 20, 50, ...
        step = if digits.starts_with('2') { step / 2 * 5 } else { step.saturating_mul(2) };
    }
    let top = step * most.div_ceil(step).max(1);
    (top, (0..=top / step).rev().map(|times| times * step).collect())
}

const fn label_every(length: usize) -> usize {
    if length > 16 { 3 } else { 1 }
}

#[expect(clippy::cast_precision_loss, reason = "a length on the screen")]
const fn as_f64(number: u64) -> f64 {
    number as f64
}

fn pixels(value: f64) -> String {
    format!("{value:.1}")
}

fn percent(value: f64) -> String {
    format!("{value:.2}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_few_round_numbers() {
        assert_eq!(scale(0), (1, vec![1, 0]));
        assert_eq!(scale(3), (3, vec![3, 2, 1, 0]));
        assert_eq!(scale(22), (30, vec![30, 20, 10, 0]));
        assert_eq!(scale(675), (800, vec![800, 600, 400, 200, 0]));
        let (top, steps) = scale(u64::MAX / 8);
        assert!(top >= u64::MAX / 8 && steps.len() <= 6);
    }
}

//! Environment variables of a function, read once at init.

use std::fmt;

/// Reader of environment variables that collects all faults.
///
/// A deployment with three variables missing must name all three in its first log line. Therefore no method stops at the
/// first fault: it returns `None`, and [`finish`](Self::finish) reports all of them.
///
/// ```
/// # use hooks_aws::Environment;
/// let mut environment = Environment::of([("TABLE_NAME", "events")]);
/// let table = environment.required("TABLE_NAME");
/// let bucket = environment.required("BUCKET_NAME");
/// let queue = environment.required("QUEUE_URL");
/// let faults = environment.finish(|| Some((table?, bucket?, queue?))).unwrap_err();
/// assert_eq!(faults.to_string(), "BUCKET_NAME is not set; QUEUE_URL is not set");
/// ```
pub struct Environment {
    source: Source,
    faults: Vec<String>,
}

enum Source {
    Process,
    Given(Vec<(String, String)>),
}

/// All faults of a function's environment. The text names the variables, never their values.
#[derive(Debug, thiserror::Error)]
pub struct EnvironmentError(Vec<String>);

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl Environment {
    /// Environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self { source: Source::Process, faults: Vec::new() }
    }

    /// Environment of the given variables only, for tests.
    #[must_use]
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        variables.into_iter().collect()
    }

    /// An optional variable. An empty value counts as absent, because a template cannot easily omit a variable.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<String> {
        let value = match &self.source {
            Source::Process => std::env::var(name).ok(),
            Source::Given(variables) => {
                variables.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone())
            }
        };
        value.filter(|value| !value.is_empty())
    }

    /// A required variable.
    pub fn required(&mut self, name: &str) -> Option<String> {
        let value = self.optional(name);
        if value.is_none() {
            self.fault(name, "is not set");
        }
        value
    }

    /// A required variable, parsed by `parse`. The error of `parse` must be a phrase that can follow the variable's name, and
    /// must not repeat the value.
    pub fn parsed<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.required(name)?;
        parse(&value).map_err(|problem| self.fault(name, &problem)).ok()
    }

    /// Adds a fault found by the caller. `problem` follows the variable's name in the report.
    pub fn fault(&mut self, name: &str, problem: &str) {
        self.faults.push(format!("{name} {problem}"));
    }

    /// The result of `assemble`, or all faults.
    ///
    /// # Panics
    ///
    /// If there is no fault and `assemble` returns `None`, which is a bug in the calling code.
    pub fn finish<T>(self, assemble: impl FnOnce() -> Option<T>) -> Result<T, EnvironmentError> {
        if !self.faults.is_empty() {
            return Err(EnvironmentError(self.faults));
        }
        #[expect(clippy::expect_used, reason = "every method that returns None has added a fault")]
        Ok(assemble().expect("no value is missing without a fault"))
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Environment {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(variables: I) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { source: Source::Given(variables.collect()), faults: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_reported_by_name_and_in_order() {
        let mut environment = Environment::of([("EMPTY", ""), ("WORD", "ten")]);
        let empty = environment.required("EMPTY");
        let number = environment.parsed("WORD", |text| text.parse::<u32>().map_err(|_| "is not a number".to_owned()));
        let faults = environment.finish(|| Some((empty?, number?))).unwrap_err();
        assert_eq!(faults.to_string(), "EMPTY is not set; WORD is not a number");
    }

    #[test]
    fn values_arrive_when_nothing_is_wrong() {
        let mut environment = Environment::of([("WORD", "ten")]);
        let word = environment.required("WORD");
        assert_eq!(environment.optional("OTHER"), None);
        assert_eq!(environment.finish(|| word).unwrap(), "ten");
    }
}

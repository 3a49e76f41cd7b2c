//! Saved views of the list of events: a name and a filter. They are in the ledger, so that they are the whole team's, in both
//! hosts and without a script.

use aws_sdk_dynamodb::types::AttributeValue;
use hooks_aws::ledger::value::{read_text, text};

use super::filter::Filter;
use crate::console::Console;
use crate::{Failure, LEDGER_PERMISSIONS, Result};

const KEY: (&str, &str) = ("console#views", "views");

/// Beginning of an attribute's name; the rest is the view's.
const PREFIX: &str = "view:";

/// Most views.
const MAX_VIEWS: usize = 50;

/// Longest name, in characters.
const MAX_NAME: usize = 60;

/// A saved view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) filter: Filter,
}

/// All saved views, by name. Needs `dynamodb:GetItem`.
pub(crate) async fn list(console: &Console) -> Result<Vec<View>> {
    let item = console.ledger.item("read the saved views", KEY.0, KEY.1).await?.unwrap_or_default();
    let view = |name: &String| {
        let query = read_text(&item, name)?;
        let parameters: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Some(View { name: name.strip_prefix(PREFIX)?.to_owned(), filter: Filter::read(&parameters).ok()? })
    };
    let mut views: Vec<_> = item.keys().filter_map(view).collect();
    views.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(views)
}

/// Saves a view under a name, or replaces the one of this name. Needs `dynamodb:UpdateItem`.
pub(crate) async fn save(console: &Console, name: &str, query: &str) -> Result<()> {
    let parameters: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let filter = Filter::read(&parameters)?;
    if name.is_empty() || name.chars().count() > MAX_NAME || !name.chars().all(hooks_text::is_shown) {
        return Err(Failure::usage(format!(
            "the name of a view has 1 to {MAX_NAME} characters, all of which can be shown"
        )));
    }
    let views = list(console).await?;
    if views.len() >= MAX_VIEWS && !views.iter().any(|view| view.name == name) {
        return Err(Failure::usage(format!("there are {MAX_VIEWS} saved views already")).hint("Remove one first."));
    }
    change(console, name, "SET #view = :query", Some(text(filter.query()))).await
}

/// Removes the view of a name.
pub(crate) async fn remove(console: &Console, name: &str) -> Result<()> {
    change(console, name, "REMOVE #view", None).await
}

async fn change(console: &Console, name: &str, update: &str, query: Option<AttributeValue>) -> Result<()> {
    let ledger = &console.ledger;
    let request = ledger.client().update_item().table_name(ledger.table());
    let request = request.key("pk", text(KEY.0)).key("sk", text(KEY.1)).update_expression(update);
    let mut request = request.expression_attribute_names("#view", format!("{PREFIX}{name}"));
    if let Some(query) = query {
        request = request.expression_attribute_values(":query", query);
    }
    request.send().await.map(drop).map_err(|error| {
        Failure::service(format!("could not change the saved views: {}", hooks_aws::cause(&error)))
            .hint(LEDGER_PERMISSIONS)
    })
}

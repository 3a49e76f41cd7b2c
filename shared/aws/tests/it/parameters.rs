//! Parameters and their history.

use hooks_aws::parameters::{Parameter, Parameters};

use crate::stack::{config, name};

#[tokio::test]
async fn a_parameter_that_was_never_set_has_no_history() {
    assert_eq!(Parameters::new(&config()).history(&format!("/{}", name())).await.unwrap(), []);
}

#[tokio::test]
async fn every_value_is_kept_with_its_description_in_order_beyond_a_page() {
    let (parameters, name) = (Parameters::new(&config()), format!("/test-{}/models/support", name()));
    // A name must not begin with `aws`, and a page has 50 values.
    for number in 1..=60 {
        let version = parameters.put(&name, &format!("value {number}"), &format!("job={number}")).await.unwrap();
        assert_eq!(version, number);
    }

    let history = parameters.history(&name).await.unwrap();

    let expected = (1..=60).map(|number| Parameter {
        value: format!("value {number}"),
        version: number,
        description: format!("job={number}"),
    });
    assert_eq!(history, expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn the_parameters_below_a_path_are_listed_beyond_a_page() {
    let (parameters, path) = (Parameters::new(&config()), format!("/test-{}/models", name()));
    assert_eq!(parameters.below(&path).await.unwrap(), []);
    for number in 10..25 {
        parameters.put(&format!("{path}/{number}"), &format!("value {number}"), "").await.unwrap();
    }
    parameters.put(&format!("{path}-other/1"), "none of these", "").await.unwrap();
    let mut listed = parameters.below(&path).await.unwrap();
    listed.sort();
    let expected = (10..25).map(|number| (format!("{path}/{number}"), format!("value {number}")));
    assert_eq!(listed, expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn a_value_that_cannot_be_set_says_which_and_why() {
    let error = Parameters::new(&config()).put("/aws/no", "value", "").await.unwrap_err();
    assert!(error.to_string().starts_with("could not write the parameter /aws/no: "), "{error}");
}

//! The answer as API Gateway, a function URL and a load balancer read it.

use http::Response;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use serde::Serialize;

/// The answer to a request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    #[serde(flatten)]
    response: ApiGatewayV2httpResponse,
    /// Status with its phrase, which only load balancers want.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_description: Option<String>,
}

impl Answer {
    pub(crate) fn new(response: Response<String>, is_for_load_balancer: bool) -> Self {
        let (parts, body) = response.into_parts();
        let mut answer = ApiGatewayV2httpResponse::default();
        answer.status_code = parts.status.as_u16().into();
        // A load balancer reads one of the two, as its target group says. The others would add both up.
        if is_for_load_balancer {
            answer.multi_value_headers = parts.headers.clone();
        }
        answer.headers = parts.headers;
        answer.body = Some(body.into());
        Self { response: answer, status_description: is_for_load_balancer.then(|| parts.status.to_string()) }
    }
}

//! Sign-in with the team's own identity provider: OpenID Connect, the authorisation code with PKCE.
//!
//! The browser carries what belongs to one try (state, nonce, PKCE verifier) in a signed cookie of ten minutes, so that
//! nothing is kept here before somebody has proven who they are. Of the ID token the signature, issuer, audience, nonce and
//! expiry are checked. A group decides about the role.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use hooks_aws::Http;
use hooks_aws::clock::now_ms;
use hooks_aws::secrets::Store;
use hooks_aws::{Config, Environment};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm as Algorithm, CoreProviderMetadata, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AsyncHttpClient, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IdTokenClaims,
    IdTokenFields, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, StandardErrorResponse,
    StandardTokenResponse, TokenResponse as _,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::kept::Person;
use super::session::Role;
use super::tokens::{Signer, random, same};
use crate::{Failure, Result};

/// Name of the cookie of a try. It comes back with the provider's redirect, which is another site's, so it is `Lax`.
pub(crate) const COOKIE: &str = "__Host-openai-webhooks-sign-in";

/// Milliseconds for which a try is good.
const TRY_LIFE: i64 = 600_000;

/// Time limit of a call to the provider.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer of the provider, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// Signatures that are taken: by a key of the provider's own. `none`, and those by the client's secret, are not.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RsaSsaPkcs1V15Sha256,
    Algorithm::RsaSsaPkcs1V15Sha384,
    Algorithm::RsaSsaPkcs1V15Sha512,
    Algorithm::RsaSsaPssSha256,
    Algorithm::RsaSsaPssSha384,
    Algorithm::RsaSsaPssSha512,
    Algorithm::EcdsaP256Sha256,
    Algorithm::EcdsaP384Sha384,
    Algorithm::EdDsa,
];

/// Claims of the ID token that are not standard ones, groups among them.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claims(Map<String, Value>);

impl AdditionalClaims for Claims {}

type Fields =
    IdTokenFields<Claims, EmptyExtraTokenFields, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, Algorithm>;

type OidcClient = Client<
    Claims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The team's identity provider.
pub(crate) struct Provider {
    http: Calls,
    secrets: Store,
    issuer: IssuerUrl,
    client_id: String,
    /// Id of the secret with the client's secret; without one it is a public client.
    client_secret: Option<String>,
    groups: Groups,
}

/// Calls to the provider, which are led nowhere else by a redirect.
struct Calls(Http);

impl<'c> AsyncHttpClient<'c> for Calls {
    type Error = std::io::Error;
    type Future = BoxFuture<'c, std::io::Result<HttpResponse>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        async move { self.0.fetch(request, MAX_ANSWER, TIMEOUT).await.map_err(std::io::Error::other) }.boxed()
    }
}

/// Which group may do what.
#[derive(Clone, Debug)]
struct Groups {
    claim: String,
    operators: String,
    /// Without it, only operators come in.
    viewers: Option<String>,
}

/// A try to sign in that begins.
pub(crate) struct Try {
    /// The provider's page.
    pub(crate) url: String,
    /// The header that sets the cookie of this try.
    pub(crate) cookie: String,
}

/// Why somebody does not come in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The try is not one of this browser's, or the provider's answer does not prove who it is. The text is for the log.
    Unproven(String),
    /// It is proven who it is, and no group lets them in.
    NoGroup(String),
}

impl Provider {
    /// From `OIDC_ISSUER`, `OIDC_CLIENT_ID`, `OIDC_CLIENT_SECRET` (a secret's id), `OIDC_GROUPS_CLAIM`,
    /// `OIDC_OPERATOR_GROUP` and `OIDC_VIEWER_GROUP`. `None` without an issuer.
    pub(crate) fn from_env(environment: &mut Environment, aws: Option<&Config>) -> Option<Self> {
        environment.optional("OIDC_ISSUER")?;
        let issuer = environment
            .parsed("OIDC_ISSUER", |url| IssuerUrl::new(url.to_owned()).map_err(|_| "is not a URL".to_owned()));
        let client_id = environment.required("OIDC_CLIENT_ID");
        let claim = environment.required("OIDC_GROUPS_CLAIM");
        let operators = environment.required("OIDC_OPERATOR_GROUP");
        let viewers = environment.optional("OIDC_VIEWER_GROUP");
        let client_secret = environment.optional("OIDC_CLIENT_SECRET");
        let groups = Groups { claim: claim?, operators: operators?, viewers };
        let (http, secrets) = (Calls(aws?.http().clone()), Store::new(aws?));
        Some(Self { http, secrets, issuer: issuer?, client_id: client_id?, client_secret, groups })
    }

    /// Begins a try, which leads to the provider's page and from there to `way_back`.
    pub(crate) async fn begin(&self, signer: &Signer, way_back: String) -> Result<Try> {
        let (state, nonce) = (random()?, random()?);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = self.client(way_back).await?;
        let (given_state, given_nonce) = (CsrfToken::new(state.clone()), Nonce::new(nonce.clone()));
        let request = client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            move || given_state.clone(),
            move || given_nonce.clone(),
        );
        let request = request.add_scope(Scope::new("email".to_owned())).add_scope(Scope::new("profile".to_owned()));
        let (url, ..) = request.set_pkce_challenge(challenge).url();
        let carried = format!("{state}.{nonce}.{}.{}", verifier.secret(), now_ms() + TRY_LIFE);
        let signature = signer.sign("try", &carried);
        let cookie = format!("{COOKIE}={carried}.{signature}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600");
        Ok(Try { url: url.to_string(), cookie })
    }

    /// Ends a try: who it is, by the provider's `code`.
    pub(crate) async fn end(
        &self,
        signer: &Signer,
        way_back: String,
        cookie: &str,
        (state, code): (&str, &str),
    ) -> Result<std::result::Result<Person, Refusal>> {
        let Some((nonce, verifier)) = carried(signer, cookie, state) else {
            return Ok(Err(Refusal::Unproven("the try is not one of this browser's, or over".to_owned())));
        };
        let client = self.client(way_back).await?;
        let code = AuthorizationCode::new(code.to_owned());
        let request = match client.exchange_code(code) {
            Ok(request) => request.set_pkce_verifier(PkceCodeVerifier::new(verifier)),
            Err(error) => return Ok(Err(unproven("the provider has no token endpoint", &error))),
        };
        let answer = match request.request_async(&self.http).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(unproven("the provider gave no token", &error))),
        };
        let Some(token) = answer.id_token() else {
            return Ok(Err(Refusal::Unproven("the provider gave no ID token".to_owned())));
        };
        let checked = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
        match token.claims(&checked, &Nonce::new(nonce)) {
            Ok(claims) => Ok(self.groups.person(claims)),
            Err(error) => Ok(Err(unproven("the ID token is not good", &error))),
        }
    }

    /// The provider as it describes itself now, with its keys. People sign in seldom, so nothing is kept that could be old.
    async fn client(&self, way_back: String) -> Result<OidcClient> {
        let metadata =
            CoreProviderMetadata::discover_async(self.issuer.clone(), &self.http).await.map_err(|error| {
                Failure::service(format!("the identity provider did not describe itself: {error}"))
                    .hint("Compare the stack's parameter OidcIssuer with what your provider names as its issuer.")
            })?;
        let secret = match &self.client_secret {
            Some(id) => Some(ClientSecret::new(self.secrets.text(id).await?)),
            None => None,
        };
        let back = RedirectUrl::new(way_back).map_err(|_| Failure::service("the console's address is not a URL"))?;
        let client = OidcClient::from_provider_metadata(metadata, ClientId::new(self.client_id.clone()), secret);
        Ok(client.set_redirect_uri(back))
    }
}

impl Groups {
    /// Whom the claims are about, with the role that their groups give.
    fn person(&self, claims: &IdTokenClaims<Claims, CoreGenderClaim>) -> std::result::Result<Person, Refusal> {
        let email = claims.email().filter(|_| claims.email_verified() != Some(false)).map(|one| one.as_str());
        let username = claims.preferred_username().map(|one| one.as_str());
        let name = email.or(username).unwrap_or_else(|| claims.subject().as_str()).to_owned();
        match self.role(claims.additional_claims().0.get(&self.claim)) {
            Some(role) => Ok(Person { name, role }),
            None => Err(Refusal::NoGroup(name)),
        }
    }

    fn role(&self, groups: Option<&Value>) -> Option<Role> {
        let is_in = |group: &str| match groups {
            Some(Value::Array(all)) => all.iter().any(|one| one == group),
            Some(Value::String(one)) => one == group,
            _ => false,
        };
        let viewers = self.viewers.as_deref().filter(|group| is_in(group)).map(|_| Role::Viewer);
        if is_in(&self.operators) { Some(Role::Operator) } else { viewers }
    }
}

/// A refusal for the log. What the library's errors say shows no token.
fn unproven(what: &str, error: &dyn std::error::Error) -> Refusal {
    Refusal::Unproven(format!("{what}: {error}"))
}

/// Nonce and verifier that the cookie carries, if it was signed here, is not over, and is for this state.
fn carried(signer: &Signer, cookie: &str, state: &str) -> Option<(String, String)> {
    let (carried, signature) = cookie.rsplit_once('.')?;
    if !same(signature, &signer.sign("try", carried)) {
        return None;
    }
    let mut parts = carried.split('.');
    let (own, nonce, verifier, until) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_over = until.parse::<i64>().map_or(true, |until| until <= now_ms());
    (!is_over && same(own, state)).then(|| (nonce.to_owned(), verifier.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn groups_decide_and_without_one_nobody_comes_in() {
        let groups = |viewers: Option<&str>| Groups {
            claim: "groups".to_owned(),
            operators: "ops".to_owned(),
            viewers: viewers.map(str::to_owned),
        };
        let role = |groups: Groups, value: Value| groups.role(Some(&value));
        assert_eq!(role(groups(None), json!(["dev", "ops"])), Some(Role::Operator));
        assert_eq!(role(groups(None), json!("ops")), Some(Role::Operator));
        assert_eq!(role(groups(Some("dev")), json!(["dev"])), Some(Role::Viewer));
        for none in [json!(["dev"]), json!("ops,dev"), json!({"ops": true}), json!(null), json!(["OPS"])] {
            assert_eq!(role(groups(None), none), None);
        }
        assert_eq!(groups(Some("dev")).role(None), None);
    }

    #[test]
    fn a_try_is_good_for_its_own_browser_and_state_and_for_ten_minutes() {
        let signer = Signer::new(&"a".repeat(64)).unwrap();
        let cookie = |until: i64| {
            let carried = format!("s.n.v.{until}");
            format!("{carried}.{}", signer.sign("try", &carried))
        };
        let good = cookie(now_ms() + 1000);
        assert_eq!(carried(&signer, &good, "s"), Some(("n".to_owned(), "v".to_owned())));
        assert_eq!(carried(&signer, &good, "t"), None);
        assert_eq!(carried(&signer, &cookie(now_ms() - 1), "s"), None);
        assert_eq!(carried(&signer, &good.replace("s.n", "s.m"), "s"), None);
        assert_eq!(carried(&Signer::new("b").unwrap(), &good, "s"), None);
        assert_eq!(carried(&signer, "", ""), None);
    }
}

use std::collections::BTreeSet;

use super::*;
use crate::{LeaseError, service::failing_store::FailingStore};

/// Seen to fail when a handler was left out of the document, and when a path was written in another way.
#[actix_web::test]
async fn every_route_is_documented_and_no_other() {
    let document = Served::new().await.get("/v1/openapi.json").await.body;
    let served: BTreeSet<_> = super::super::routes()
        .into_iter()
        .map(|(path, method, _)| (path.to_owned(), method.to_string().to_lowercase()))
        .collect();
    let documented: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())))
        .collect();
    assert_eq!(served, documented);
}

/// Seen to fail when a call had no `security`, and when the scheme was not described.
#[actix_web::test]
async fn every_call_but_one_is_said_to_need_the_secret() {
    let document = Served::new().await.get("/v1/openapi.json").await.body;
    assert_eq!(document["components"]["securitySchemes"]["secret"]["scheme"], "bearer");
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let secured = operation["security"] == json!([{ "secret": [] }]);
            assert_eq!(secured, path != "/v1/openapi.json", "{method} {path}");
            assert!(operation["summary"].is_string() && operation["responses"].is_object(), "{method} {path}");
        }
    }
}

/// Seen to fail when `LeaseAnswer` lacked a field in the document, when a null was not allowed for, and when a status was not
/// documented.
#[actix_web::test]
async fn answers_have_the_shape_that_is_documented() {
    let served = Served::new().await;
    let document = Document(served.get("/v1/openapi.json").await.body);
    document.check("/v1/account", "get", &Value::Null, &served.get("/v1/account").await);
    let owner = Uuid::new_v4();
    let mut call = lease_call(Uuid::new_v4(), owner, 4);
    let first = served.post("/v1/leases", call.clone()).await;
    document.check("/v1/leases", "post", &call, &first);
    call["fingerprint"] = first.body["id_space"]["fingerprint"].clone();
    document.check("/v1/leases", "post", &call, &served.post("/v1/leases", call.clone()).await);
    call["fingerprint"] = json!("00000000000000000000000000000000");
    document.check("/v1/leases", "post", &call, &served.post("/v1/leases", call.clone()).await);
    call["request_id"] = json!(Uuid::new_v4());
    served.post("/v1/leases", call.clone()).await;

    let usage = usage_call(owner, 1, 1);
    document.check(
        "/v1/leases/{lease_id}/renew",
        "post",
        &usage,
        &served.post("/v1/leases/1/renew", usage.clone()).await,
    );
    document.check("/v1/leases", "get", &Value::Null, &served.get("/v1/leases").await);
    for status in [204, 204, 409] {
        let id = if status == 409 { 2 } else { 1 };
        let returned = served.post(&format!("/v1/leases/{id}/return"), usage.clone()).await;
        assert_eq!(returned.status, status);
        document.check("/v1/leases/{lease_id}/return", "post", &usage, &returned);
    }
    document.check("/v1/leases", "get", &Value::Null, &served.get("/v1/leases?limit=1").await);
    document.check("/v1/leases", "get", &Value::Null, &served.get("/v1/leases?limit=0").await);
    document.check("/v1/id-space", "get", &Value::Null, &served.get("/v1/id-space").await);
    document.check("/v1/account", "get", &Value::Null, &served.get("/v1/account").await);

    let secured = Served::with_secret().await;
    let down = Served::over(FailingStore(|| LeaseError::Overloaded)).await;
    for path in ["/v1/leases", "/v1/account", "/v1/id-space"] {
        document.check(path, "get", &Value::Null, &secured.get(path).await);
        document.check(path, "get", &Value::Null, &down.get(path).await);
    }
}

/// Checks what is sent against the document: as much of JSON Schema as the document uses.
struct Document(Value);

impl Document {
    fn check(&self, path: &str, method: &str, call: &Value, answer: &Answer) {
        let operation = &self.0["paths"][path][method];
        if !call.is_null() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            self.fits(schema, call).unwrap_or_else(|why| panic!("{method} {path}: {why}"));
        }
        let response = &operation["responses"][answer.status.as_str()];
        assert!(response.is_object(), "{method} {path}: {} is not documented", answer.status);
        let schema = &response["content"]["application/json"]["schema"];
        assert_eq!(schema.is_null(), answer.body.is_null(), "{method} {path}");
        if !schema.is_null() {
            self.fits(schema, &answer.body).unwrap_or_else(|why| panic!("{method} {path}: {why} in {}", answer.body));
        }
        for (name, _) in response["headers"].as_object().into_iter().flatten() {
            assert!(answer.headers.contains_key(name.as_str()), "{method} {path}: {name}");
        }
    }

    fn fits(&self, schema: &Value, value: &Value) -> Result<(), String> {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap();
            let schema = &self.0["components"]["schemas"][name];
            assert!(schema.is_object(), "{name} is not in the document");
            return self.fits(schema, value).map_err(|why| format!("{name}: {why}"));
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let fit = choices.iter().filter(|choice| self.fits(choice, value).is_ok()).count();
            return if fit == 1 { Ok(()) } else { Err(format!("{value} fits {fit} of {choices:?}")) };
        }
        if let Some(values) = schema["enum"].as_array() {
            return if values.contains(value) { Ok(()) } else { Err(format!("{value} is none of {values:?}")) };
        }
        let types = match &schema["type"] {
            Value::Array(types) => types.clone(),
            Value::Null => Vec::new(),
            one => vec![one.clone()],
        };
        let is = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !types.is_empty() && !types.contains(&json!(is)) {
            return Err(format!("{value} is {is}, not {types:?}"));
        }
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.fits(&schema["items"], item)),
            Value::Object(fields) => self.object_fits(schema, fields),
            _ => Ok(()),
        }
    }

    fn object_fits(&self, schema: &Value, fields: &serde_json::Map<String, Value>) -> Result<(), String> {
        let (mut known, mut required) = (serde_json::Map::new(), BTreeSet::new());
        self.fields_of(schema, &mut known, &mut required);
        if let Some(unknown) = fields.keys().find(|name| !known.contains_key(*name)) {
            return Err(format!("{unknown} is not documented"));
        }
        if let Some(missing) = required.iter().find(|name| !fields.contains_key(*name)) {
            return Err(format!("{missing} is missing"));
        }
        fields
            .iter()
            .try_for_each(|(name, value)| self.fits(&known[name], value).map_err(|why| format!("{name}: {why}")))
    }

    /// The fields of an object, with those that are flattened into it.
    fn fields_of(&self, schema: &Value, known: &mut serde_json::Map<String, Value>, required: &mut BTreeSet<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap();
            self.fields_of(&self.0["components"]["schemas"][name], known, required);
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.fields_of(part, known, required);
        }
        known.extend(schema["properties"].as_object().cloned().into_iter().flatten());
        required
            .extend(schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned()));
    }
}

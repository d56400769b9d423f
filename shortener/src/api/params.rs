//! The parameters of a request's query string, read one by one.

use std::{collections::BTreeMap, future::Ready, future::ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};

use super::{body::shown, error::ApiError};

/// The parameters, each of which is taken once; what is left over is refused by [`Params::finish`].
#[derive(Debug)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// Takes a parameter. An empty one is an absent one.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|value| !value.is_empty())
    }

    /// Takes and reads a parameter.
    pub fn read<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match read(&value) {
                Ok(read) => Ok(Some(read)),
                Err(why) => Err(ApiError::unprocessable(format!("{name}: {why}."))),
            },
        }
    }

    /// Takes and reads a whole number within bounds.
    pub fn number(&mut self, name: &str, min: u32, max: u32) -> Result<Option<u32>, ApiError> {
        self.read(name, |value| match value.parse() {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ => Err(format!("must be a whole number from {min} to {max}")),
        })
    }

    /// Takes and reads `true` or `false`.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        self.read(name, |value| value.parse().map_err(|_| "must be true or false".to_owned()))
    }

    /// Takes parameters that ask for what is not there yet, unless they ask for nothing: each comes with the value that does.
    pub fn not_supported(&mut self, idle: &[(&str, &str)]) -> Result<(), ApiError> {
        let refused: Vec<String> = idle
            .iter()
            .filter(|(name, idle)| self.take(name).is_some_and(|value| value != *idle))
            .map(|(name, _)| (*name).to_owned())
            .collect();
        if refused.is_empty() {
            return Ok(());
        }
        Err(ApiError::unprocessable(format!("Not supported yet: {}.", shown(&refused))))
    }

    /// Refuses what is left, naming it.
    pub fn finish(self) -> Result<(), ApiError> {
        let unknown: Vec<String> = self.0.into_keys().collect();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(ApiError::unprocessable(format!("Unknown parameters: {}.", shown(&unknown))))
    }
}

impl FromRequest for Params {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match web::Query::<Vec<(String, String)>>::from_query(request.query_string()) {
            Err(error) => Err(ApiError::bad_request(format!("The query string cannot be read: {error}."))),
            Ok(web::Query(pairs)) => collect(pairs),
        })
    }
}

fn collect(pairs: Vec<(String, String)>) -> Result<Params, ApiError> {
    let mut params = BTreeMap::new();
    for (name, value) in pairs {
        if params.insert(name.clone(), value).is_some() {
            return Err(ApiError::unprocessable(format!("{} is given twice.", shown(&[name]))));
        }
    }
    Ok(Params(params))
}

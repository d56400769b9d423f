//! From what a redirect saw to a click as it is counted: where from, by which program, referred by whom, by which visitor.
//!
//! Runs on a thread of its own, off the request path, in order. The client's address ends here: what leaves is a [`Click`], which
//! holds a place and a hash, and nothing to get the address back from.
//!
//! What was seen before is remembered, in bounded caches; at a cache's limit what was not seen for long is worked out again
//! (`septet_enrich_cache_misses_total`). Nothing here fails or drops a click: what cannot be told is empty.

pub mod agent;
pub mod bots;
pub mod client_ip;
pub mod continents;
mod metrics;
pub mod place;
pub mod referer;
pub mod salts;
pub mod visitor;

use std::path::PathBuf;

use ipnet::IpNet;
use quick_cache::unsync::Cache;

use self::{
    agent::Agent,
    client_ip::{ClientIp, client_ip},
    place::{GeoipError, Places},
    referer::Referers,
    salts::Salts,
};
use crate::{
    click::{Click, LogId},
    click_log::record::RawClick,
};

/// What of a `User-Agent` counts, in bytes from its beginning: the rest is cut off. Browsers send one to three hundred.
pub const MAX_USER_AGENT_BYTES: usize = 1024;

/// User-Agents whose meaning is remembered: some 10 MB at the worst. Beyond it, those not seen for long are parsed again.
const CACHED_AGENTS: usize = 8192;

/// What the operator chose.
#[derive(Debug, Clone, Default)]
pub struct EnrichSettings {
    /// An MMDB file of cities or countries. Without one, places are unknown, but for the country that a CDN names.
    pub geoip_db: Option<PathBuf>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// Why there can be no enricher: a sentence that names the setting.
#[derive(Debug, thiserror::Error)]
pub enum EnrichError {
    #[error(transparent)]
    Geoip(#[from] GeoipError),
}

/// Enriches clicks, one at a time.
pub struct Enricher {
    trusted_proxies: Vec<IpNet>,
    agents: Cache<Box<[u8]>, Agent>,
    referers: Referers,
    places: Places,
    salts: Box<dyn Salts>,
}

impl Enricher {
    /// Reads the MMDB file, and nothing else that takes time: see [`warm_up`](Self::warm_up).
    pub fn new(settings: EnrichSettings, salts: impl Salts + 'static) -> Result<Self, EnrichError> {
        metrics::describe();
        Ok(Enricher {
            places: Places::open(settings.geoip_db.as_deref())?,
            trusted_proxies: settings.trusted_proxies,
            agents: Cache::new(CACHED_AGENTS),
            referers: Referers::default(),
            salts: Box::new(salts),
        })
    }

    /// Compiles the patterns for User-Agents, which takes a moment: to be called first on the thread that enriches. The
    /// first click does it otherwise.
    pub fn warm_up() {
        agent::warm_up();
        bots::warm_up();
    }

    /// Makes the click that `raw`, the record of `log` that ends at `offset`, stands for.
    pub fn enrich(&mut self, raw: &RawClick<'_>, log: LogId, offset: u64) -> Click {
        let ClientIp { address, cut_short } = client_ip(raw.peer, raw.forwarded_for, &self.trusted_proxies);
        if cut_short {
            ::metrics::counter!("septet_enrich_forwarded_for_malformed_total").increment(1);
        }
        let user_agent = &raw.user_agent[..raw.user_agent.len().min(MAX_USER_AGENT_BYTES)];
        let salt = self.salts.salt(visitor::period(raw.at_ms));
        let Agent { browser, os, device, bot } = self.agent(user_agent);
        Click {
            log,
            offset,
            at_ms: raw.at_ms,
            link: raw.link,
            visitor: visitor::visitor(&salt, address, user_agent),
            bot,
            place: self.places.place(address, self.believed_country(raw)),
            browser,
            os,
            device,
            referer: self.referers.domain(raw.referer),
        }
    }

    /// The salts, for whoever sees to it that they are thrown away in time, with or without clicks, and shares them.
    pub fn salts(&mut self) -> &mut dyn Salts {
        &mut *self.salts
    }

    /// The country that a CDN names: from everybody where no proxies are named, and from those proxies alone where they are.
    fn believed_country<'a>(&self, raw: &RawClick<'a>) -> &'a [u8] {
        let trusted = &self.trusted_proxies;
        let believed = trusted.is_empty() || trusted.iter().any(|network| network.contains(&raw.peer));
        if believed { raw.country } else { b"" }
    }

    fn agent(&mut self, user_agent: &[u8]) -> Agent {
        if let Some(known) = self.agents.get(user_agent) {
            return known.clone();
        }
        ::metrics::counter!("septet_enrich_cache_misses_total", "cache" => "agent").increment(1);
        let agent = Agent::parse(user_agent);
        self.agents.insert(user_agent.into(), agent.clone());
        agent
    }
}

#[cfg(test)]
mod tests;

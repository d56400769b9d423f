//! TLS to the nodes.
//!
//! The driver learns the nodes from the cluster, by their IP addresses, and asks each certificate for that address: a node's certificate must
//! name, as a subject alternative name of the kind IP address, the address that the node gives to clients (`broadcast_rpc_address`, or
//! else `rpc_address`). One that only has DNS names is refused, whatever the URL says. Certificates are believed if they are issued by
//! one of the given file; the machine's own are not looked at. TLS 1.2 and 1.3, by rustls with ring.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::CqlError;

/// Believes the certificates of a PEM file, and what they have issued.
pub(super) fn believing(ca: &Path) -> Result<Arc<ClientConfig>, CqlError> {
    let unusable =
        |why: String| CqlError::Setting(format!("{} cannot be used as believed certificates: {why}", ca.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|error| unusable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds none in PEM form".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when a file without certificates was taken for one that believes in nobody.
    #[test]
    fn a_file_without_certificates_is_refused_by_its_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(file.path(), text).unwrap();
            let error = believing(file.path()).unwrap_err().to_string();
            assert!(error.contains(file.path().to_str().unwrap()), "{text:?}: {error}");
        }
        assert!(believing(Path::new("/no/such/file")).unwrap_err().to_string().contains("/no/such/file"));
    }
}

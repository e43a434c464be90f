//! Opens the store that an address names. Credentials come from where each cloud's tools look for them, in the crate's
//! order; never from the address:
//!
//! | store | credentials |
//! | --- | --- |
//! | S3 | `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` (`AWS_SESSION_TOKEN`), keys in a profile (`AWS_PROFILE`, `~/.aws`), a web identity token (EKS), the container's role (ECS, EKS pods), the instance's role (IMDSv2) |
//! | Google | `GOOGLE_SERVICE_ACCOUNT` or `GOOGLE_SERVICE_ACCOUNT_KEY`, `GOOGLE_APPLICATION_CREDENTIALS`, gcloud's default file, the instance's account |
//! | Azure | `AZURE_STORAGE_ACCOUNT_NAME` with a key, SAS token, client secret, federated token, or the managed identity |
//!
//! Proxies: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`, or `AWS_PROXY_URL` and its like.
//! TLS trusts what the system trusts (`SSL_CERT_FILE`, `SSL_CERT_DIR`).

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::{BackoffConfig, ClientConfigKey, Error, ObjectStore, RetryConfig};
use payload_manager_types::Tier;

use super::address::{Address, Scheme};
use super::{ObjectOptions, fail, profile};
use crate::TierError;

/// The store; no request is sent yet.
pub(super) fn connect(address: &Address, options: &ObjectOptions) -> Result<Arc<dyn ObjectStore>, TierError> {
    // Whoever was first in this process has chosen it; any choice will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let opening = || format!("opening {}://{}", address.scheme(), address.bucket());
    let opened = match address.scheme() {
        Scheme::S3 => {
            let env = |name: &str| std::env::var(name).ok();
            let profile = profile::settings(&env).map_err(|e| crate::fail::io(Tier::Object, opening(), e))?;
            s3(address, options, profile)
        }
        Scheme::Gs => google(address, options),
        Scheme::Az => azure(address, options),
        Scheme::File => return local(address),
    };
    opened.map_err(|e| fail::failed(opening(), &e))
}

fn s3(
    address: &Address,
    options: &ObjectOptions,
    profile: Vec<(AmazonS3ConfigKey, String)>,
) -> Result<Arc<dyn ObjectStore>, Error> {
    // One removal a request: not every server knows how to do many.
    let builder = AmazonS3Builder::from_env().with_bucket_name(address.bucket()).with_disable_bulk_delete(true);
    let mut builder = builder.with_retry(retries(options));
    for (key, value) in profile {
        if key == AmazonS3ConfigKey::Endpoint && value.starts_with("http://") {
            builder = builder.with_allow_http(true);
        }
        builder = builder.with_config(key, value);
    }
    for (key, value) in client(address, options) {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    for (name, value) in &options.settings.0 {
        builder = builder.with_config(name.parse::<AmazonS3ConfigKey>()?, value);
    }
    if let Some(endpoint) = endpoint(address) {
        builder = builder.with_endpoint(endpoint);
    }
    Ok(Arc::new(builder.build()?))
}

fn google(address: &Address, options: &ObjectOptions) -> Result<Arc<dyn ObjectStore>, Error> {
    let mut builder =
        GoogleCloudStorageBuilder::from_env().with_bucket_name(address.bucket()).with_retry(retries(options));
    for (key, value) in client(address, options) {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    for (name, value) in &options.settings.0 {
        builder = builder.with_config(name.parse::<GoogleConfigKey>()?, value);
    }
    if let Some(endpoint) = endpoint(address) {
        builder = builder.with_base_url(&endpoint);
    }
    Ok(Arc::new(builder.build()?))
}

fn azure(address: &Address, options: &ObjectOptions) -> Result<Arc<dyn ObjectStore>, Error> {
    let mut builder =
        MicrosoftAzureBuilder::from_env().with_container_name(address.bucket()).with_retry(retries(options));
    for (key, value) in client(address, options) {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    for (name, value) in &options.settings.0 {
        builder = builder.with_config(name.parse::<AzureConfigKey>()?, value);
    }
    if let Some(endpoint) = endpoint(address) {
        builder = builder.with_endpoint(endpoint);
    }
    Ok(Arc::new(builder.build()?))
}

/// A folder, for tests and for a file system that is mounted from elsewhere; made with mode 0700 if it is missing.
fn local(address: &Address) -> Result<Arc<dyn ObjectStore>, TierError> {
    let folder = format!("/{}", address.prefix());
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|e| crate::fail::io(Tier::Object, format!("making the folder {folder}"), e))?;
    let opened = LocalFileSystem::new_with_prefix(&folder);
    let opened = opened.map_err(|e| fail::failed(format!("opening the folder {folder}"), &e))?;
    // A durable tier: what it says is there must survive power loss.
    Ok(Arc::new(opened.with_fsync(true)))
}

fn endpoint(address: &Address) -> Option<String> {
    let scheme = if address.is_plain_http() { "http" } else { "https" };
    address.endpoint().map(|host| format!("{scheme}://{host}"))
}

/// Settings of the HTTP client; all others stay as the environment has them.
fn client(address: &Address, options: &ObjectOptions) -> Vec<(ClientConfigKey, String)> {
    let millis = |time: Duration| format!("{}ms", time.as_millis());
    let mut settings = vec![
        (ClientConfigKey::ConnectTimeout, millis(options.connect_timeout)),
        (ClientConfigKey::Timeout, millis(options.request_timeout)),
    ];
    if address.is_plain_http() {
        settings.push((ClientConfigKey::AllowHttp, "true".to_owned()));
    }
    settings
}

fn retries(options: &ObjectOptions) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { init_backoff: options.backoff, ..BackoffConfig::default() },
        max_retries: options.retries,
        retry_timeout: options.retry_for,
    }
}

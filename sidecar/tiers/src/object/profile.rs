//! What a profile of AWS's tools says, in `~/.aws/credentials` and `~/.aws/config`: keys, region and endpoint. The
//! environment wins over it, as it does there; roles, SSO and programs that a profile names are not followed.
//!
//! Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files".

use std::fs;
use std::io;
use std::path::PathBuf;

use configparser::ini::Ini;
use object_store::aws::AmazonS3ConfigKey;

/// What keys a profile may have are called there, and which settings they are.
const KEYS: [(&str, AmazonS3ConfigKey); 5] = [
    ("aws_access_key_id", AmazonS3ConfigKey::AccessKeyId),
    ("aws_secret_access_key", AmazonS3ConfigKey::SecretAccessKey),
    ("aws_session_token", AmazonS3ConfigKey::Token),
    ("region", AmazonS3ConfigKey::Region),
    ("endpoint_url", AmazonS3ConfigKey::Endpoint),
];

/// The settings that the environment leaves to the profile, of which it also says the name.
///
/// # Errors
/// [`io::Error`] if a file can't be read, or the environment names a profile that is in neither, or one that has other ways
/// to get credentials alone.
pub(super) fn settings(env: &dyn Fn(&str) -> Option<String>) -> io::Result<Vec<(AmazonS3ConfigKey, String)>> {
    let named = env("AWS_PROFILE").or_else(|| env("AWS_DEFAULT_PROFILE")).filter(|name| !name.is_empty());
    let profile = named.as_deref().unwrap_or("default");
    let (credentials, config) =
        (load(env, "AWS_SHARED_CREDENTIALS_FILE", "credentials")?, load(env, "AWS_CONFIG_FILE", "config")?);
    let in_config = if profile == "default" { profile.to_owned() } else { format!("profile {profile}") };
    let sections = [(&credentials, profile), (&config, in_config.as_str())];
    let get = |key: &str| sections.iter().find_map(|(file, section)| file.get(section, key)).filter(|v| !v.is_empty());
    let has_keys = |env: &dyn Fn(&str) -> Option<String>| env("AWS_ACCESS_KEY_ID").is_some();
    if let Some(name) = &named {
        let is_there = sections.iter().any(|(file, section)| file.sections().iter().any(|there| there == section));
        let other = ["role_arn", "sso_session", "sso_start_url", "credential_process"]
            .into_iter()
            .find(|key| get(key).is_some());
        if !is_there {
            return Err(invalid(format!("AWS_PROFILE is {name}, and there is no such profile in ~/.aws")));
        }
        if let Some(other) = other.filter(|_| get("aws_access_key_id").is_none() && !has_keys(env)) {
            return Err(invalid(format!(
                "the profile {name} gets its credentials by {other}, which is not followed here: put keys into the profile or the environment"
            )));
        }
    }
    let from_profile = |(name, key): (&str, AmazonS3ConfigKey)| {
        let said = match key {
            // All of them or none: half of the one and half of the other is nobody's.
            AmazonS3ConfigKey::AccessKeyId | AmazonS3ConfigKey::SecretAccessKey | AmazonS3ConfigKey::Token => {
                has_keys(env)
            }
            AmazonS3ConfigKey::Region => env("AWS_REGION").or_else(|| env("AWS_DEFAULT_REGION")).is_some(),
            _ => {
                env("AWS_ENDPOINT_URL").or_else(|| env("AWS_ENDPOINT")).or_else(|| env("AWS_ENDPOINT_URL_S3")).is_some()
            }
        };
        if said { None } else { get(name).map(|value| (key, value)) }
    };
    Ok(KEYS.into_iter().filter_map(from_profile).collect())
}

/// One of the two files; an empty one if it is not there.
fn load(env: &dyn Fn(&str) -> Option<String>, variable: &str, name: &str) -> io::Result<Ini> {
    let mut file = Ini::new_cs();
    let at_home = || Some(PathBuf::from(env("HOME")?).join(".aws").join(name));
    let Some(path) = env(variable).map(PathBuf::from).or_else(at_home) else { return Ok(file) };
    match fs::read_to_string(&path) {
        // What the file holds is secret: no part of it is repeated.
        Ok(text) => {
            file.read(text).map(drop).map_err(|_| invalid(format!("{} is no file of profiles", path.display())))?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
    }
    Ok(file)
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A home with these two files, and an environment with these variables.
    struct Home {
        folder: tempfile::TempDir,
        env: Vec<(&'static str, String)>,
    }

    impl Home {
        fn new(credentials: &str, config: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::create_dir(folder.path().join(".aws")).unwrap();
            fs::write(folder.path().join(".aws/credentials"), credentials).unwrap();
            fs::write(folder.path().join(".aws/config"), config).unwrap();
            Self { env: vec![("HOME", folder.path().display().to_string())], folder }
        }

        fn with(mut self, name: &'static str, value: &str) -> Self {
            self.env.push((name, value.to_owned()));
            self
        }

        fn settings(&self) -> Result<Vec<(AmazonS3ConfigKey, String)>, String> {
            let env = |name: &str| self.env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
            settings(&env).map_err(|error| error.to_string())
        }

        fn values(&self) -> Vec<String> {
            self.settings().unwrap().into_iter().map(|(_, value)| value).collect()
        }
    }

    const CREDENTIALS: &str = "# keys\n[default]\naws_access_key_id = AKIA1\naws_secret_access_key = a/b+c==\n\
        [work]\naws_access_key_id=AKIA2\naws_secret_access_key=d/e\naws_session_token=t=\n";
    const CONFIG: &str = "[default]\nregion = eu-central-1\ns3 =\n    max_concurrent_requests = 20\n\
        [profile work]\nregion=us-west-2\nendpoint_url=http://127.0.0.1:9000\n\
        [profile role]\nrole_arn=arn:aws:iam::1:role/r\nsource_profile=default\n";

    #[test]
    fn a_profile_says_what_the_environment_does_not() {
        let home = || Home::new(CREDENTIALS, CONFIG);
        assert_eq!(home().values(), ["AKIA1", "a/b+c==", "eu-central-1"]);
        let work = ["AKIA2", "d/e", "t=", "us-west-2", "http://127.0.0.1:9000"];
        assert_eq!(home().with("AWS_PROFILE", "work").values(), work);
        let keys = home().with("AWS_PROFILE", "work").with("AWS_ACCESS_KEY_ID", "AKIA3");
        assert_eq!(keys.values(), work[3..], "no key and half of another");
        let all = keys.with("AWS_REGION", "x").with("AWS_ENDPOINT_URL", "y");
        assert_eq!(all.values(), Vec::<String>::new());
    }

    #[test]
    fn files_may_lie_elsewhere_or_not_at_all() {
        let home = Home::new(CREDENTIALS, CONFIG);
        let elsewhere = home.folder.path().join("elsewhere");
        fs::write(&elsewhere, "[default]\naws_access_key_id=AKIA9\naws_secret_access_key=z\n").unwrap();
        let home =
            home.with("AWS_SHARED_CREDENTIALS_FILE", elsewhere.to_str().unwrap()).with("AWS_CONFIG_FILE", "/nowhere");
        assert_eq!(home.values(), ["AKIA9", "z"]);
        assert_eq!(settings(&|_| None).unwrap(), []);
    }

    #[test]
    fn a_profile_that_can_not_be_followed_is_named() {
        let home = || Home::new(CREDENTIALS, CONFIG);
        let error = home().with("AWS_PROFILE", "nobody").settings().unwrap_err();
        assert!(error.contains("nobody"), "{error}");
        let error = home().with("AWS_PROFILE", "role").settings().unwrap_err();
        assert!(error.contains("role_arn"), "{error}");
        let unreadable = home().with("AWS_CONFIG_FILE", "/");
        assert!(unreadable.settings().is_err());
        let keys = home().with("AWS_PROFILE", "role").with("AWS_ACCESS_KEY_ID", "AKIA3");
        assert_eq!(keys.settings(), Ok(vec![]));
    }
}

//! Secrets may be in files, as container platforms hand them out: every setting that `--help` shows without its value
//! can be given by the name of a file instead, in a variable of its own that ends in `_FILE`.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error, Parser};

/// A setting whose value nobody is to see.
struct Secret {
    id: clap::Id,
    /// As it is typed: `--admin-token`.
    flag: String,
    variable: String,
}

impl Secret {
    fn file_variable(&self) -> String {
        format!("{}_FILE", self.variable)
    }
}

/// The settings of a process: from its arguments, its environment, and the files that are named there. One that cannot
/// be understood ends the process, and is never shown if it is a secret.
pub fn parse<Config: Parser>() -> Config {
    parse_from(std::env::args_os(), |name| std::env::var_os(name)).unwrap_or_else(|problem| problem.exit())
}

fn parse_from<Config: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Config, Error> {
    let mut command = Config::command();
    let secrets = secrets_of(&command);
    // A variable without a value is one that compose passes on although nobody has set it.
    let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
    for secret in &secrets {
        let Some(file) = filled(&secret.file_variable()) else { continue };
        if filled(&secret.variable).is_some() {
            let both =
                format!("{} and {} are both set: leave one of them out", secret.variable, secret.file_variable());
            return Err(command.error(ErrorKind::ArgumentConflict, both));
        }
        let text = read(Path::new(&file)).map_err(|problem| {
            command.error(ErrorKind::Io, format!("{} = {}: {problem}", secret.file_variable(), file.display()))
        })?;
        command = command
            .mut_arg(secret.id.as_str(), |setting| setting.env(Resettable::Reset).required(false).default_value(text));
    }
    let names: Vec<_> = secrets.iter().map(Secret::file_variable).collect();
    command = command.after_help(format!("Secrets may be in files instead, named by {}.", names.join(", ")));
    let matches = command.try_get_matches_from(arguments).map_err(|problem| without_value(problem, &secrets))?;
    Config::from_arg_matches(&matches)
}

fn secrets_of(command: &Command) -> Vec<Secret> {
    let hidden = command.get_arguments().filter(|setting| setting.is_hide_env_values_set());
    let secret = |setting: &clap::Arg| {
        let variable = setting.get_env()?.to_str()?.to_owned();
        Some(Secret { id: setting.get_id().clone(), flag: format!("--{}", setting.get_long()?), variable })
    };
    hidden.filter_map(secret).collect()
}

/// The text of a file without the line break that an editor leaves at its end.
fn read(file: &Path) -> Result<String, String> {
    let text = fs::read_to_string(file).map_err(|problem| problem.to_string())?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err("the file is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// clap would quote what it could not understand, and the log would keep it.
fn without_value(mut problem: Error, secrets: &[Secret]) -> Error {
    // It names the setting as in `--admin-token <TEXT>`.
    let flag = match problem.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(setting)) => setting.split_whitespace().next(),
        _ => None,
    };
    if secrets.iter().any(|secret| flag == Some(&secret.flag)) {
        problem.insert(ContextKind::InvalidValue, ContextValue::String("…".to_owned()));
    }
    problem
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use uuid::Uuid;

    use super::*;
    use crate::auth::{AdminToken, DemoToken};

    #[derive(Debug, Parser)]
    struct Config {
        #[arg(long, env = "SECRETS_TEST_URL", hide_env_values = true)]
        url: String,
        #[arg(long, env = "SECRETS_TEST_ADMIN", default_value = "", hide_env_values = true)]
        admin: AdminToken,
        #[arg(long, env = "SECRETS_TEST_TOKENS", default_value = "a=b", value_delimiter = ',', hide_env_values = true)]
        tokens: Vec<DemoToken>,
        #[arg(long, env = "SECRETS_TEST_PREFIX", default_value = "")]
        prefix: String,
    }

    /// A file that is gone with its test.
    struct File(PathBuf);

    impl File {
        fn with(text: &str) -> Self {
            let path = std::env::temp_dir().join(format!("a-secret-{}", Uuid::now_v7()));
            fs::write(&path, text).expect("the file is written");
            Self(path)
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn parsed(arguments: &[&str], variables: &[(&str, &Path)]) -> Result<Config, String> {
        let arguments = ["service"].iter().chain(arguments).map(OsString::from);
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_os_str().to_owned())
        };
        parse_from(arguments, variable).map_err(|problem| problem.to_string())
    }

    #[test]
    fn every_secret_may_be_in_a_file_without_the_line_break_at_its_end() {
        let (url, tokens) = (File::with("postgres://u:p@h/d\r\n"), File::with("one=alice,two=bob\n"));
        let files = [("SECRETS_TEST_URL_FILE", url.0.as_path()), ("SECRETS_TEST_TOKENS_FILE", tokens.0.as_path())];
        let config = parsed(&[], &files).expect("settings");
        assert_eq!(config.url, "postgres://u:p@h/d");
        let users: Vec<_> = config.tokens.iter().map(|token| (token.token.as_str(), token.user.0.as_str())).collect();
        assert_eq!(users, [("one", "alice"), ("two", "bob")]);
    }

    #[test]
    fn a_secret_and_its_file_are_not_both_taken() {
        let file = File::with("from the file");
        let both = [("SECRETS_TEST_URL_FILE", file.0.as_path()), ("SECRETS_TEST_URL", Path::new("from the variable"))];
        let refusal = parsed(&[], &both).expect_err("both are set");
        assert!(refusal.contains("SECRETS_TEST_URL and SECRETS_TEST_URL_FILE are both set"), "{refusal}");
        assert!(!refusal.contains("from the"), "{refusal}");
        let empty = [("SECRETS_TEST_URL_FILE", file.0.as_path()), ("SECRETS_TEST_URL", Path::new(""))];
        assert_eq!(parsed(&[], &empty).expect("an empty variable is not set").url, "from the file");
    }

    #[test]
    fn a_file_that_is_missing_or_empty_is_refused_by_its_name() {
        let empty = File::with("\n");
        for (file, reason) in [(empty.0.as_path(), "the file is empty"), (Path::new("/nowhere"), "No such file")] {
            let refusal = parsed(&[], &[("SECRETS_TEST_URL_FILE", file)]).expect_err("no secret");
            assert!(refusal.contains("SECRETS_TEST_URL_FILE") && refusal.contains(reason), "{refusal}");
        }
        let refusal = parsed(&["--url=u"], &[("SECRETS_TEST_PREFIX_FILE", Path::new("/nowhere"))]);
        assert!(refusal.is_ok_and(|config| config.prefix.is_empty()), "the prefix is no secret");
    }

    #[test]
    fn a_secret_that_cannot_be_understood_is_not_shown() {
        let file = File::with("too-short");
        let by_file = parsed(&["--url=u"], &[("SECRETS_TEST_ADMIN_FILE", file.0.as_path())]);
        for refusal in
            [by_file, parsed(&["--url=u", "--admin=too-short"], &[]), parsed(&["--url=u", "--tokens=hush"], &[])]
        {
            let refusal = refusal.expect_err("no token");
            assert!(refusal.contains("invalid value"), "{refusal}");
            assert!(!refusal.contains("too-short") && !refusal.contains("hush"), "{refusal}");
        }
    }

    #[test]
    fn the_help_names_the_files() {
        let help = parsed(&["--help"], &[]).expect_err("the help");
        assert!(help.contains("SECRETS_TEST_URL_FILE, SECRETS_TEST_ADMIN_FILE, SECRETS_TEST_TOKENS_FILE"), "{help}");
    }
}

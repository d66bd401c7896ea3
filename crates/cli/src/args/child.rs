//! The options of a server that is started.

use std::{env, ffi::OsString, path::PathBuf};

use clap::Args;

/// What a server is started with, beside its command.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ChildArgs {
    /// Set a variable in the environment of the server, or pass one of ours on (NAME alone); can be repeated. Without it
    /// the server gets HOME, LANG, LC_*, LOGNAME, PATH, SHELL, TERM, TMPDIR, TZ and USER, as far as they are set
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = variable)]
    pub(crate) env: Vec<(String, OsString)>,
    /// Pass all of our environment on to the server, its secrets included
    #[arg(long)]
    pub(crate) inherit_env: bool,
    /// Where the server runs
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<PathBuf>,
}

/// `NAME=VALUE`, or `NAME` for what it is here.
fn variable(text: &str) -> Result<(String, OsString), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("it must have the form NAME=VALUE, or NAME".into());
    }
    let value = match value {
        Some(value) => value.into(),
        None => env::var_os(name).ok_or_else(|| {
            format!("{name} is not set here, so it cannot be passed on: NAME=VALUE sets it")
        })?,
    };
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_a_name_and_a_value_of_their_own_or_ours() {
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(variable("A="), Ok(("A".into(), OsString::new())));
        assert_eq!(variable("PATH"), Ok(("PATH".into(), env::var_os("PATH").unwrap())));
        assert!(variable("=b").is_err() && variable("").is_err());
        let error = variable("TOWPATH_NEVER_SET").unwrap_err();
        assert!(error.contains("TOWPATH_NEVER_SET is not set here"), "{error}");
    }
}

//! An error and what caused it, in one line.

use std::{error::Error, sync::Arc};

/// The text of an error and of its causes, each once: some errors of the libraries below say nothing by themselves, and
/// some repeat their cause.
pub(crate) fn chain(error: &dyn Error) -> Arc<str> {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Outer {
        text: &'static str,
        source: io::Error,
    }

    #[test]
    fn causes_are_said_once() {
        let chain = |text| chain(&Outer { text, source: io::Error::other("refused") });
        assert_eq!(&*chain("cannot connect"), "cannot connect: refused");
        assert_eq!(&*chain("cannot connect: refused"), "cannot connect: refused");
    }
}

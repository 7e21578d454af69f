//! Where an archive is.

use std::{ffi::OsString, path::PathBuf};

use percent_encoding::percent_decode_str;

/// Reads a path, or a URL of the scheme `file` with an absolute path.
///
/// # Errors
/// What is wrong with the URL, and what is allowed.
pub fn parse(given: OsString) -> Result<PathBuf, String> {
    let is_scheme = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let Some((scheme, rest)) = given.to_str().and_then(|text| text.split_once("://")).filter(|url| is_scheme(url.0))
    else {
        return Ok(given.into());
    };
    if !scheme.eq_ignore_ascii_case("file") {
        return Err(format!("the scheme {scheme:?} is not supported; an archive is a path or file:///PATH"));
    }
    let path = rest.strip_prefix("localhost").filter(|path| path.starts_with('/')).unwrap_or(rest);
    if !path.starts_with('/') {
        return Err("a file URL has an absolute path and no host: file:///PATH".to_owned());
    }
    let path = percent_decoded(path).ok_or("the path of the URL is not percent-encoded UTF-8")?;
    Ok(PathBuf::from(path))
}

fn percent_decoded(text: &str) -> Option<String> {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    // The decoder leaves a broken escape as it is. Each good one is shorter by two.
    let is_whole = bytes.len() + 2 * text.matches('%').count() == text.len();
    // A path of the system ends at its first zero byte.
    String::from_utf8(bytes).ok().filter(|path| is_whole && !path.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_what_they_are() {
        for path in ["flows", "/a b/%41", "C:\\flows", "./s3:/x", "1x://y", "://"] {
            assert_eq!(parse(path.into()), Ok(PathBuf::from(path)));
        }
    }

    #[test]
    fn file_urls_are_paths() {
        for url in ["file:///a%20b/c", "FILE://localhost/a%20b/c"] {
            assert_eq!(parse(url.into()), Ok(PathBuf::from("/a b/c")), "{url}");
        }
        for url in ["file://host/a", "file://a", "file://", "file:///a%2", "file:///%+1", "file:///%ff", "file:///%00"]
        {
            assert!(parse(url.into()).is_err(), "{url}");
        }
    }

    #[test]
    fn other_schemes_are_named_in_the_error() {
        let error = parse("s3://bucket/flows".into()).unwrap_err();
        assert_eq!(error, "the scheme \"s3\" is not supported; an archive is a path or file:///PATH");
    }
}

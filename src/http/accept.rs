//! What a client wants to be answered with, by its headers (RFC 9110, section 12.5).

use axum::http::{
    HeaderMap,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderName},
};

use crate::wire::TextForm;

/// The form of an answer's flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text(TextForm),
    /// A stream of Arrow's interprocess format.
    Arrow,
}

impl Form {
    /// Every form, the one that is answered where the client does not care first.
    pub(super) const ALL: [Self; 4] =
        [Self::Text(TextForm::Json), Self::Text(TextForm::Ndjson), Self::Text(TextForm::Csv), Self::Arrow];

    /// Its media type.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Text(TextForm::Json) => "application/json",
            Self::Text(TextForm::Ndjson) => "application/x-ndjson",
            Self::Text(TextForm::Csv) => "text/csv; charset=utf-8; header=present",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// The names under which clients ask for it.
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Text(TextForm::Json) => &["application/json"],
            Self::Text(TextForm::Ndjson) => &["application/x-ndjson", "application/ndjson", "application/jsonl"],
            Self::Text(TextForm::Csv) => &["text/csv"],
            Self::Arrow => &["application/vnd.apache.arrow.stream"],
        }
    }

    /// The form that `Accept` likes best. Where it accepts none of them that is JSON all the same: an answer in
    /// another form is of more use than none.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let items = items(headers, &ACCEPT);
        let quality = |form: &Self| {
            let of = |name: &&str| {
                let kind = name.split('/').next().unwrap_or_default();
                let family = format!("{kind}/*");
                // The most specific range decides.
                [*name, family.as_str(), "*/*"].iter().find_map(|range| quality_of(&items, range))
            };
            form.names().iter().filter_map(of).max().unwrap_or(0)
        };
        best(Self::ALL, quality).unwrap_or(Self::ALL[0])
    }
}

/// How the bytes of an answer are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Zstd,
}

impl Coding {
    /// Its name as a content coding; none has no name.
    pub(super) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// The coding that `Accept-Encoding` likes best; of those it likes alike the one that makes least work.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let items = items(headers, &ACCEPT_ENCODING);
        // What is not named is not wanted, but for no coding at all.
        let named = |name: &str| quality_of(&items, name).or_else(|| quality_of(&items, "*")).unwrap_or(0);
        best([Self::Zstd, Self::Gzip], |coding| coding.name().map_or(0, named))
            .filter(|coding| {
                let identity = quality_of(&items, "identity").unwrap_or(0);
                coding.name().map_or(0, named) >= identity
            })
            .unwrap_or(Self::Identity)
    }
}

/// The first of the best; none where all have the quality 0.
fn best<T: Copy, const N: usize>(all: [T; N], quality: impl Fn(&T) -> u16) -> Option<T> {
    let rated = all.into_iter().map(|one| (one, quality(&one))).filter(|(_, quality)| *quality > 0);
    rated.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(one, _)| one)
}

fn quality_of(items: &[(String, u16)], name: &str) -> Option<u16> {
    items.iter().find(|(item, _)| item == name).map(|(_, quality)| *quality)
}

/// The items of a list with their qualities in thousandths; what cannot be read is not there.
fn items(headers: &HeaderMap, name: &HeaderName) -> Vec<(String, u16)> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let items = values.flat_map(|value| value.split(',')).filter_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = weight.map_or(Some(1.0), |weight| weight.parse::<f32>().ok());
        let quality = quality.filter(|quality| (0.0..=1.0).contains(quality))?;
        Some((name.to_ascii_lowercase(), (quality * 1000.0) as u16))
    });
    items.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(accept: &str) -> Form {
        Form::accepted(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]))
    }

    fn coding(accept: &str) -> Coding {
        Coding::accepted(&HeaderMap::from_iter([(ACCEPT_ENCODING, accept.parse().unwrap())]))
    }

    #[test]
    fn the_form_that_is_liked_best_is_answered() {
        let [json, ndjson, csv, arrow] = Form::ALL;
        assert_eq!(Form::accepted(&HeaderMap::new()), json);
        for (accept, expected) in [
            ("*/*", json),
            ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", json),
            ("application/*", json),
            ("text/csv", csv),
            ("text/*", csv),
            ("TEXT/CSV; header=present", csv),
            ("application/jsonl", ndjson),
            ("application/json;q=0.5, application/x-ndjson", ndjson),
            ("application/x-ndjson;q=0.5, application/json;q=0.9", json),
            ("*/*;q=0.1, application/vnd.apache.arrow.stream", arrow),
            ("application/json;q=0, */*", ndjson),
            ("image/png", json),
            ("text/csv;q=2", json),
            (";;,", json),
        ] {
            assert_eq!(form(accept), expected, "{accept}");
        }
    }

    #[test]
    fn an_answer_is_compressed_only_where_that_is_wanted() {
        for (accept, expected) in [
            ("", Coding::Identity),
            ("identity", Coding::Identity),
            ("br", Coding::Identity),
            ("gzip", Coding::Gzip),
            ("gzip, deflate, br", Coding::Gzip),
            ("gzip, deflate, br, zstd", Coding::Zstd),
            ("gzip;q=1, zstd;q=0.5", Coding::Gzip),
            ("gzip;q=0", Coding::Identity),
            ("zstd;q=0.2, identity;q=0.8", Coding::Identity),
            ("*", Coding::Zstd),
            ("*;q=0", Coding::Identity),
        ] {
            assert_eq!(coding(accept), expected, "{accept}");
        }
        assert_eq!(Coding::accepted(&HeaderMap::new()), Coding::Identity);
    }
}

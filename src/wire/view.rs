//! Which fields of a flow an answer shows, and how.

use std::{borrow::Cow, sync::LazyLock};

use super::FlagsFormat;
use crate::flow::{Field, columns::Answers};

/// Which fields an answer shows where it is not asked for certain ones.
///
/// ```
/// use flowseek::wire::{FlagsFormat, Profile, View};
///
/// assert_eq!(View::new(Profile::Seed, FlagsFormat::Hex).flags(), FlagsFormat::Hex);
/// let current = View::new(Profile::Current, FlagsFormat::Hex);
/// assert_eq!(current.flags(), FlagsFormat::Decimal);
/// assert!(current.fields().iter().any(|(name, _)| *name == "meta"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// The thirteen that there were from the beginning.
    #[default]
    Seed,
    /// In addition the node that logged the flow, its flow flags and its meta; TCP flags are decimal numbers.
    Current,
}

impl Profile {
    /// Its fields in the order of an answer, each under its name there: what JSON, CSV and tables hold.
    ///
    /// ```
    /// use flowseek::{flow::Field, wire::Profile};
    ///
    /// assert_eq!(Profile::Seed.fields().len(), 13);
    /// assert!(Profile::Current.fields().contains(&("flags", Field::FlowFlags)));
    /// ```
    pub fn fields(self) -> &'static [(&'static str, Field)] {
        static SEED: LazyLock<Vec<(&str, Field)>> = LazyLock::new(|| shown_by(&[Answers::All]));
        static CURRENT: LazyLock<Vec<(&str, Field)>> = LazyLock::new(|| shown_by(&[Answers::All, Answers::Current]));
        match self {
            Self::Seed => SEED.as_slice(),
            Self::Current => CURRENT.as_slice(),
        }
    }
}

/// All fields that an answer can be asked for, in its order, each under its name there.
pub fn all_fields() -> &'static [(&'static str, Field)] {
    static ALL: LazyLock<Vec<(&str, Field)>> =
        LazyLock::new(|| shown_by(&[Answers::All, Answers::Current, Answers::Asked]));
    ALL.as_slice()
}

fn shown_by(answers: &[Answers]) -> Vec<(&'static str, Field)> {
    let shown = Field::all().filter(|field| answers.contains(&field.column().answers));
    let mut fields: Vec<_> = shown.filter_map(|field| Some((field.key()?, field))).collect();
    fields.sort_unstable();
    fields
}

/// How flows are shown: by which fields, and with TCP flags in which format.
///
/// ```
/// use flowseek::wire::{FlagsFormat, Profile, Request, View};
///
/// let request = Request::parse("fields=destPort,sourcePackets")?;
/// let view = View::new(Profile::Seed, FlagsFormat::Binary).with(request.fields);
/// let names: Vec<&str> = view.fields().iter().map(|(name, _)| *name).collect();
/// assert_eq!(names, ["destPort", "sourcePackets"]);
/// # Ok::<(), flowseek::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    fields: Cow<'static, [(&'static str, Field)]>,
    flags: FlagsFormat,
}

impl View {
    /// The view of a profile. With [`Profile::Current`] TCP flags are decimal numbers, whatever `flags` is.
    pub fn new(profile: Profile, flags: FlagsFormat) -> Self {
        let flags = if profile == Profile::Current { FlagsFormat::Decimal } else { flags };
        Self { fields: Cow::Borrowed(profile.fields()), flags }
    }

    /// The same, with these fields instead where there are any.
    #[must_use]
    pub fn with(self, fields: Option<Vec<(&'static str, Field)>>) -> Self {
        Self { fields: fields.map_or(self.fields, Cow::Owned), ..self }
    }

    /// The fields, each under its name in an answer.
    pub fn fields(&self) -> &[(&'static str, Field)] {
        &self.fields
    }

    /// How TCP flags are written.
    pub fn flags(&self) -> FlagsFormat {
        self.flags
    }
}

impl Default for View {
    /// That of the default profile, with TCP flags as binary digits.
    fn default() -> Self {
        FlagsFormat::default().into()
    }
}

/// The view of the default profile.
impl From<FlagsFormat> for View {
    fn from(flags: FlagsFormat) -> Self {
        Self::new(Profile::default(), flags)
    }
}

//! Setters of options: structs that may get more members, and so are made from their defaults.

/// Gives options a method for each member, of its name, which answers the same options with another value. What is
/// `optional` takes a value as well as an `Option`.
macro_rules! setters {
    ($options:ident { $($member:ident: $type:ty),* $(,)? } optional { $($optional:ident: $inner:ty),* $(,)? }) => {
        impl $options {
            $(
                #[doc = concat!("The same with another [`", stringify!($member), "`](field@Self::", stringify!($member), ").")]
                #[must_use]
                pub fn $member(mut self, $member: $type) -> Self {
                    self.$member = $member;
                    self
                }
            )*
            $(
                #[doc = concat!("The same with another [`", stringify!($optional), "`](field@Self::", stringify!($optional), ").")]
                #[must_use]
                pub fn $optional(mut self, $optional: impl Into<Option<$inner>>) -> Self {
                    self.$optional = $optional.into();
                    self
                }
            )*
        }
    };
}
pub(crate) use setters;

//! The parameters of a query on the command line.

use flowseek::wire::Parameter;

/// The parameters of a query, for the help.
pub fn listed<'a>(parameters: impl IntoIterator<Item = &'a Parameter>) -> String {
    let mut text = "Parameters of a query:".to_owned();
    for parameter in parameters {
        text += &format!(
            "\n  {:<11} {}\n  {:11} Values: {}",
            parameter.name,
            parameter.about,
            "",
            parameter.kind.allowed()
        );
    }
    text
}

/// The value of a parameter: what would end it, or be decoded, is encoded.
pub fn encoded(value: &str) -> String {
    value.replace('%', "%25").replace('&', "%26").replace('+', "%2B")
}

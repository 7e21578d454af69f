"""An empty value is an absent parameter: right for the endpoint, and not to be said in a schema that clients can use."""

import schemathesis


def is_empty(value):
    return value in ("", None) or (isinstance(value, list) and all(item in ("", None) for item in value))


@schemathesis.hook
def filter_case(context, case):
    return not any(is_empty(value) for value in dict(case.query or {}).values())

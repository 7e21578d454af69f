# The steps of `.ci/run`, by `just STEP`; `just` alone lists them.

_:
    @just --list

# All that must hold before a change lands.
ci:
    .ci/run

# The core pulls no heavy crates.
core:
    .ci/run core

# Licences, registries and duplicates of all that is linked.
dependencies:
    .ci/run dependencies

format:
    cargo fmt

# All tests, or those that are named.
test *NAMES:
    cargo test --locked --features cli {{NAMES}}

# The served endpoint against its document.
endpoint:
    .ci/run endpoint

lints:
    .ci/run lints

docs:
    .ci/run docs

# The public API is what public-api.txt says.
api:
    .ci/run api

# Pages, needles, sorts and counts beside DataFusion SQL.
bench *WORDS:
    cargo bench --features sql --bench queries -- {{WORDS}}

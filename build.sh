#!/usr/bin/env bash
# The one entry to building, testing and showing confab. `./build.sh help` lists what it does.
set -euo pipefail
cd "$(dirname "$0")"

RUST_MINIMUM=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
RELEASE=target/release
. tests/dist/dist.sh

help() {
    cat <<'TEXT'
./build.sh              build both programs: target/release/confab and confab-server
./build.sh test         everything that guards the project: format, lints, tests, docs
./build.sh install      build, and put both programs into PATH; --dest DIR for another folder
./build.sh run          show the main job: follow a growing session, read it back, compare
./build.sh run --mine   the same with your own sessions; keeps the server and its data
./build.sh bench [WHAT] measure: everything, or for example `hook`, `sync`, `browser`, `idle=600`; with the
                        static client, where that can be built
./build.sh dist         static programs for x86_64 and aarch64, with sums, bills of materials and a
                        self-check: target/dist; name one of the two for it alone; as root,
                        --install first installs what is missing on Debian
./build.sh chaos [N]    N rounds (200) of programs that are killed behind a bad network
./build.sh fuzz SECONDS redaction, server and client against any input, other inputs every time
./build.sh fuzz --coverage TARGET|all SECONDS
                        the same by cargo-fuzz, which follows what an input reaches; wants nightly
                        Rust; what it has learned and found is in target/fuzz
./build.sh soak [HOURS] simulated disasters, others every time, without end or for so long
./build.sh crash [N]    kill -9 of the server N times under load, 200 unless told otherwise
./build.sh instructions count what hooks and a megabyte of sync take; --record keeps the counts
TEXT
}

say() { printf '== %s\n' "$*"; }

die() {
    printf 'build.sh: error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

# Installs Debian packages if that is possible here; otherwise names what to install.
install() {
    local what=$1
    shift
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "$what is missing: installing $*"
        apt-get update -q && apt-get install -q -y --no-install-recommends "$@"
    else
        die "$what is missing" "on Debian or Ubuntu: sudo apt-get install $*"
    fi
}

older() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }

# What a fresh machine lacks: a C compiler (zstd, SQLite and ring are C) and cargo.
prepare() {
    [ ! -f "${CARGO_HOME:-$HOME/.cargo}/env" ] || . "${CARGO_HOME:-$HOME/.cargo}/env"
    command -v cc >/dev/null || install "a C compiler" gcc libc6-dev
    command -v cargo >/dev/null || install_cargo
    local have
    have=$(cargo --version | cut -d' ' -f2)
    ! older "$have" "$RUST_MINIMUM" ||
        die "cargo $have is too old, $RUST_MINIMUM is needed" "install Rust from https://rustup.rs"
    say "using $(cargo --version), $(cc --version | head -1)"
}

# The distribution's rustup where there is one: its plain cargo packages are too old as a rule.
install_cargo() {
    local hint="install Rust $RUST_MINIMUM or newer from https://rustup.rs"
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || die "cargo is missing" "$hint"
    say "cargo is missing: installing rustup"
    apt-get update -q && apt-get install -q -y --no-install-recommends rustup ca-certificates ||
        die "cargo is missing and this distribution has no package rustup" "$hint"
    rustup default stable || die "rustup cannot fetch Rust" "$hint"
}

# Components that rustup may have left out.
prepare_lints() {
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return
    command -v rustup >/dev/null ||
        die "rustfmt or clippy is missing" "install Rust from https://rustup.rs"
    rustup component add rustfmt clippy
}

build() {
    say "building both programs"
    cargo build --release --locked --features server
    ls -l "$RELEASE/confab" "$RELEASE/confab-server" | awk '{ print $5 " bytes  " $NF }'
}

# Instructions are the same on a busy machine as on an idle one, so they tell what times cannot.
instructions() {
    if ! command -v valgrind >/dev/null; then
        say "valgrind is missing: no instructions are counted"
        return
    fi
    cargo build --release --locked --bin confab &&
        cargo test --locked --test instructions -- "$PWD/$RELEASE/confab" "$@"
}

# What is shipped is what is measured, unless it cannot be built here.
bench() {
    local arch client=()
    arch=$(uname -m)
    if [ -n "$(way_to "$arch")" ]; then
        say "building the static client"
        [ "$(way_to "$arch")" != source ] || make_unwinder "$arch"
        dist_cargo "$arch" client build --release --locked --bin confab \
            --target "$arch-unknown-linux-musl"
        client=("client=$PWD/target/$arch-unknown-linux-musl/release/confab")
    else
        say "a static client cannot be built here: the dynamic one is measured"
    fi
    [ "$*" = browser ] ||
        cargo bench --locked --features server --bench bench -- "${client[@]}" "$@"
    # How fast lines are seen, and how fast a long session opens.
    case "$*" in "" | browser)
        cargo test --locked --release --features server --test browser -- \
            lines_are_seen fifty_thousand
        ;;
    esac
}

# Runs one step and says how long it took.
step() {
    local name=$1 start=$SECONDS
    shift
    say "$name"
    "$@" || die "$name: failed" "repeat it alone: $*"
    say "$name: ok, $((SECONDS - start)) s"
}

everything() {
    local start=$SECONDS
    step "format" cargo fmt --check
    step "format of the fuzz targets" cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
    step "lints with the server" cargo clippy --locked --all-targets --features server -- -D warnings
    step "lints of the client" cargo clippy --locked --all-targets -- -D warnings
    step "lints without TLS" cargo clippy --locked --all-targets --no-default-features -- -D warnings
    step "tests" cargo test --locked --features server --no-fail-fast
    step "simulated disasters" cargo test --locked --release --test simulation
    step "instructions" instructions
    step "size and crates of the client" small
    step "documentation" env RUSTDOCFLAGS="-D warnings" \
        cargo doc --locked --no-deps --features server
    say "all of it: ok, $((SECONDS - start)) s"
}

soak() {
    local time=()
    [ -z "$1" ] || time=(--seconds "$((${1%.*} * 3600))")
    cargo test --locked --release --test simulation -- --endless "${time[@]}"
}

FUZZERS=(--test fuzz_redact --test fuzz_server --test fuzz_client)

fuzz() {
    cargo test --locked --release --features server "${FUZZERS[@]}" -- --seconds "$1"
}

# Targets, inputs to begin with and what must hold are those of the fuzzers of the package. Leaks
# are not looked for: threads of a target that are just ending still hold memory.
fuzz_coverage() {
    local wanted=$1 seconds=$2 all targets target found=$PWD/target/fuzz
    cargo +nightly --version >/dev/null 2>&1 ||
        die "nightly Rust is missing" "rustup toolchain install nightly"
    cargo fuzz --version >/dev/null 2>&1 || die "cargo-fuzz is missing" "cargo install cargo-fuzz"
    all=$(sed -n 's/^path = "fuzz_targets\/\(.*\)\.rs"$/\1/p' tests/fuzz/Cargo.toml)
    targets=$wanted
    [ "$wanted" != all ] || targets=$all
    grep -qx -- "${targets%%$'\n'*}" <<<"$all" ||
        die "there is no target $wanted" "one of these: ${all//$'\n'/ }"
    cargo test --locked --features server "${FUZZERS[@]}" -- --seeds "$found/seeds"
    export CONFAB_FUZZ_FOLDER
    CONFAB_FUZZ_FOLDER=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
    trap 'rm -rf "$CONFAB_FUZZ_FOLDER"' EXIT
    for target in $targets; do
        mkdir -p "$found/corpus/$target" "$found/found/$target"
        say "fuzz $target"
        cargo +nightly fuzz run --fuzz-dir tests/fuzz --target-dir "$found/build" "$target" \
            "$found/corpus/$target" "$found/seeds/$target" -- \
            -max_total_time="$seconds" -timeout=60 -max_len=65536 -detect_leaks=0 \
            -print_final_stats=1 -artifact_prefix="$found/found/$target/" ||
            die "the target $target failed" "the input is in $found/found/$target"
    done
}

case "${1-}" in
    "") prepare; build ;;
    test) prepare; prepare_lints; everything ;;
    install) shift; prepare; build; "$RELEASE/confab" install "$@" ;;
    run) prepare; build; tests/run/run.sh "$RELEASE/confab" "$RELEASE/confab-server" "${2-}" ;;
    dist) shift; prepare; dist "$@" ;;
    bench) shift; prepare; bench "$@" ;;
    chaos) prepare; cargo test --locked --release --features server --test chaos -- \
        --rounds "${2:-200}" ;;
    fuzz)
        prepare
        case "${2:?for how long}" in
            --coverage) fuzz_coverage "${3:?which target}" "${4:?for how long}" ;;
            *) fuzz "$2" ;;
        esac
        ;;
    crash)
        prepare
        cargo test --locked --features server --test crash -- --rounds "${2:-200}"
        ;;
    instructions) shift; prepare; instructions "$@" ;;
    soak) prepare; soak "${2-}" ;;
    help | -h | --help) help ;;
    *) help >&2; exit 2 ;;
esac

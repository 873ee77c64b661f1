# Static programs for other machines: sourced by build.sh, which has `say`, `die` and `step`.
#
# A target can be built here in one of two ways, tried in this order:
# - "target": the toolchain has the target's std (`rustup target add`), and with it its own musl;
#   where it has std's sources as well (`rustup component add rust-src`), std is built from them.
# - "source": Debian's rustc, std built from Debian's sources of the same version, Debian's musl.
# Both want ARCH-linux-musl-gcc for what is C in zstd, SQLite and ring. Where neither is open, it
# says what to install and fails: a program that is not static is never shipped as one.

DIST=target/dist
# `--way` allows only this one.
WAY=
# The client has no decoder and one level. The server has level 9 for what rests, and so all but the
# strategies above (as `.cargo/config.toml` has it for both).
ZSTD_SERVER="-DZSTD_EXCLUDE_BTOPT_BLOCK_COMPRESSOR -DZSTD_EXCLUDE_BTULTRA_BLOCK_COMPRESSOR"
ZSTD_CLIENT="$ZSTD_SERVER -DZSTD_EXCLUDE_DFAST_BLOCK_COMPRESSOR \
-DZSTD_EXCLUDE_GREEDY_BLOCK_COMPRESSOR -DZSTD_EXCLUDE_LAZY_BLOCK_COMPRESSOR \
-DZSTD_EXCLUDE_LAZY2_BLOCK_COMPRESSOR -DZSTD_EXCLUDE_BTLAZY2_BLOCK_COMPRESSOR"
# The client inlines less than even "s" does: 0.08 MB, and no slower.
RUST_CLIENT="-Cllvm-args=-inline-threshold=25"
RUST_SERVER=
# C never unwinds here; outline atomics would want a glibc function.
CFLAGS_x86_64="-fno-asynchronous-unwind-tables -fno-unwind-tables"
CFLAGS_aarch64="$CFLAGS_x86_64 -mno-outline-atomics"

SOURCES=lib/rustlib/src/rust
STD=$SOURCES/library/std/Cargo.toml
PACKAGES="rustc-web cargo-web rust-web-src musl-tools gcc libc6-dev"
PACKAGES_aarch64="gcc-aarch64-linux-gnu musl-dev:arm64 qemu-user-static"

# Builds everything for the given architectures: all of them, unless told otherwise.
dist() {
    local is_allowed_to_install=no arch
    while [ "${1#--}" != "${1-}" ]; do
        case $1 in
            --install) is_allowed_to_install=yes; shift ;;
            --way) WAY=${2:?target or source}; shift 2 ;;
            *) die "./build.sh dist has no option $1" ;;
        esac
    done
    [ $# -gt 0 ] || set -- x86_64 aarch64
    for arch in "$@"; do
        case $arch in x86_64 | aarch64) ;; *) die "there is no static build for $arch" ;; esac
        [ "$is_allowed_to_install" = no ] || [ -n "$(way_to "$arch")" ] || dist_install "$arch"
        [ -n "$(way_to "$arch")" ] || dist_explain "$arch"
    done
    rm -rf "$DIST"
    mkdir -p "$DIST"
    for arch in "$@"; do
        step "static programs for $arch" dist_arch "$arch"
    done
    (cd "$DIST" && sha256sum confab* >SHA256SUMS)
    step "self-check in an empty root" self_check "$@"
    cat "$DIST/SHA256SUMS"
}

# How a target can be built here; nothing where it cannot.
way_to() {
    local libraries
    command -v "$1-linux-musl-gcc" >/dev/null || return 0
    libraries=$(rustc --print target-libdir --target "$1-unknown-linux-musl" 2>/dev/null) || true
    if [ "$WAY" != source ] && ls "$libraries" 2>/dev/null | grep -q '^libstd-'; then
        echo target
    elif [ "$WAY" != target ] && [ -x /usr/bin/cargo ] && [ -f "/usr/$STD" ] &&
        ! older "$(/usr/bin/rustc --version | cut -d' ' -f2)" "$RUST_MINIMUM"; then
        echo source
    fi
}

dist_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || dist_explain "$1"
    say "installing what a static build for $1 needs"
    [ "$1" != aarch64 ] || dpkg --add-architecture arm64
    local further=PACKAGES_$1
    # shellcheck disable=SC2086
    apt-get update -q && apt-get install -q -y --no-install-recommends $PACKAGES ${!further-} ||
        dist_explain "$1"
}

dist_explain() {
    local further=PACKAGES_$1 foreign=
    [ "$1" != aarch64 ] || foreign="dpkg --add-architecture arm64 && apt-get update && "
    die "no way to build static programs for $1 is open on this machine" "either rustup target add \
$1-unknown-linux-musl and put $1-linux-musl-gcc into PATH, or on Debian as root: ${foreign}apt-get \
install $PACKAGES ${!further-} (./build.sh dist --install does it)"
}

# Both programs of one architecture.
dist_arch() {
    local arch=$1
    [ "$(way_to "$arch")" != source ] || make_unwinder "$arch"
    assert_unwinds "$arch"
    dist_build "$arch" confab client
    dist_build "$arch" confab-server server --features server
}

# One program: dist_build ARCH PROGRAM KIND CARGO-ARGUMENT...
dist_build() {
    local arch=$1 program=$2 kind=$3 target=$1-unknown-linux-musl out=$DIST/$2-$1
    shift 3
    dist_cargo "$arch" "$kind" build --release --locked --target "$target" --bin "$program" "$@"
    cp "target/$target/release/$program" "$out"
    assert_static "$out"
    [ "$program" != confab ] || fits "$out" "static-$arch$([ -n "$(std_sources "$arch")" ] || echo -prebuilt)"
    write_sbom "$arch" "$program" "$@" >"$out.cdx.json"
}

# Where the sources of std are that it is built from; nothing where the toolchain's own is taken.
std_sources() {
    local sysroot=/usr
    [ "$(way_to "$1")" = source ] || sysroot=$(rustc --print sysroot)
    [ ! -f "$sysroot/$STD" ] || echo "$sysroot/$SOURCES"
}

# cargo, so that the same input makes the same bytes in any folder: dist_cargo ARCH KIND ARG..., for
# a client or a server.
dist_cargo() {
    local arch=$1 target=$1-unknown-linux-musl cflags=CFLAGS_$1 gcc=$1-linux-musl-gcc flags sources
    local upper=${1^^} cargo=cargo home=${CARGO_HOME:-$HOME/.cargo} zstd=ZSTD_${2^^} rust=RUST_${2^^}
    cflags="${!cflags} -ffile-prefix-map=$home=/cargo -ffile-prefix-map=$PWD=/confab ${!zstd}"
    flags="-Ctarget-feature=+crt-static -Crelocation-model=static -Clink-arg=-Wl,--build-id=none"
    # Two mappings instead of four: a hook takes 40 of 310 microseconds less.
    flags+=" -Clink-arg=-Wl,-z,noseparate-code ${!rust}"
    flags+=" --remap-path-prefix=$home=/cargo --remap-path-prefix=$PWD=/confab"
    shift 2
    # Made small where that costs hardly any speed: 0.7 MB of the client.
    local settings=(CARGO_PROFILE_RELEASE_OPT_LEVEL=s SOURCE_DATE_EPOCH="$(date_of_source)"
        "CC_${target//-/_}=$gcc" "CFLAGS_${target//-/_}=$cflags"
        "CARGO_TARGET_${upper}_UNKNOWN_LINUX_MUSL_LINKER=$gcc")
    if [ "$(way_to "$arch")" = source ]; then
        cargo=/usr/bin/cargo
        settings+=(RUSTC=/usr/bin/rustc)
        flags+=" -Clink-self-contained=no -Lnative=$PWD/target/unwinder/$arch"
    fi
    sources=$(std_sources "$arch")
    if [ -n "$sources" ]; then
        # Without the feature `backtrace` and made for this program: a panic still says what and
        # where, and 0.35 MB stay away. What every line goes through is not made small.
        set -- "$@" -Zbuild-std=std,panic_unwind -Zbuild-std-features=panic-unwind,optimize_for_size
        set -- "$@" --config profile.release.package.core.opt-level=3
        set -- "$@" --config profile.release.package.alloc.opt-level=3
        settings+=(RUSTC_BOOTSTRAP=1)
        flags+=" --remap-path-prefix=$sources=/rust"
    else
        say "std is the toolchain's: 0.4 MB less with rustup component add rust-src"
    fi
    settings+=("CARGO_TARGET_${upper}_UNKNOWN_LINUX_MUSL_RUSTFLAGS=$flags")
    env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS "${settings[@]}" "$cargo" "$@"
}

# std asks for libunwind. gcc's own unwinder is one, but for one function.
make_unwinder() {
    local gcc=$1-linux-musl-gcc folder=target/unwinder/$1
    mkdir -p "$folder"
    "$gcc" -Os -Wall -c tests/dist/find_object.c -o "$folder/find_object.o"
    cp "$("$gcc" -print-file-name=libgcc_eh.a)" "$folder/libunwind.a"
    "$("$gcc" -print-prog-name=ar)" rD "$folder/libunwind.a" "$folder/find_object.o" 2>/dev/null
}

# Seconds since 1970 of the last commit; the format's oldest date outside of a repository.
date_of_source() {
    echo "${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 315532800)}"
}

# No interpreter, nothing that is loaded at run time.
assert_static() {
    local headers
    headers=$(LC_ALL=C readelf --wide --program-headers --dynamic "$1") || die "cannot read $1"
    ! grep -Eq 'INTERP|NEEDED' <<<"$headers" || { rm "$1"; die "$1 is not static"; }
}

# A program is no larger than the budget of this name: fits FILE NAME
fits() {
    local bytes budget
    bytes=$(stat -c %s "$1")
    budget=$(awk -v name="$2" '$1 == name { print $2 }' tests/dist/budgets)
    printf '%s bytes of %s  %s\n' "$bytes" "${budget:?no budget for $2}" "$1"
    [ "$bytes" -le "$budget" ] || die "$1 is larger than its budget in tests/dist/budgets"
}

# The client that this machine builds for itself, with and without TLS, and what it consists of.
small() {
    cargo tree --locked -e normal --target x86_64-unknown-linux-musl --prefix none \
        --format '{p}' | cut -d' ' -f1 | LC_ALL=C sort -u | diff tests/dist/crates - ||
        die "the client's crates are others than those in tests/dist/crates"
    cargo build -q --release --locked --no-default-features --bin confab
    fits "$RELEASE/confab" dynamic-without-tls
    cargo build -q --release --locked --bin confab
    fits "$RELEASE/confab" dynamic
}

# A panic can be caught: without that, one line that redaction fails on would end the daemon.
assert_unwinds() {
    local target=$1-unknown-linux-musl runner=
    dist_cargo "$1" client build --release --locked --target "$target" --example unwind
    [ "$1" = "$(uname -m)" ] || runner=/usr/bin/qemu-$1-static
    if [ -n "$runner" ] && [ ! -x "$runner" ]; then
        say "SKIPPED: catching a panic on $1, because qemu-user-static is missing"
        return
    fi
    $runner "target/$target/release/examples/unwind" 2>/dev/null ||
        die "a program for $1 cannot catch a panic"
}

# What is in a program: write_sbom ARCH PROGRAM CARGO-ARGUMENT...
write_sbom() {
    local arch=$1 program=$2 rustc=rustc musl further
    shift 2
    [ "$(way_to "$arch")" != source ] || rustc=/usr/bin/rustc
    rustc=$("$rustc" --version | cut -d' ' -f2)
    further="std|$rustc|MIT OR Apache-2.0|pkg:generic/rust-std@$rustc"
    if [ "$(way_to "$arch")" = source ]; then
        musl=$(dpkg-query -W -f '${Version}' "musl-dev:$(deb_arch "$arch")")
        further+=$'\n'"musl|$musl|MIT|pkg:deb/debian/musl@$musl"
        musl=$("$arch-linux-musl-gcc" -dumpfullversion)
        further+=$'\n'"libgcc|$musl|GPL-3.0-or-later WITH GCC-exception-3.1|pkg:generic/gcc@$musl"
    fi
    cargo tree --locked -e normal --target "$arch-unknown-linux-musl" --prefix depth --no-dedupe \
        --format '{p} | {l}' "$@" |
        awk -v program="$program" -v target="$arch-unknown-linux-musl" -v further="$further" \
            -v timestamp="$(date -u -d "@$(date_of_source)" +%Y-%m-%dT%H:%M:%SZ)" \
            -f tests/dist/sbom.awk Cargo.lock -
}

deb_arch() {
    case $1 in x86_64) echo amd64 ;; aarch64) echo arm64 ;; esac
}

# Runs each program in an empty root with a name server and a certificate authority of its own.
self_check() {
    local arch
    unshare --map-root-user --mount --net true 2>/dev/null || {
        say "SKIPPED: running the programs, because this machine allows no user namespaces"
        return
    }
    cargo test -q --locked --features server --test it --no-run
    for arch in "$@"; do
        [ "$arch" = "$(uname -m)" ] || [ -x "/usr/bin/qemu-$arch-static" ] || {
            say "SKIPPED: running the programs for $arch, because qemu-user-static is missing"
            continue
        }
        # shellcheck disable=SC2016
        CONFAB_DIST="$PWD/$DIST" CONFAB_DIST_ARCH=$arch \
            unshare --map-root-user --mount --net sh -c 'ip link set lo up && exec "$@"' sh \
            cargo test -q --locked --offline --features server --test it dist::
    done
}

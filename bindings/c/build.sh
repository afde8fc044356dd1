#!/bin/sh
# Builds the C libraries and lays them out under a directory, which may hold other things, as /usr/local does:
# include/tidegate.h and tidegate.hpp; lib/libtidegate.a, the shared library with its link, and native-static-libs.txt,
# which names what a static link needs beside the archive.
#
#   bindings/c/build.sh DIRECTORY [PROFILE [FEATURES]]     PROFILE is cargo's, "release" unless said
#
# All is made apart, and comes to its place at the end, file by file and by renaming: a build that fails leaves what was
# there, and so does a new build to the programs that run with an older one.
set -eu

out=${1:?"which directory? usage: bindings/c/build.sh DIRECTORY [PROFILE [FEATURES]]"}
profile=${2:-release}
features=${3:-capi}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
abi=$(sed -n 's/^#define TDG_ABI //p' "$root/include/tidegate.h")
target=${CARGO_TARGET_DIR:-$root/target}
directory=$profile
[ "$profile" != dev ] || directory=debug
mkdir -p "$target"
made=$(mktemp -d "$target/c-build.XXXXXX")
trap 'rm -rf "$made"' EXIT
trap 'exit 1' HUP INT TERM

# On ELF: the ABI's number in the name that programs ask for, and never to be unloaded, since its threads may be there.
case $(uname) in
Darwin)
    shared=libtidegate.$abi.dylib link=libtidegate.dylib
    flags="-C link-arg=-Wl,-install_name,@rpath/$shared"
    ;;
*)
    shared=libtidegate.so.$abi link=libtidegate.so
    flags="-C link-arg=-Wl,-soname,$shared -C link-arg=-Wl,-z,nodelete"
    ;;
esac

# shellcheck disable=SC2086 # the flags are words
"${CARGO:-cargo}" rustc --manifest-path "$root/Cargo.toml" --locked --lib --no-default-features --features "$features" \
    --profile "$profile" --crate-type cdylib,staticlib -- $flags --print native-static-libs >"$made/log" 2>&1 || {
    cat "$made/log" >&2
    exit 1
}
sed -n 's/.*native-static-libs: //p' "$made/log" | tail -n 1 >"$made/native-static-libs.txt"
[ -s "$made/native-static-libs.txt" ] || {
    echo "build.sh: rustc did not say what a static link needs" >&2
    exit 1
}
cp "$target/$directory/$link" "$made/$shared"
case $(uname) in
Darwin) cp "$target/$directory/libtidegate.a" "$made/" ;;
*)
    # The archive as one object in which only the ABI is global: what it is made of (Rust's library, zstd) can be in the
    # program a second time, in another version.
    ld -r --whole-archive "$target/$directory/libtidegate.a" -o "$made/tidegate.o"
    debug=
    [ "$profile" = dev ] || {
        debug=--strip-debug
        strip --strip-unneeded "$made/$shared"
    }
    # Without the compiler's own intermediate code, of which other tools know other versions.
    objcopy --wildcard --keep-global-symbol='tdg_*' --remove-section=.llvmbc --remove-section=.llvmcmd $debug \
        "$made/tidegate.o"
    ar rcs "$made/libtidegate.a" "$made/tidegate.o"
    ;;
esac

# Puts a file into a directory, in one step for whoever looks.
place() {
    new=$2/.${1##*/}.$$
    if ! { cp "$1" "$new" && mv -f "$new" "$2/${1##*/}"; }; then
        rm -f "$new"
        exit 1
    fi
}

mkdir -p "$out/include" "$out/lib"
place "$root/include/tidegate.h" "$out/include"
place "$root/bindings/cpp/tidegate.hpp" "$out/include"
place "$made/libtidegate.a" "$out/lib"
place "$made/native-static-libs.txt" "$out/lib"
place "$made/$shared" "$out/lib"
ln -sf "$shared" "$out/lib/$link"

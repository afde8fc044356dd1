#!/bin/sh
# Builds the C libraries and lays them out under a directory: include/tidegate.h, lib/libtidegate.a, the shared library
# with its link, and lib/native-static-libs.txt, which names what a static link needs beside the archive.
#
#   bindings/c/build.sh DIRECTORY [PROFILE [FEATURES]]     PROFILE is cargo's, "release" unless said
set -eu

out=$1
profile=${2:-release}
features=${3:-capi}
root=$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)
abi=$(sed -n 's/^#define TDG_ABI //p' "$root/include/tidegate.h")
rm -rf "$out/lib"
mkdir -p "$out/include" "$out/lib"
log=$out/lib/build.log

# On ELF: the ABI's number in the name that programs ask for, and never to be unloaded, since its threads may be there.
case $(uname) in
Darwin)
    shared=libtidegate.$abi.dylib link=libtidegate.dylib built=libtidegate.dylib
    flags="-C link-arg=-Wl,-install_name,@rpath/$shared"
    ;;
*)
    shared=libtidegate.so.$abi link=libtidegate.so built=libtidegate.so
    flags="-C link-arg=-Wl,-soname,$shared -C link-arg=-Wl,-z,nodelete"
    ;;
esac

# shellcheck disable=SC2086 # the flags are words
"${CARGO:-cargo}" rustc --manifest-path "$root/Cargo.toml" --locked --lib --no-default-features --features "$features" \
    --profile "$profile" --crate-type cdylib,staticlib -- $flags --print native-static-libs >"$log" 2>&1 || {
    cat "$log" >&2
    exit 1
}
libs=$(sed -n 's/.*native-static-libs: //p' "$log" | tail -n 1)
[ -z "$libs" ] || echo "$libs" >"$out/lib/native-static-libs.txt"

directory=$profile
[ "$profile" != dev ] || directory=debug
target=${CARGO_TARGET_DIR:-$root/target}/$directory
cp "$root/include/tidegate.h" "$out/include/"
cp "$target/$built" "$out/lib/$shared"
ln -sf "$shared" "$out/lib/$link"
case $(uname) in
Darwin) cp "$target/libtidegate.a" "$out/lib/" ;;
*)
    # The archive as one object in which only the ABI is global: what it is made of (Rust's library, zstd) can be in the
    # program a second time, in another version.
    object=$out/lib/tidegate.o
    ld -r --whole-archive "$target/libtidegate.a" -o "$object"
    debug=
    [ "$profile" = dev ] || {
        debug=--strip-debug
        strip --strip-unneeded "$out/lib/$shared"
    }
    # Without the compiler's own intermediate code, of which other tools know other versions.
    objcopy --wildcard --keep-global-symbol='tdg_*' --remove-section=.llvmbc --remove-section=.llvmcmd $debug "$object"
    rm -f "$out/lib/libtidegate.a"
    ar rcs "$out/lib/libtidegate.a" "$object"
    rm "$object"
    ;;
esac
rm "$log"

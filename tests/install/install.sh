#!/bin/sh
# Installs into a fresh prefix and builds a host program against it, by CMake and by pkg-config. The
# prefix is moved before use: nothing may depend on where it was.
set -eu

work=$ATTN_BUILD/install-test
rm -rf "$work"
cmake --install "$ATTN_BUILD" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/prefix"

cat >"$work/host.c" <<'EOF'
#include <attn.h>

int main(void)
{
    AttnLibrary *library;
    AttnError error;
    return attn_open("no-such-file.so", &library, &error) == ATTN_OK;
}
EOF
cat >"$work/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.25)
project(host C)
find_package(attnc REQUIRED)
foreach(target attn attn_static)
    add_executable(host_${target} host.c)
    target_link_libraries(host_${target} PRIVATE attnc::${target})
endforeach()
file(WRITE ${CMAKE_BINARY_DIR}/paths "${ATTNC_EXECUTABLE}\n${ATTNC_PATTERN_DIR}\n")
EOF

flags=${ATTN_CFLAGS:-}
cmake -G Ninja -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_COMPILER="$CC" \
    -DCMAKE_C_FLAGS="$flags" >/dev/null
cmake --build "$work/build" >/dev/null
"$work/build/host_attn"
"$work/build/host_attn_static"
while read -r path; do test -e "$path"; done <"$work/build/paths"

lib=$(dirname "$(find "$work/prefix" -name libattn.so)")
PKG_CONFIG_PATH=$lib/pkgconfig
export PKG_CONFIG_PATH
"$CC" $flags "$work/host.c" $(pkg-config --cflags --libs attn) -Wl,-rpath,"$lib" -o "$work/host"
"$work/host"

for file in man/man1/attnc.1 man/man1/attnc-run.1 man/man5/attn.5 bash-completion/completions/attnc zsh/site-functions/_attnc \
    fish/vendor_completions.d/attnc.fish; do
    test -s "$work/prefix/share/$file"
done

# The installed command finds its compiler library and the patterns by itself.
unset ATTN_JIT
"$work/prefix/bin/attnc" --version
pattern=$(find "$work/prefix/share/attnc/patterns" -name '*.attn' ! -path '*/std/*' | sort | head -n 1)
"$work/prefix/bin/attnc" compile "$pattern" -o "$work/pattern.so"
"$work/prefix/bin/attnc" list "$work/pattern.so"

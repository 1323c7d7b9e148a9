#!/bin/sh
# Makes the committed objects from libuv.bpf.c. clang 14 gives the same bytes each time; others may not.
set -eu
cd "$(dirname "$0")"
into=${1:-.}
for target in X86_64:x86_64 AARCH64:aarch64; do
	clang-14 -target bpf -O2 -mcpu=v3 -Wall -Wextra -Werror -DTARGET_"${target%:*}" \
		-fdebug-compilation-dir=. -c libuv.bpf.c -o "$into/libuv.bpf.${target#*:}.o"
done

#!/bin/sh
# SPDX-License-Identifier: MIT
# The payload, an ELF file that `hvbus run --kernel` boots. usage: build.sh FILE
set -eu
file=$(realpath -m "$1")
cd "$(dirname "$0")/../../.."
here=tests/kvm/payload
mkdir -p "${file%/*}"
# No vector registers: nobody has turned them on. No red zone: exceptions use its stack.
# shellcheck disable=SC2086
${CC:-gcc} -std=gnu11 -O2 -Wall -Wextra -Werror -I. -static -fno-pic -fno-pie -ffreestanding \
	-nostdlib -fno-stack-protector -mgeneral-regs-only -mno-red-zone -fcf-protection=none \
	-fno-asynchronous-unwind-tables \
	-Wl,-Ttext-segment=0x1000000,--build-id=none,-z,noseparate-code,-z,max-page-size=4096,-z,noexecstack,--no-warn-rwx-segments \
	-o "$file" $here/*.S $here/*.c

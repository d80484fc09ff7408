#!/usr/bin/env bash
# Installs what the tests and the demo need besides Go, gcc, git and make, as far as it is missing. It takes Debian's
# packages, as root; elsewhere it says what to install.
set -euo pipefail

missing=()
need() { # PACKAGE TEST...
	"${@:2}" >/dev/null 2>&1 || missing+=("$1")
}
need buildah command -v buildah # builds the images
need containerd command -v containerd # the older generation of container runtimes
need runc command -v runc
need crun command -v crun
need containernetworking-plugins test -e /usr/lib/cni/bridge
need iproute2 command -v ip
need util-linux command -v nsenter # machines for nodes
need e2fsprogs command -v mkfs.ext4 # a disk that loses power
need libseccomp-dev pkg-config --exists libseccomp # the judge of profiles; runc
need pkg-config command -v pkg-config
if [ "$(go env GOARCH)" != amd64 ]; then # the judge compares x86_64
	need linux-libc-dev-amd64-cross test -e /usr/x86_64-linux-gnu/include/asm/unistd_64.h
fi
if [ "$(go env GOARCH)" != arm64 ]; then # the tables of syscalls are compared with the kernel's headers
	need linux-libc-dev-arm64-cross test -e /usr/aarch64-linux-gnu/include/asm/unistd.h
fi
need linux-libc-dev-armhf-cross test -e /usr/arm-linux-gnueabihf/include/asm/unistd.h
[ ${#missing[@]} -gt 0 ] || exit 0

install="apt-get install --no-install-recommends ${missing[*]}"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "missing: ${missing[*]}; on Debian, as root: $install" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
$install -q -y

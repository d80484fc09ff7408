#!/usr/bin/env bash
# Builds the Dockerfile as it is shipped, for amd64 and arm64, without an engine and without a registry, and checks that
# the programs in the images are reproducible. It needs root, buildah and the Go that runs here, which stands in for the
# image golang.
#
#   build.sh [DIR [ARCH PROGRAM...]]   keeps the images in DIR as OCI archives, PROGRAM-ARCH.tar; builds only these
set -euo pipefail
cd "$(dirname "$0")/../.."
keep=${1:-}
arches=(amd64 arm64) programs=(seccomp-webhook seccomp-controller seccomp-agent seccompctl)
if [ $# -gt 2 ]; then
	arches=("$2") programs=("${@:3}")
fi
# The tag that the manifests ask for.
tag=$(sed -n 's|.*image: seccompgate/seccomp-webhook:||p' manifests/base/webhook/deployment.yaml)

command -v buildah >/dev/null || { echo "buildah is missing; install it: apt-get install buildah" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
storage=(--root "$work/storage" --runroot "$work/run" --storage-driver overlay)
# overlay is many times faster, and does not work everywhere, such as inside some containers.
buildah "${storage[@]}" from scratch >/dev/null 2>&1 ||
	storage=(--root "$work/storage-vfs" --runroot "$work/run-vfs" --storage-driver vfs)

# The image golang: Go, a shell, and what the Dockerfile's commands call, with their libraries.
go=$(buildah "${storage[@]}" from scratch)
root=$(buildah "${storage[@]}" mount "$go")
mkdir -p "$root"/{bin,etc/ssl/certs,tmp,usr/local,root,lib64}
mkdir "$root/usr/local/go"
(cd "$(go env GOROOT)" && cp -a --parents -t "$root/usr/local/go" bin pkg src go.env VERSION)
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
for tool in sh ln mkdir; do
	cp "$(command -v $tool)" "$root/bin/"
	ldd "$(command -v $tool)" | awk '$3 ~ /^\// {print $3} $1 ~ /^\// {print $1}' | while read -r library; do
		mkdir -p "$root$(dirname "$library")"
		cp -n "$library" "$root$library"
	done
done
buildah "${storage[@]}" umount "$go" >/dev/null
buildah "${storage[@]}" config --env PATH=/usr/local/go/bin:/bin --env HOME=/root \
	--env GOPROXY="$(go env GOPROXY)" --env GONOSUMDB="$(go env GONOSUMDB)" --env GOTOOLCHAIN=local \
	--env GOMODCACHE=/cache/mod --env GOCACHE=/cache/build "$go"
# buildah looks for the stage's image under the target's architecture, whatever FROM --platform says.
for arch in "${arches[@]}"; do
	buildah "${storage[@]}" config --arch "$arch" "$go"
	buildah "${storage[@]}" commit -q "$go" "localhost/golang-$arch:1.26" >/dev/null
done
buildah "${storage[@]}" rm "$go" >/dev/null

# One snapshot of the source for the images, and one elsewhere: the same commands must make the same bytes there.
source=$work/source elsewhere=$work/elsewhere
mkdir "$source"
git ls-files -z -co --exclude-standard | xargs -0 cp -a --parents -t "$source"
cp -a "$source" "$elsewhere"

for arch in "${arches[@]}"; do
	for program in "${programs[@]}"; do
		image=localhost/$program:$arch
		buildah "${storage[@]}" build -q --isolation chroot --platform "linux/$arch" --layers=false \
			--build-context "golang:1.26=container-image://localhost/golang-$arch:1.26" --build-arg "PROGRAM=$program" \
			-v "$(go env GOMODCACHE):/cache/mod" -v "$(go env GOCACHE):/cache/build" -t "$image" "$source" >/dev/null
		made=$(buildah "${storage[@]}" from --platform "linux/$arch" "$image")
		root=$(buildah "${storage[@]}" mount "$made")
		in_image=$(sha256sum <"$root/program" | cut -c1-64)
		size=$(stat -c %s "$root/program")
		buildah "${storage[@]}" rm "$made" >/dev/null
		(cd "$elsewhere" && CGO_ENABLED=0 GOOS=linux GOARCH=$arch \
			go build -trimpath -buildvcs=false -ldflags "-s -w -buildid=" -o "$work/program" "./cmd/$program")
		here=$(sha256sum <"$work/program" | cut -c1-64)
		if [ "$in_image" != "$here" ]; then
			echo "$program for $arch is not reproducible: sha256 $in_image in the image, $here elsewhere" >&2
			exit 1
		fi
		user=$(buildah "${storage[@]}" inspect --type image --format '{{.OCIv1.Config.User}}' "$image")
		if [ "$user" != 65532:65532 ]; then
			echo "$program for $arch runs as $user, not as 65532:65532" >&2
			exit 1
		fi
		if [ "$arch" = "$(go env GOARCH)" ]; then
			"$work/program" --help >/dev/null 2>&1 || { echo "$program --help fails" >&2; exit 1; }
		fi
		if [ -n "$keep" ]; then
			mkdir -p "$keep"
			buildah "${storage[@]}" push -q "$image" "oci-archive:$keep/$program-$arch.tar:$tag"
		fi
		printf '%-20s %-6s %4d MiB  sha256 %s\n' "$program" "$arch" $((size >> 20)) "$in_image"
	done
done

#!/usr/bin/env bash
# Makes the images of what runs on the node besides seccompgate, without a registry, as OCI archives NAME.tar in a
# directory. It needs root, buildah, and apt for the packages of nginx.
#
# nginx is Debian 11's, as its C library makes the system calls that the tutorial lists: newer ones ask for the state of
# files with newfstatat where that one calls stat and fstat.
set -euo pipefail
keep=$(realpath "$1")
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for program in pause probe http-echo; do
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$work/$program/$program" "./$program"
done
cp "$work/probe/probe" "$work/http-echo/" # to try there what the profile forbids

# A catalogue of packages of its own, that has nothing installed, from the mirror that this machine uses.
apt=$work/apt root=$work/nginx
mkdir -p "$apt"/{lists,cache}/partial "$apt/packages" "$root"
mirror=$(apt-get indextargets --format '$(REPO_URI) $(COMPONENT) $(LABEL)' 'Created-By: Packages' | awk '$2 == "main" && $3 == "Debian" {print $1; exit}')
[ -n "$mirror" ] || { echo "apt knows no mirror of Debian, which nginx is taken from" >&2; exit 1; }
echo "deb $mirror bullseye main" >"$apt/sources.list"
options=(-q -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$apt/lists"
	-o "Dir::Cache=$apt/cache" -o Dir::State::Status=/dev/null -o APT::Sandbox::User=root -o Acquire::Languages=none)
apt-get "${options[@]}" update >"$work/log" 2>&1 &&
	(cd "$apt/packages" && apt-get "${options[@]}" download nginx-light nginx-common libc6 libcrypt1 libpcre3 libssl1.1 zlib1g) >>"$work/log" 2>&1 ||
	{ cat "$work/log" >&2; exit 1; }
for package in "$apt"/packages/*.deb; do
	dpkg -x "$package" "$apt/root"
done
# Of the packages: the program, the libraries that it names and the one that looks users up, its configuration, its page.
(
	cd "$apt/root"
	cp -a --parents -t "$root" etc/nginx
	ln -sf ../lib/x86_64-linux-gnu/ld-2.31.so lib64/ld-linux-x86-64.so.2 # an absolute link, which would lead out of here
	for file in /usr/sbin/nginx /lib/x86_64-linux-gnu/libnss_files.so.2 $(chroot . /lib64/ld-linux-x86-64.so.2 --list /usr/sbin/nginx | grep -o '/[^ ]*'); do
		mkdir -p "$root$(dirname "$file")"
		cp -L ".$file" "$root$file"
	done
	mkdir -p "$root"/{run,var/{lib,log}/nginx,var/www/html}
	cp usr/share/nginx/html/index.html "$root/var/www/html/"
)
# What the packages' scripts would do.
ln -s ../sites-available/default "$root/etc/nginx/sites-enabled/default"
ln -s /dev/stdout "$root/var/log/nginx/access.log"
ln -s /dev/stderr "$root/var/log/nginx/error.log"
echo 'www-data:x:33:33::/var/www:/usr/sbin/nologin' >"$root/etc/passwd"
echo 'www-data:x:33:' >"$root/etc/group"

storage=(--root "$work/storage" --runroot "$work/run" --storage-driver vfs)
image() { # NAME ENTRYPOINT
	made=$(buildah "${storage[@]}" from scratch)
	buildah "${storage[@]}" copy -q "$made" "$work/$1" / >/dev/null
	buildah "${storage[@]}" config --entrypoint "$2" "$made"
	buildah "${storage[@]}" commit -q "$made" "oci-archive:$keep/$1.tar:1" >/dev/null
}
image pause '["/pause"]'
image probe '["/probe"]'
image http-echo '["/http-echo"]'
image nginx '["/usr/sbin/nginx", "-g", "daemon off;"]'

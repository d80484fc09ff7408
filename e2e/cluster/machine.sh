#!/bin/sh
# A machine for a node, made of namespaces.
#
#   machine.sh start NAME                becomes the parent of the machine's pid 1, with which everything in it ends
#   machine.sh run NAME PID COMMAND...   runs a command in the machine whose pid 1 is PID here
#   machine.sh stop NAME PID             ends the machine whose parent is PID, and removes its cgroups
set -eu

# Prints mount point, type and options of every cgroup hierarchy of this machine.
hierarchies() { awk '$3 ~ /^cgroup2?$/ {print $2, $3, $4}' /proc/self/mounts; }

# Moves this process into the machine's cgroups.
enter() {
	hierarchies | while read -r point _ _; do
		echo $$ >"$point/$1/cgroup.procs"
	done
}

case $1 in
start)
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		echo "machine.sh: this machine has cgroups of version 2 alone, on which a node was not tried; boot it with systemd.unified_cgroup_hierarchy=0" >&2
		exit 1
	fi
	hierarchies | while read -r point _ _; do
		for old in "$point"/node-*; do # what a run that was killed could not remove
			[ -e "/sys/class/net/${old##*/}" ] || find "$old" -depth -type d -exec rmdir {} + 2>/dev/null || true
		done
		mkdir -p "$point/$2"
		for file in cpuset.cpus cpuset.mems; do # those of version 1 begin empty, and then hold no process
			[ ! -e "$point/$2/$file" ] || cat "$point/$file" >"$point/$2/$file"
		done
	done
	enter "$2" # first: a cgroup namespace shows as its root where its maker is
	exec unshare --mount --propagation private --net --pid --fork --kill-child --uts --ipc --cgroup --mount-proc sh "$0" boot "$2"
	;;
boot)
	mount --make-rshared / # the kubelet hands mounts on to containers
	cgroups=$(hierarchies)
	umount -R /sys
	mount -t sysfs sysfs /sys
	mount -t tmpfs tmpfs /sys/fs/cgroup
	echo "$cgroups" | while read -r point type options; do
		mkdir -p "$point"
		mount -t "$type" -o "$options" "$type" "$point"
	done
	for dir in /run /var/lib /var/log; do
		mount -t tmpfs tmpfs "$dir"
	done
	mkdir /run/etc /run/etc-work
	mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/etc-work overlay /etc
	hostname "$2"
	ip link set lo up
	echo 1 >/proc/sys/net/ipv4/ip_forward
	touch /run/booted
	while :; do # reaping what is orphaned
		sleep 1d &
		wait
	done
	;;
run)
	enter "$2"
	pid=$3
	shift 3
	exec nsenter --target "$pid" --all -- "$@"
	;;
stop)
	kill -KILL "$3" 2>/dev/null || true
	hierarchies | while read -r point _ _; do
		[ -d "$point/$2" ] || continue
		while find "$point/$2" -name cgroup.procs -exec cat {} + | grep -q .; do sleep 0.05; done
		find "$point/$2" -depth -type d -exec rmdir {} +
	done
	;;
esac

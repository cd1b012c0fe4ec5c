#!/bin/sh
# Boots Debian's OpenRC in a copy of this machine's root and prints what it did as key=value lines.
# openrc.sh PACKAGES PROGRAM: a folder with the unpacked packages, and the agent. Runs in mount, process and network
# namespaces of its own (unshare -mnp --fork), so nothing that it starts or writes outlives it.
set -eu
packages=$1 program=$2

base=$(mktemp -d)
mount -t tmpfs tmpfs "$base"
mkdir "$base/upper" "$base/work" "$base/root"
root=$base/root
cp -a "$packages/." "$base/upper/"
cp "$program" "$base/upper/holdfastd"
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" "$root"
# The services of this machine are not ours to start: only those of the packages are left.
mount -t tmpfs tmpfs "$root/etc/init.d"
cp -a "$packages/etc/init.d/." "$root/etc/init.d/"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/dev"
mount -t tmpfs tmpfs "$root/var/lib"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/urandom" c 1 9
# What `openrc sysinit` leaves, without the hardware that it would look for.
for folder in starting started stopping inactive wasinactive failed hotplugged daemons options exclusive scheduled tmp; do
  mkdir -p "$root/run/openrc/$folder"
done
echo sysinit >"$root/run/openrc/softlevel"

inside() { chroot "$root" "$@"; }
pid_of() { pgrep -f -o "^(/bin/sh )?$1" || true; }
# Waits until COMMAND succeeds.
await() { # SECONDS COMMAND
  rest=$(($1 * 10))
  shift
  until "$@"; do
    rest=$((rest - 1))
    [ "$rest" -gt 0 ] || return 1
    sleep 0.1
  done
}
is_new() { # COMMAND-LINE OLD-PID
  now=$(pid_of "$1")
  [ -n "$now" ] && [ "$now" != "$2" ]
}
beats_anew() { [ "$(cat "$root/run/holdfast/guard.alive")" -gt "$1" ]; }
agent=/usr/bin/holdfastd
guard=/usr/lib/holdfast/holdfast-guard

next=$(inside /holdfastd install --root / --init openrc 2>&1 | sed -n 's/^next: //p')
echo "next=$next"
inside sh -c "$next" >/dev/null
inside openrc boot >/dev/null 2>&1 || true
echo "boot=$(inside rc-service holdfast-boot status >/dev/null 2>&1 && echo started)"
echo "restored=$(sed -n 's/^by=//p' "$root/run/holdfast/restore.result")"
echo "agent_before_default=$(pid_of $agent)"
inside openrc default >/dev/null 2>&1 || true
await 20 test -S "$root/run/holdfast/holdfastd.sock"
await 20 test -e "$root/run/holdfast/guard.alive"
first_agent=$(pid_of $agent) first_guard=$(pid_of $guard)
echo "agent=${first_agent:+started}"
echo "guard=${first_guard:+started}"
kill -KILL "$first_agent" "$first_guard"
beat=$(cat "$root/run/holdfast/guard.alive")
echo "agent_again=$(await 20 is_new $agent "$first_agent" && echo started)"
echo "guard_again=$(await 20 is_new $guard "$first_guard" && echo started)"
echo "guard_beats=$(await 20 beats_anew "$beat" && echo yes)"
inside rc-service holdfastd stop >/dev/null 2>&1
echo "agent_stopped=$(await 20 test -z "$(pid_of $agent)" && echo yes)"
echo "guard_without_agent=$(pid_of $guard | grep -q . && echo started)"

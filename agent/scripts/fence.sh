# shellcheck shell=sh
# Under every script: time limits, files of key=value lines, the writer lock and its fence.
# Sourced, never run. POSIX sh; held under dash and busybox ash. Functions answer in hf_* variables where a
# subshell would cost a fork. Nothing here prints a key.

LC_ALL=C
export LC_ALL
umask 077
set -f # no globbing of artifact text; switched on only around /proc scans

HF_ALIAS=holdfast # ifalias of every link that we created
HF_PROTOCOL=172   # rtnetlink protocol of every route and rule that we added (schemas/desired.ts OWN_PROTOCOL)
HF_LIMIT=${HF_LIMIT:-20} # seconds that one external command may take

hf_log() {
  printf '%s: %s\n' "${HF_NAME:-holdfast}" "$*" >&2
}

# Runs a command under a time limit. SIGKILL at once: nothing that we call needs a farewell. Descriptor 8 is the guard's
# watchdog: the watcher that the `timeout` of busybox leaves behind for a second must not keep it open.
hf_limit() {
  timeout -s KILL "$HF_LIMIT" "$@" 8>&-
}

# The same for a command that only reads. It needs no writer lock, and the watcher that the `timeout` of busybox
# leaves behind for a second must not hold it.
hf_ask() {
  hf_limit "$@" 9>&-
}

# A userspace device that hangs must not take the time of everything else.
hf_wg() {
  timeout -s KILL 3 wg "$@"
}

# hf_now: milliseconds of CLOCK_BOOTTIME. /proc/uptime counts suspend and ignores the wall clock.
hf_clock() {
  read -r hf_up hf_rest </proc/uptime || return 1
  hf_fraction=${hf_up#*.}
  hf_now=$((${hf_up%%.*} * 1000 + (1$hf_fraction - 100) * 10))
}

hf_is_number() {
  case $1 in '' | *[!0-9]* | ????????????????*) return 1 ;; esac
}

hf_is_digest() {
  case $1 in *[!0-9a-f]*) return 1 ;; esac
  [ ${#1} -eq 64 ]
}

# hf_value of KEY in a file of key=value lines; fails when the file or the key is absent.
hf_get() {
  hf_value=
  [ -r "$1" ] || return 1
  while IFS= read -r hf_line || [ -n "$hf_line" ]; do
    case $hf_line in
      "$2="*)
        hf_value=${hf_line#*=}
        return 0
        ;;
    esac
  done <"$1"
  return 1
}

# Replaces a file by one rename, so that readers see the old or the new text. Not durable: for the run folder.
hf_put() {
  printf '%s\n' "$2" >"$1.$$" && hf_limit mv -f "$1.$$" "$1"
}

# Makes files and folders durable. A sync without file arguments (small busybox) syncs everything: also right.
hf_sync() {
  hf_limit sync "$@" 2>/dev/null || hf_limit sync
}

# ---- the writer lock ----
# Whoever has the lock file open as descriptor 9 is a writer or the child of one. A writer leads its own session.

# hf_holders: pids other than ours that have the lock open; with $2, only those of that session.
hf_find_holders() {
  hf_holders=
  set +f
  for hf_fd in /proc/[0-9]*/fd/9; do
    [ "$hf_fd" -ef "$1/writer.lock" ] || continue
    hf_pid=${hf_fd#/proc/}
    hf_pid=${hf_pid%%/*}
    [ "$hf_pid" != "$$" ] || continue
    if [ -n "${2:-}" ]; then
      { read -r hf_stat <"/proc/$hf_pid/stat"; } 2>/dev/null || continue
      hf_stat=${hf_stat##*) } # after the command name: state, parent, group, session
      hf_stat=${hf_stat#* * * }
      [ "${hf_stat%% *}" = "$2" ] || continue
    fi
    hf_holders="$hf_holders $hf_pid"
  done
  set -f
}

# Kills the session that writer.pid names, if it really holds the lock (a recycled pid does not).
hf_kill_writer() {
  hf_writer=
  { read -r hf_writer <"$1/writer.pid"; } 2>/dev/null
  hf_is_number "$hf_writer" && [ "$hf_writer" -gt 1 ] || return 0
  hf_find_holders "$1" "$hf_writer"
  for hf_pid in $hf_holders; do kill -KILL "$hf_pid" 2>/dev/null; done
}

# Takes the writer lock on descriptor 9, killing a running writer. A running restore is let finish for ten
# seconds (it is idempotent and newer state comes after it), then it is killed too.
hf_fence() {
  exec 9>>"$1/writer.lock"
  hf_tries=0
  until flock -n 9; do
    hf_tries=$((hf_tries + 1))
    if [ "$hf_tries" -gt 20 ]; then
      hf_log "the writer lock stays taken"
      return 1
    fi
    if [ "$hf_tries" -le 10 ]; then
      hf_kill_writer "$1"
    else
      hf_find_holders "$1"
      for hf_pid in $hf_holders; do kill -KILL "$hf_pid" 2>/dev/null; done
    fi
    timeout -s KILL 1 flock 9 2>/dev/null && break
  done
  printf '%s\n' - >"$1/writer.pid"
  printf '%s\n' "$2" >"$1/writer.owner" # read under the lock only; a torn one is nobody's
}

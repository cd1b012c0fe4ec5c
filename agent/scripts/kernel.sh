# shellcheck shell=sh
# Single acts on the kernel, shared by holdfast-step and holdfast-restore. Sourced after fence.sh.

# ---- sysctls; STATE/sysctl.saved keeps what was there before we first touched a key ----

# hf_path of a key. As sysctl(8): dots and slashes change places, so net.ipv4.conf.eth0/100.rp_filter is legal.
hf_find_sysctl() {
  case $1 in '' | *..* | *//* | /* | *[!0-9A-Za-z._/@:-]*) return 1 ;; esac
  hf_path=/proc/sys
  hf_tail=$1.
  while [ -n "$hf_tail" ]; do
    hf_part=${hf_tail%%.*}
    hf_tail=${hf_tail#*.}
    while :; do
      case $hf_part in */*) hf_part=${hf_part%%/*}.${hf_part#*/} ;; *) break ;; esac
    done
    hf_path=$hf_path/$hf_part
  done
  [ -f "$hf_path" ]
}

# hf_value: the words of a file under /proc/sys, single spaces.
hf_read_words() {
  hf_words=$(hf_ask cat "$1" 2>/dev/null) || return 1
  # shellcheck disable=SC2086 # splitting is the point
  set -- $hf_words
  hf_value=$*
}

hf_set_sysctl() { # STATE KEY VALUE
  hf_find_sysctl "$2" && hf_read_words "$hf_path" || return 1
  [ "$hf_value" != "$3" ] || return 0
  hf_old=$hf_value
  if ! hf_saved_sysctl "$1" "$2"; then
    { [ ! -e "$1/sysctl.saved" ] || hf_limit cat "$1/sysctl.saved"; printf '%s %s\n' "$2" "$hf_old"; } \
      >"$1/sysctl.saved.new" && hf_sync "$1/sysctl.saved.new" &&
      hf_limit mv -f "$1/sysctl.saved.new" "$1/sysctl.saved" && hf_sync "$1" || return 1
  fi
  printf '%s\n' "$3" >"$hf_path"
}

# hf_value: the saved original of KEY.
hf_saved_sysctl() { # STATE KEY
  [ -r "$1/sysctl.saved" ] || return 1
  while read -r hf_key hf_value; do
    [ "$hf_key" != "$2" ] || return 0
  done <"$1/sysctl.saved"
  return 1
}

# Puts the original back and forgets it.
hf_unset_sysctl() { # STATE KEY
  hf_saved_sysctl "$1" "$2" || return 0
  if hf_find_sysctl "$2"; then printf '%s\n' "$hf_value" >"$hf_path" || return 1; fi
  awk -v key="$2" '$1 != key' "$1/sysctl.saved" >"$1/sysctl.saved.new" && hf_sync "$1/sysctl.saved.new" &&
    hf_limit mv -f "$1/sysctl.saved.new" "$1/sysctl.saved" && hf_sync "$1"
}

# ---- what we added since boot and the kernel cannot mark: RUN/added, lines "link NAME", "address IFACE CIDR" ----

# Notes before the act, so that a crash in between leaves too much and not too little. hf_new: the note is new.
hf_note_added() { # RUN WORDS
  hf_new=
  if [ -r "$1/added" ]; then
    while IFS= read -r hf_line; do [ "$hf_line" != "$2" ] || return 0; done <"$1/added"
  fi
  hf_new=yes
  printf '%s\n' "$2" >>"$1/added"
}

hf_forget_added() { # RUN WORDS
  [ -r "$1/added" ] || return 0
  awk -v words="$2" '$0 != words' "$1/added" >"$1/added.new" && hf_limit mv -f "$1/added.new" "$1/added"
}

# ---- links ----

# The userspace back-end must outlive its starter: own session, so that a fence does not kill it, and without
# descriptor 9, so that it does not hold the writer lock for ever. A socket without a link is a leftover, and would
# make it refuse to start. The starter returns before its daemon has opened the device and set the MTU of its own
# liking; only an answer on the socket says that this is behind it.
hf_start_userspace() {
  hf_limit rm -f "/run/wireguard/$1.sock" "/var/run/wireguard/$1.sock"
  hf_limit setsid env -u LOG_LEVEL wireguard-go "$1" </dev/null >/dev/null 2>&1 9>&- || return 1
  hf_wg show "$1" >/dev/null 2>&1
}

# Ends the userspace process of a device in this network namespace: a hanging one keeps the port.
hf_kill_userspace() {
  set +f
  for hf_file in /proc/[0-9]*/cmdline; do
    [ "${hf_file%/*}/ns/net" -ef /proc/self/ns/net ] || continue
    case $(tr '\0' ' ' <"$hf_file" 2>/dev/null) in
      "wireguard-go $1 " | */"wireguard-go $1 ")
        hf_pid=${hf_file#/proc/}
        kill -KILL "${hf_pid%%/*}" 2>/dev/null
        ;;
    esac
  done
  set -f
}

hf_add_link() { # RUN BACKEND NAME MTU
  if hf_ask ip link show dev "$3" >/dev/null 2>&1; then
    hf_log "$3 exists already"
    return 1
  fi
  hf_note_added "$1" "link $3" || return 1
  case $2 in
    kernel) hf_limit ip link add dev "$3" type wireguard ;;
    userspace) hf_start_userspace "$3" ;;
    *) hf_limit ip link add dev "$3" type wireguard 2>/dev/null || hf_start_userspace "$3" ;;
  esac || return 1
  hf_limit ip link set dev "$3" alias "$HF_ALIAS" mtu "$4"
}

# hf_key_file: the private key of a public key, from the first intact copy. An empty or missing file must never
# reach `wg set` (it removes the key), nor one that belongs to another public key.
hf_find_key() { # STATE PUBLIC
  hf_tail=${2%=} hf_name=
  while :; do
    hf_part=${hf_tail%%[+/]*}
    hf_name=$hf_name$hf_part
    hf_tail=${hf_tail#"$hf_part"}
    case $hf_tail in +*) hf_name=$hf_name- ;; /*) hf_name=${hf_name}_ ;; *) break ;; esac
    hf_tail=${hf_tail#?}
  done
  for hf_key_file in "$1/keys/wg/$hf_name" "$1/keys/wg2/$hf_name"; do
    [ -r "$hf_key_file" ] || continue
    hf_size=$(hf_ask wc -c <"$hf_key_file") || continue
    [ $((hf_size)) -eq 45 ] || continue
    [ "$(hf_wg pubkey <"$hf_key_file" 2>/dev/null)" = "$2" ] && return 0
  done
  hf_key_file=
  return 1
}

# ---- addresses ----

hf_add_address() { # RUN IFACE CIDR
  hf_note_added "$1" "address $2 $3" || return 1
  case $3 in
    *:*) hf_limit ip addr add "$3" dev "$2" nodad ;;
    *) hf_limit ip addr add "$3" dev "$2" ;;
  esac
  hf_status=$?
  # One that was there before us is not ours to take away again.
  if [ "$hf_status" -ne 0 ] && [ -n "$hf_new" ]; then hf_forget_added "$1" "address $2 $3"; fi
  return "$hf_status"
}

# Without promote_secondaries the kernel drops every later address of the same subnet together with the first.
hf_remove_address() { # RUN IFACE CIDR
  hf_promote=/proc/sys/net/ipv4/conf/$2/promote_secondaries
  hf_before=
  { read -r hf_before <"$hf_promote"; } 2>/dev/null
  if [ "$hf_before" = 0 ]; then printf '1\n' >"$hf_promote"; fi
  hf_limit ip addr del "$3" dev "$2"
  hf_status=$?
  if [ "$hf_before" = 0 ]; then printf '0\n' >"$hf_promote"; fi
  [ "$hf_status" -eq 0 ] && hf_forget_added "$1" "address $2 $3"
}

# ---- nftables ----

# The 32-bit value of an epoch number, as the ruleset wants it.
hf_epoch_word() {
  printf '0x%04x0000' "$1"
}

hf_load_nft() { # FILE EPOCH-WORD
  hf_limit nft -D "HF_EPOCH=$2" -f "$1"
}

# Prints what the live table must look like after FILE was loaded, by loading it into an empty namespace.
hf_scratch_listing() { # FILE EPOCH-WORD [RESCUE-PORT]
  # shellcheck disable=SC2016 # expanded by the inner shell
  hf_ask unshare -n sh -c 'nft -D "HF_EPOCH=$2" -D "HF_RESCUE_PORT=$3" -f "$1" && exec nft -s list table inet holdfast' \
    sh "$1" "$2" "${3:-51819}"
}

hf_live_listing() {
  hf_ask nft -s list table inet holdfast 2>/dev/null || :
}

# True when two listings show the same table. The kernel lists objects, and some elements, in the order in which
# they were made: those are facts without an order, while the rules of a chain keep their places. The facts are
# those of agent/core/nft-listing.ts.
hf_same_listing() { # A B
  cmp -s "$1" "$2" || awk '
    function fact(text) { count[text] += (FILENAME == ARGV[1]) ? 1 : -1 }
    FNR == 1 { object = ""; inside = 0 }
    { text = $0; gsub(/^[ \t]+|[ \t]+$/, "", text) }
    /^\t[a-z]/ && text ~ /\{$/ { object = substr(text, 1, length(text) - 1); sub(/ +$/, "", object); place = 0; fact(object); next }
    object == "" || text == "" { next }
    text == "}" { object = ""; next }
    inside || text ~ /^elements = \{/ {
      inside = text !~ / \}$/
      sub(/^elements = \{ /, "", text); sub(/ \}$/, "", text); sub(/,$/, "", text)
      n = split(text, element, ", ")
      for (i = 1; i <= n; i++) fact(object "\t=\t" element[i])
      next
    }
    { fact(object "\t" place++ "\t" text) }
    END { for (text in count) if (count[text] != 0) exit 1 }
  ' "$1" "$2"
}

# Statements that take objects out of the live table that the new text does not have, or has with another type,
# hook or priority. A chain of the same hook stays: deleting a base chain loses packets.
hf_nft_prelude() { # LIVE-LISTING NEW-LISTING
  awk '
    /^\t[a-z]/ && $NF == "{" {
      kind = $1; name = $2; open = kind " " name
      if (FNR == NR) { live[open] = 1; order[++n] = open } else wanted[open] = 1
      next
    }
    /^\t}/ { open = ""; next }
    open != "" && /^\t\t[a-z]/ && ($1 == "type" || $1 == "typeof" || $1 == "flags" || $1 == "size" || $1 == "timeout") {
      if (open ~ /^chain / && $3 != "hook") next
      line = $0; sub(/; policy .*/, "", line)
      if (FNR == NR) liveHead[open] = liveHead[open] line; else newHead[open] = newHead[open] line
    }
    END {
      for (i = 1; i <= n; i++) { o = order[i]; if (!(o in wanted) || liveHead[o] != newHead[o]) { drop[o] = 1; any = 1 } }
      if (!any) exit
      print "flush table inet holdfast"
      for (i = 1; i <= n; i++) { o = order[i]; if (o ~ /^(set|map) /) print "flush " kindOf(o) " inet holdfast " nameOf(o) }
      for (i = 1; i <= n; i++) { o = order[i]; if (o in drop && o ~ /^(set|map) /) print "delete " kindOf(o) " inet holdfast " nameOf(o) }
      for (i = 1; i <= n; i++) { o = order[i]; if (o in drop && o !~ /^(set|map) /) print "delete " kindOf(o) " inet holdfast " nameOf(o) }
    }
    function kindOf(o) { return substr(o, 1, index(o, " ") - 1) }
    function nameOf(o) { return substr(o, index(o, " ") + 1) }
  ' "$1" "$2"
}

# Loads a whole ruleset in one transaction from whatever is there. WORK is a folder of ours in the run folder: its file
# live lists the table as it is, expected lists what FILE makes of it.
hf_load_full() { # WORK FILE EPOCH-WORD
  : >"$1/prelude"
  if [ -s "$1/live" ]; then hf_nft_prelude "$1/live" "$1/expected" >"$1/prelude" || return 1; fi
  if [ -s "$1/prelude" ]; then
    hf_limit cat "$1/prelude" "$2" >"$1/full" && hf_load_nft "$1/full" "$3"
  else
    hf_load_nft "$2" "$3"
  fi
}

# shellcheck shell=sh
# What is different between the artifacts in WORK and the kernel, as lines. An empty plan is the proof that the
# kernel equals the artifacts; the same functions plan the restore and read it back. Sourced after fence.sh.
# awk here is POSIX: held under mawk and busybox awk.

# Live facts that several plans need, read once per pass into WORK.
hf_read_kernel() { # WORK
  hf_limit ip -o link show >"$1/live.links" &&
    hf_limit ip -o addr show >"$1/live.addresses" || return 1
  # A kernel without one family has no routes or rules of it.
  {
    hf_limit ip -4 -N route show table all proto "$HF_PROTOCOL" | sed 's/^/4 /'
    hf_limit ip -6 -N route show table all proto "$HF_PROTOCOL" 2>/dev/null | sed 's/^/6 /'
  } | awk '
    # family to via|- iface table metric
    {
      to = $2; via = "-"; dev = "-"; table = 254; metric = 0
      if (to == "unicast") { to = $3 }
      if (to == "default") to = ($1 == 4) ? "0.0.0.0/0" : "::/0"
      else if (index(to, "/") == 0) to = to (($1 == 4) ? "/32" : "/128")
      for (i = 3; i < NF; i++) {
        if ($i == "via") via = $(i + 1)
        if ($i == "dev") dev = $(i + 1)
        if ($i == "table") table = $(i + 1)
        if ($i == "metric") metric = $(i + 1)
      }
      if ($1 == 6 && metric == 1024) metric = 0 # what the kernel makes of 0
      print $1, to, via, dev, table, metric
    }' >"$1/live.routes"
  {
    hf_limit ip -4 -N rule show | sed 's/^/4 /'
    hf_limit ip -6 -N rule show 2>/dev/null | sed 's/^/6 /'
  } | awk -v proto="$HF_PROTOCOL" '
    # family priority from|- fwmark/mask|- table
    function hex(word) { sub(/^0x0*/, "", word); return "0x" (word == "" ? "0" : tolower(word)) }
    {
      sub(/:$/, "", $2); from = "-"; mark = "-"; table = "-"; mine = 0
      for (i = 3; i < NF; i++) {
        if ($i == "from" && $(i + 1) != "all") from = $(i + 1)
        if ($i == "lookup") table = $(i + 1)
        if ($i == "proto" && $(i + 1) == proto) mine = 1
        if ($i == "fwmark") {
          split($(i + 1), part, "/")
          mark = hex(part[1]) "/" (part[2] == "" ? "0xffffffff" : hex(part[2]))
        }
      }
      if (from != "-" && index(from, "/") == 0) from = from (($1 == 4) ? "/32" : "/128")
      if (mine) print $1, $2, from, mark, table
    }' >"$1/live.rules"
}

# Lines of the second file that are not in the first.
hf_minus() {
  awk 'FNR == NR && FILENAME == ARGV[1] { have[$0] = 1; next } !($0 in have)' "$1" "$2"
}

# ---- sysctls: "set KEY VALUE", "unset KEY" ----
hf_plan_sysctls() { # WORK STATE
  while read -r hf_key hf_wanted; do
    if hf_find_sysctl "$hf_key" && hf_read_words "$hf_path"; then
      [ "$hf_value" = "$hf_wanted" ] || printf 'set %s %s\n' "$hf_key" "$hf_wanted"
    else
      printf 'set %s %s\n' "$hf_key" "$hf_wanted"
    fi
  done <"$1/sysctls"
  [ -z "${hf_only_rescue:-}" ] || return 0
  if [ -r "$2/sysctl.saved" ]; then
    awk 'FILENAME == ARGV[1] { keep[$1] = 1; next } !($1 in keep) { print "unset", $1 }' "$1/sysctls" "$2/sysctl.saved"
  fi
}

# ---- links: "add NAME MTU", "mtu NAME MTU", "up NAME" ----
hf_plan_links() { # WORK
  awk '
    FILENAME == ARGV[1] {
      name = $2; sub(/:$/, "", name); sub(/@.*/, "", name)
      flags = $3; gsub(/[<>]/, ",", flags)
      here[name] = 1; up[name] = index(flags, ",UP,") > 0
      for (i = 4; i < NF; i++) if ($i == "mtu") mtu[name] = $(i + 1)
      next
    }
    !($1 in here) { print "add", $1, $4; print "up", $1; next }
    { if (mtu[$1] != $4) print "mtu", $1, $4; if (!up[$1]) print "up", $1 }
  ' "$1/live.links" "$1/links"
}

# Links of ours that the artifacts do not have: created by us, known by their alias or by RUN/added.
hf_plan_surplus_links() { # WORK RUN
  if [ -r "$2/added" ]; then hf_added=$2/added; else hf_added=/dev/null; fi
  awk -v alias="$HF_ALIAS" -v added="$hf_added" '
    BEGIN { while ((getline line < added) > 0) { split(line, w, " "); if (w[1] == "link") ours[w[2]] = 1 } }
    FILENAME == ARGV[1] { keep[$1] = 1; next }
    {
      name = $2; sub(/:$/, "", name); sub(/@.*/, "", name)
      mine = (name in ours)
      for (i = 4; i < NF; i++) if ($i == "alias" && $(i + 1) == alias) mine = 1
      if (mine && !(name in keep)) print name
    }' "$1/links" "$1/live.links"
}

# ---- one device: words for `wg set IFACE`, "broken" when it does not answer ----
hf_plan_device() { # WORK NAME PORT MARK PUBLIC
  hf_wg show "$2" dump 2>/dev/null | awk -v port="$3" -v mark="$4" -v public="$5" '
    function number(word,   n, i, digits) {
      if (word == "off") return 0
      if (word !~ /^0x/) return word + 0
      digits = "0123456789abcdef"; word = tolower(substr(word, 3)); n = 0
      for (i = 1; i <= length(word); i++) n = n * 16 + index(digits, substr(word, i, 1)) - 1
      return n
    }
    NR == 1 {
      seen = 1
      if ($2 != public) print "private-key"
      if ($3 != port) print "listen-port", port
      if (number($4) != number(mark)) print "fwmark", (number(mark) == 0 ? "0" : mark)
    }
    END { if (!seen) print "broken" }'
}

# ---- peers of one device: lines of arguments for `wg set IFACE`, forty peers each; "! WHY" for what cannot be ----
hf_plan_peers() { # WORK STATE NAME
  hf_wg show "$3" dump 2>/dev/null | awk -v iface="$3" -v wanted="$1/peers" -v folder="$2/keys/psk" '
    function same(a, b,   x, y, i, n, m, set) {
      if (a == b) return 1
      n = split(a, x, ","); m = split(b, y, ",")
      if (n != m) return 0
      for (i = 1; i <= n; i++) set[x[i]] = 1
      for (i = 1; i <= m; i++) if (!(y[i] in set)) return 0
      return 1
    }
    function emit(words) {
      batch = batch " " words
      if (++held == 40) { print substr(batch, 2); batch = ""; held = 0 }
    }
    function secret(name,   line) {
      line = ""
      if ((getline line < (folder "/" name)) <= 0) line = ""
      close(folder "/" name)
      return line
    }
    BEGIN {
      while ((getline line < wanted) > 0) {
        split(line, w, " ")
        if (w[1] != iface) continue
        order[++n] = w[2]; psk[w[2]] = w[3]; alive[w[2]] = w[4]; ips[w[2]] = (w[5] == "-") ? "" : w[5]
      }
    }
    NR == 1 { seen = 1; next }
    { live[$1] = 1; livePsk[$1] = $2; liveIps[$1] = ($4 == "(none)") ? "" : $4; liveAlive[$1] = ($8 == "off") ? 0 : $8 }
    END {
      if (!seen) { print "! " iface " does not answer"; exit }
      for (p in live) if (!(p in psk)) emit("peer " p " remove")
      for (i = 1; i <= n; i++) {
        p = order[i]; words = ""
        if (psk[p] == "-") {
          if ((p in live) && livePsk[p] != "(none)") words = words " preshared-key /dev/null"
        } else {
          key = secret(psk[p])
          if (length(key) != 44) { print "! preshared key " psk[p] " is missing"; continue }
          if (livePsk[p] != key) words = words " preshared-key " folder "/" psk[p]
        }
        if (alive[p] != (p in live ? liveAlive[p] : 0)) words = words " persistent-keepalive " alive[p]
        if (p in live) {
          if (!same(ips[p], liveIps[p])) words = words " allowed-ips " (ips[p] == "" ? "@none" : ips[p])
        } else if (ips[p] != "") words = words " allowed-ips " ips[p]
        if (!(p in live) || words != "") emit("peer " p words)
      }
      if (held) print substr(batch, 2)
    }'
}

# ---- addresses: "add IFACE CIDR", "remove IFACE CIDR" ----
# On devices of the artifacts every other address is surplus; on foreign interfaces only what we added ourselves.
hf_plan_addresses() { # WORK RUN
  if [ -r "$2/added" ]; then hf_added=$2/added; else hf_added=/dev/null; fi
  awk -v added="$hf_added" -v rescue="${hf_only_rescue:-}" '
    BEGIN { while ((getline line < added) > 0) { split(line, w, " "); if (w[1] == "address") mine[w[2] " " w[3]] = 1 } }
    FILENAME == ARGV[1] { ours[$1] = 1; next }
    FILENAME == ARGV[2] { wanted[$0] = 1; order[++n] = $0; next }
    $3 ~ /^inet/ {
      if ($3 == "inet6" && $0 ~ / scope link /) next
      one = $2 " " $4; live[one] = 1
      if (rescue == "" && !(one in wanted) && (($2 in ours) || (one in mine))) print "remove", one
    }
    END { for (i = 1; i <= n; i++) if (!(order[i] in live)) print "add", order[i] }
  ' "$1/links" "$1/addresses" "$1/live.addresses"
}

# shellcheck shell=sh
# What is different between the artifacts in WORK and the kernel. An empty plan is the proof that the kernel equals
# the artifacts; the same functions plan the restore and read it back. Sourced after fence.sh and kernel.sh.
#
# A router forks slowly, so each kind costs one reading of the kernel and one awk, however much there is of it.
# An awk leaves its plan in files of WORK, ready for `ip -batch` or a loop of sh, and a verdict:
#   bad WHAT   differs      absent   cannot be there before its interface is      end   the last line
# A verdict without its end is no proof, and what could not be read leaves an empty plan: nothing is done for want of
# knowledge. awk here is POSIX: held under mawk, gawk and busybox awk.

# ---- network: links, addresses, routes and rules ----
# plan.links         "add NAME MTU", "mtu NAME MTU", "up NAME", "remove NAME"
# plan.addresses     "add IFACE CIDR", "remove IFACE CIDR"
# plan.add4, .add6, plan.drop4, .drop6   lines for `ip -4|-6 -batch`

# One family as `ip` shows it. A kernel without the family, or without rules, has none of it to show; links and
# addresses it must show.
hf_read_family() { # 4|6
  hf_ask ip "-$1" -o -N -force -batch - <<'ALL' || hf_ask ip "-$1" -o -batch - >/dev/null <<'NEEDED'
link show
addr show
route show table all proto 172
rule show
ALL
link show
addr show
NEEDED
}

# On devices of the artifacts every other address is surplus; on foreign interfaces only what we added ourselves.
# Surplus links are ours by their alias or by RUN/added.
hf_plan_network() { # WORK RUN
  for hf_plan in links addresses add4 add6 drop4 drop6; do : >"$1/plan.$hf_plan"; done
  hf_read_family 4 >"$1/live.4" && hf_read_family 6 >"$1/live.6" || return 1
  if [ -r "$2/added" ]; then hf_added=$2/added; else hf_added=/dev/null; fi
  awk -v work="$1" -v added="$hf_added" -v alias="$HF_ALIAS" -v proto="$HF_PROTOCOL" -v rescue="${hf_only_rescue:-}" '
    function hex(word) { sub(/^0x0*/, "", word); return "0x" (word == "" ? "0" : tolower(word)) }
    function whole(prefix) { return index(prefix, "/") ? prefix : (prefix (family == 4 ? "/32" : "/128")) }
    function live_link(   name, flags, i) {
      name = $2; sub(/:$/, "", name); sub(/@.*/, "", name)
      flags = $3; gsub(/[<>]/, ",", flags)
      here[name] = 1; up[name] = index(flags, ",UP,") > 0
      for (i = 4; i < NF; i++) {
        if ($i == "mtu") mtu[name] = $(i + 1)
        if ($i == "alias" && $(i + 1) == alias) made[name] = 1
      }
    }
    # family priority from|- fwmark/mask|- table, as in the artifact
    function live_rule(   from, mark, table, mine, i, part) {
      sub(/:$/, "", $1); from = "-"; mark = "-"; table = "-"; mine = 0
      for (i = 2; i < NF; i++) {
        if ($i == "from" && $(i + 1) != "all") from = whole($(i + 1))
        if ($i == "lookup") table = $(i + 1)
        if ($i == "proto" && $(i + 1) == proto) mine = 1
        if ($i == "fwmark") {
          split($(i + 1), part, "/")
          mark = hex(part[1]) "/" (part[2] == "" ? "0xffffffff" : hex(part[2]))
        }
      }
      if (mine) liveRule[family " " $1 " " from " " mark " " table] = 1
    }
    # family to via|- iface table metric, as in the artifact
    function live_route(   dest, via, dev, table, metric, i) {
      dest = $1; via = "-"; dev = "-"; table = 254; metric = 0
      if (dest == "unicast") dest = $2
      if (dest == "default") dest = (family == 4) ? "0.0.0.0/0" : "::/0"
      for (i = 2; i < NF && $i != "nexthop"; i++) {
        if ($i == "via") via = $(i + 1)
        if ($i == "dev") dev = $(i + 1)
        if ($i == "table") table = $(i + 1)
        if ($i == "metric") metric = $(i + 1)
      }
      if (family == 6 && metric == 1024) metric = 0 # what the kernel makes of 0
      liveRoute[family " " whole(dest) " " via " " dev " " table " " metric] = 1
    }
    function opt(name, value, none) { return (value == none) ? "" : (" " name " " value) }
    function link(words) { print words > (work "/plan.links") }
    function address(words) { print words > (work "/plan.addresses") }
    function route(file, act, line,   f, words) {
      split(line, f, " ")
      # Deleting without a metric would take the route with the lowest one.
      if (act == "del" && f[1] == 6 && f[6] == 0) f[6] = 1024
      words = "route " act " " f[2] opt("via", f[3], "-") opt("dev", f[4], "-")
      print words " table " f[5] " proto " proto opt("metric", f[6], 0) > (work "/plan." file f[1])
    }
    function rule(file, act, line,   f, words) {
      split(line, f, " ")
      words = "rule " act " priority " f[2] opt("from", f[3], "-") opt("fwmark", f[4], "-")
      print words " lookup " f[5] " protocol " proto > (work "/plan." file f[1])
    }
    # Not as it should be, or waiting for its interface.
    function judge(dev) { if (up[dev]) bad["network"] = 1; else absent = 1 }
    BEGIN {
      while ((getline line < added) > 0) {
        split(line, w, " ")
        if (w[1] == "link") made[w[2]] = 1
        if (w[1] == "address") mine[w[2] " " w[3]] = 1
      }
    }
    FNR == 1 { file = FILENAME; sub(/.*\//, "", file); family = substr(file, 6) }
    file == "links" { links[++nl] = $1; ours[$1] = 1; wantedMtu[$1] = $4; next }
    file == "addresses" { addresses[++na] = $0; wanted["address " $0] = 1; next }
    file == "routes" { routes[++nr] = $0; wanted["route " $0] = 1; next }
    file == "rules" { rules[++nu] = $0; wanted["rule " $0] = 1; next }
    $1 ~ /^[0-9]+:$/ && $3 ~ /^</ { live_link(); next }
    $1 ~ /^[0-9]+:$/ && $3 ~ /^inet6?$/ { if ($3 != "inet6" || $0 !~ / scope (link|253) /) liveAddress[$2 " " $4] = 1; next }
    $1 ~ /^[0-9]+:$/ { live_rule(); next }
    NF > 0 { live_route() }
    END {
      for (i = 1; i <= nl; i++) {
        name = links[i]
        if (!(name in here)) link("add " name " " wantedMtu[name])
        else if (mtu[name] != wantedMtu[name]) link("mtu " name " " wantedMtu[name])
        else if (up[name]) continue
        if (!up[name]) link("up " name)
        bad["links"] = 1
      }
      for (i = 1; i <= na; i++) if (!(addresses[i] in liveAddress)) {
        split(addresses[i], w, " ")
        address("add " addresses[i]); judge(w[1])
      }
      for (i = 1; i <= nr; i++) if (!(routes[i] in liveRoute)) {
        split(routes[i], w, " ")
        route("add", "replace", routes[i]); judge(w[4])
      }
      for (i = 1; i <= nu; i++) if (!(rules[i] in liveRule)) { rule("add", "add", rules[i]); bad["network"] = 1 }
      if (rescue == "") {
        for (o in here) if ((o in made) && !(o in ours)) { link("remove " o); bad["network"] = 1 }
        for (o in liveAddress) {
          split(o, w, " ")
          if (!(("address " o) in wanted) && ((w[1] in ours) || (o in mine))) { address("remove " o); bad["network"] = 1 }
        }
        for (o in liveRoute) if (!(("route " o) in wanted)) { route("drop", "del", o); bad["network"] = 1 }
        for (o in liveRule) if (!(("rule " o) in wanted)) { rule("drop", "del", o); bad["network"] = 1 }
      }
      for (b in bad) print "bad", b
      if (absent) print "absent"
      print "end"
    }
  ' "$1/links" "$1/addresses" "$1/routes" "$1/rules" "$1/live.4" "$1/live.6" >"$1/verdict"
}

# ---- WireGuard: every device and its peers ----
# plan.devices   "NAME broken" for one that does not answer ("broken twice": nor when asked alone), else "NAME WORDS"
#                for `wg set NAME`, one setting a line
# plan.peers     "NAME ARGUMENTS" for `wg set NAME`, forty peers a line

# All devices in one reading. A userspace device that hangs must not hide the others: then each is asked alone.
hf_dump_devices() { # WORK
  hf_wg show all dump 2>/dev/null && return
  printf 'again\n'
  while read -r hf_name hf_rest; do
    printf '= %s\n' "$hf_name"
    hf_wg show "$hf_name" dump 2>/dev/null
  done <"$1/links"
}

# The dump holds keys, so it goes through a pipe and into no file.
hf_plan_wireguard() { # WORK STATE
  : >"$1/plan.devices"
  : >"$1/plan.peers"
  hf_dump_devices "$1" 9>&- | awk -v work="$1" -v folder="$2/keys/psk" '
    function number(text,   n, i, digits) {
      if (text == "off") return 0
      if (text !~ /^0x/) return text + 0
      digits = "0123456789abcdef"; text = tolower(substr(text, 3)); n = 0
      for (i = 1; i <= length(text); i++) n = n * 16 + index(digits, substr(text, i, 1)) - 1
      return n
    }
    function same(a, b,   x, y, i, n, m, set) {
      if (a == b) return 1
      n = split(a, x, ","); m = split(b, y, ",")
      if (n != m) return 0
      for (i = 1; i <= n; i++) set[x[i]] = 1
      for (i = 1; i <= m; i++) if (!(y[i] in set)) return 0
      return 1
    }
    function secret(name,   line) {
      line = ""
      if ((getline line < (folder "/" name)) <= 0) line = ""
      close(folder "/" name)
      return line
    }
    function device(words) { print name, words > (work "/plan.devices"); bad["device:" name] = 1 }
    function flush_peers() { if (held) print name batch > (work "/plan.peers"); batch = ""; held = 0 }
    function peer(words) { batch = batch " peer " words; bad["peers:" name] = 1; if (++held == 40) flush_peers() }
    function plan_peer(id, key,   words, preshared) {
      words = ""
      if (psk[id] == "-") {
        if ((id in live) && livePsk[id] != "(none)") words = words " preshared-key /dev/null"
      } else {
        preshared = secret(psk[id])
        if (length(preshared) != 44) { bad["peers:" name] = 1; return } # no peer without the key that it must have
        if (livePsk[id] != preshared) words = words " preshared-key " folder "/" psk[id]
      }
      if (alive[id] != ((id in live) ? liveAlive[id] : 0)) words = words " persistent-keepalive " alive[id]
      if (id in live) {
        if (!same(ips[id], liveIps[id])) words = words " allowed-ips " (ips[id] == "" ? "@none" : ips[id])
      } else if (ips[id] != "") words = words " allowed-ips " ips[id]
      if (!(id in live) || words != "") peer(key words)
    }
    FILENAME == ARGV[1] { names[++nd] = $1; port[$1] = $3; mark[$1] = $5; public[$1] = $6; next }
    FILENAME == ARGV[2] {
      id = $1 " " $2; keys[$1, ++count[$1]] = $2
      psk[id] = $3; alive[id] = $4; ips[id] = ($5 == "-") ? "" : $5
      next
    }
    # What came before this line was cut off.
    $0 == "again" { split("", answers); split("", live); alone = 1; next }
    $1 == "=" && NF == 2 { asked = $2; next }
    {
      if (alone) $0 = asked " " $0
      if (!($1 in answers)) { answers[$1] = 1; livePublic[$1] = $3; livePort[$1] = $4; liveMark[$1] = $5; next }
      id = $1 " " $2; live[id] = 1
      livePsk[id] = $3; liveIps[id] = ($5 == "(none)") ? "" : $5; liveAlive[id] = ($9 == "off") ? 0 : $9
    }
    END {
      for (id in live) if (!(id in psk)) { split(id, w, " "); surplus[w[1]] = surplus[w[1]] " " w[2] }
      for (i = 1; i <= nd; i++) {
        name = names[i]
        if (!(name in answers)) { device(alone ? "broken twice" : "broken"); bad["peers:" name] = 1; continue }
        if (livePublic[name] != public[name]) device("private-key")
        if (livePort[name] != port[name]) device("listen-port " port[name])
        if (number(liveMark[name]) != number(mark[name])) device("fwmark " (number(mark[name]) == 0 ? "0" : mark[name]))
        n = split(surplus[name], w, " ")
        for (k = 1; k <= n; k++) peer(w[k] " remove")
        for (k = 1; k <= count[name]; k++) plan_peer(name " " keys[name, k], keys[name, k])
        flush_peers()
      }
      for (b in bad) print "bad", b
      print "end"
    }' "$1/links" "$1/peers" - >"$1/verdict"
}

# ---- sysctls: plan.sysctls "set KEY VALUE", "unset KEY" ----
# Read by one grep: sh reads byte by byte, and a number under /proc/sys ends after its first byte then.
hf_plan_sysctls() { # WORK STATE
  hf_saved=/dev/null
  if [ -z "${hf_only_rescue:-}" ] && [ -r "$2/sysctl.saved" ]; then hf_saved=$2/sysctl.saved; fi
  set -- "$1" /dev/null
  while read -r hf_key hf_wanted; do
    if hf_find_sysctl "$hf_key"; then set -- "$@" "$hf_path"; else hf_path=-; fi
    printf '%s %s %s\n' "$hf_path" "$hf_key" "$hf_wanted"
  done <"$1/sysctls" >"$1/sysctls.wanted"
  hf_work=$1
  shift
  : >"$hf_work/plan.sysctls"
  hf_ask grep -s '' "$@" | awk -v plan="$hf_work/plan.sysctls" -v saved="$hf_saved" '
    FILENAME == ARGV[1] {
      path[++n] = $1; key[n] = $2; keep[$2] = 1
      $1 = ""; $2 = ""; sub(/^ +/, ""); value[n] = $0
      next
    }
    {
      at = index($0, ":"); one = substr($0, 1, at - 1); $0 = substr($0, at + 1); $1 = $1 # single spaces
      if (one in live) live[one] = live[one] " " $0; else live[one] = $0
    }
    END {
      for (i = 1; i <= n; i++) {
        if ((path[i] in live) && live[path[i]] == value[i]) continue
        print "set", key[i], value[i] > plan
        print (path[i] == "-") ? "absent" : "bad network"
      }
      while ((getline line < saved) > 0) {
        split(line, w, " ")
        if (!(w[1] in keep)) { print "unset", w[1] > plan; print "bad network" }
      }
      print "end"
    }' "$hf_work/sysctls.wanted" - >"$hf_work/verdict"
}

# shellcheck shell=sh
# The last good generation as files of the work folder: one verified copy of each, from either of the two folders.
# Sourced by holdfast-restore after fence.sh and record.sh; reads and sets its variables (state, work, lost, sums).

artifacts='desired.json ruleset.nft sysctls links peers addresses routes rules'

# Copies FILES into the work folder and sums everything there; read once, so what was checked is what is used.
fetch() { # gen|gen2 FILES
  copy=$1
  shift
  sources=
  for file in "$@"; do sources="$sources $copy/$hf_lkg/$file"; done
  # shellcheck disable=SC2086 # names without spaces
  (cd "$state" && hf_ask cp $sources "$work/") 2>/dev/null
  # shellcheck disable=SC2086
  sums=$(cd "$work" && hf_ask sha256sum manifest $artifacts 2>/dev/null)
  sums=$HF_NL$sums$HF_NL
}

# lost: files of which the work folder has no copy with the digest that the manifest says.
find_lost() {
  lost=
  for file in $artifacts; do
    line=
    while read -r digest name; do
      if [ "${name#\*}" = "$file" ]; then line="$digest  $file"; fi
    done <"$work/manifest"
    case $sums in *"$HF_NL${line:-?}$HF_NL"*) ;; *) lost="$lost $file" ;; esac
  done
}

is_manifest() {
  case $sums in *"$HF_NL$hf_lkg_manifest  manifest$HF_NL"*) ;; *) return 1 ;; esac
}

collect_artifacts() {
  # A restore takes its text from the two folders, not from what an earlier one left here.
  for file in manifest $artifacts; do : >"$work/$file"; done
  # shellcheck disable=SC2086
  fetch gen manifest $artifacts
  is_manifest || { fetch gen2 manifest && is_manifest; } || return 1
  find_lost
  # shellcheck disable=SC2086
  [ -z "$lost" ] || { fetch gen2 $lost && find_lost; }
  # The digest that operators signed names the folder; losing only that text changes nothing in the kernel.
  case $lost in '' | ' desired.json') return 0 ;; esac
  return 1
}

# Nothing verified is left: keep what is well-formed about hf-rescue, from the likeliest folder, and no more.
collect_rescue() {
  for file in sysctls links peers addresses routes rules; do : >"$work/$file"; done
  set +f
  for folder in "$state/gen/$hf_lkg" "$state/gen2/$hf_lkg" "$state"/gen/* "$state"/gen2/*; do
    grep -E '^hf-rescue rescue [0-9]+ [0-9]+ 0x[0-9a-f]+ [A-Za-z0-9+/]{43}=$' "$folder/links" >"$work/links" 2>/dev/null && break
  done
  set -f
  [ -s "$work/links" ] || return 0
  grep -E '^hf-rescue [A-Za-z0-9+/]{43}= (-|[0-9a-f]{64}) [0-9]+ (-|[0-9a-f:./,]+)$' "$folder/peers" >"$work/peers" 2>/dev/null
  grep -E '^hf-rescue [0-9a-f:.]+/[0-9]+$' "$folder/addresses" >"$work/addresses" 2>/dev/null
  grep -E '^[46] [0-9a-f:./]+ (-|[0-9a-f:.]+) hf-rescue [0-9]+ [0-9]+$' "$folder/routes" >"$work/routes" 2>/dev/null
  awk 'FILENAME == ARGV[1] { table[$5] = 1; next } $5 in table && $5 != 254' "$work/routes" "$folder/rules" >"$work/rules" 2>/dev/null
  return 0
}

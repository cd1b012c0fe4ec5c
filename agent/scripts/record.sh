# shellcheck shell=sh
# The state record and the decision of a trial, as sh reads them. One rule with the agent: of the two records the
# valid one with the higher counter holds, the first of two that are equal. Sourced after fence.sh.

HF_NL='
'
HF_RECORD_LINES=64 # more than a record has, so that a damaged file is not read for ever

# Succeeds when the last line holds the SHA-256 of every byte before it. hf_text is that text and hf_record_counter says
# how new it is. sh drops zero bytes, so the file is summed as well: it must be nothing but what was read.
hf_check_record() {
  [ -r "$1" ] || return 1
  hf_text='' hf_last='' hf_lines=0 hf_format='' hf_record_counter=''
  while IFS= read -r hf_line; do
    hf_lines=$((hf_lines + 1))
    [ "$hf_lines" -le "$HF_RECORD_LINES" ] || return 1
    case $hf_line in
      format=*) hf_format=${hf_line#*=} ;;
      counter=*) hf_record_counter=${hf_line#*=} ;;
    esac
    hf_text=$hf_text$hf_last
    hf_last=$hf_line$HF_NL
  done <"$1"
  [ -z "$hf_line" ] && [ -n "$hf_text" ] || return 1 # the last line ends too
  [ "$hf_format" = 1 ] && hf_is_number "$hf_record_counter" || return 1
  hf_sums=$(
    hf_ask sha256sum - /proc/self/fd/3 "$1" <<BODY 3<<ALL
${hf_text%"$HF_NL"}
BODY
$hf_text${hf_last%"$HF_NL"}
ALL
  ) || return 1
  # shellcheck disable=SC2086 # a sum and a name, three times
  set -- $hf_sums
  [ "sha256=$1$HF_NL" = "$hf_last" ] && [ "$3" = "$5" ]
}

# Chooses the valid record with the higher counter and reads it. Fails when none is valid; hf_record_seen says
# whether a record file exists at all.
hf_load_record() {
  hf_record=
  hf_record_seen=
  hf_best=-1
  for hf_file in "$1/record.a" "$1/record.b"; do
    [ -e "$hf_file" ] || continue
    hf_record_seen=yes
    if hf_check_record "$hf_file" && [ "$hf_record_counter" -gt "$hf_best" ]; then
      hf_best=$hf_record_counter
      hf_record=$hf_text
    fi
  done
  [ -n "$hf_record" ] || return 1
  hf_lkg=- hf_lkg_manifest=- hf_lkg_epoch=0 hf_trial=- hf_trial_manifest=- hf_trial_epoch=0 hf_trial_token=-
  while IFS='=' read -r hf_key hf_value; do
    case $hf_key in
      lkg | trial | lkg_manifest | trial_manifest)
        hf_is_digest "$hf_value" || hf_value=-
        eval "hf_$hf_key=\$hf_value"
        ;;
      lkg_epoch | trial_epoch)
        hf_is_number "$hf_value" || hf_value=0
        eval "hf_$hf_key=\$hf_value"
        ;;
      trial_token)
        case $hf_value in '' | *[!0-9A-Za-z_-]*) hf_value=- ;; esac
        hf_trial_token=$hf_value
        ;;
    esac
  done <<RECORD
$hf_record
RECORD
}

# The token is the arbiter: a trial whose token says confirmed is the last known good, even when the power went
# before the record could say so. Sets hf_top_epoch, the highest epoch that may be in force.
hf_settle_trial() {
  hf_top_epoch=$hf_lkg_epoch
  [ "$hf_trial_epoch" -le "$hf_top_epoch" ] || hf_top_epoch=$hf_trial_epoch
  if [ "$hf_trial" != - ] && [ "$hf_trial_token" != - ] && [ -e "$1/decision/$hf_trial_token.confirmed" ]; then
    hf_lkg=$hf_trial
    hf_lkg_manifest=$hf_trial_manifest
    hf_lkg_epoch=$hf_trial_epoch
  fi
}

# Decides a trial against itself: one atomic rename, one winner. Fails when the token was decided already.
hf_roll_back_token() {
  hf_limit mv "$1/decision/$2.undecided" "$1/decision/$2.rolled-back" 2>/dev/null || return 1
  hf_sync "$1/decision"
}

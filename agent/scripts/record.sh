# shellcheck shell=sh
# The state record and the decision of a trial, as sh reads them. One rule with the agent: of the two records the
# valid one with the higher counter holds, the first of two that are equal. Sourced after fence.sh.

# Succeeds when the last line holds the SHA-256 of every byte before it; hf_record_counter says how new it is.
hf_check_record() {
  [ -r "$1" ] || return 1
  hf_size=$(hf_limit wc -c <"$1") || return 1
  hf_size=$((hf_size))
  [ "$hf_size" -gt 72 ] || return 1 # "sha256=", 64 digits, line feed
  hf_sum=$(hf_limit head -c $((hf_size - 72)) "$1" | hf_limit sha256sum) || return 1
  [ "$(hf_limit tail -c 72 "$1" | tr '\n\0' ';?')" = "sha256=${hf_sum%% *};" ] || return 1
  hf_get "$1" format && [ "$hf_value" = 1 ] || return 1
  hf_get "$1" counter && hf_is_number "$hf_value" || return 1
  hf_record_counter=$hf_value
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
      hf_record=$hf_file
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
  done <"$hf_record"
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

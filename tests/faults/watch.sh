#!/bin/sh
# watch.sh FOLDER TOOL REAL ARGS...: stands before a tool of the scripts, as the failpoints of the shell side. FOLDER/plan
# says what happens at which call of a tool by holdfast-restore or holdfast-step; every other call goes straight on.
folder=$1 tool=$2 real=$3
shift 3
plan=
{ read -r plan <"$folder/plan"; } 2>/dev/null
case $plan in trace* | *\ restore\ * | *\ step\ *) ;; *) exec "$real" "$@" ;; esac
# Up to the script that called, and then to whoever waits for the script.
pid=$$ chain='' place=''
while [ "$pid" -gt 1 ]; do
  { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || break
  stat=${stat##*) }
  stat=${stat#* }
  words=$(tr '\0' ' ' <"/proc/$pid/cmdline")
  case $words in
    *holdfast-restore*) place=restore ;;
    *holdfast-step*) place=step ;;
    *holdfast-guard* | *holdfast-boot* | *'main.js run'*) ;;
    *) [ -z "$place" ] || break ;;
  esac
  chain="$pid $chain" # ourselves last
  pid=${stat%% *}
done
if [ -n "$place" ]; then
  case $plan in
    trace*) echo "$place $tool" >>"$folder/trace" ;;
    "kill "*" $place $tool")
      nth=${plan#kill }
      echo >>"$folder/calls"
      # shellcheck disable=SC2086 # process ids
      [ "$(wc -l <"$folder/calls")" -ne "${nth%% *}" ] || kill -KILL $chain
      ;;
  esac
fi
exec "$real" "$@"

/** `completion`: scripts for shells, made from the table of verbs. */
import { usageProblem } from "../args.ts";
import { type Ending, finished, refused } from "../out.ts";
import type { Context } from "../session.ts";
import { verbs } from "../usage.ts";

const firstWords = (): readonly string[] => [...new Set(verbs.map((verb) => verb.name.split(" ")[0]!))];
const secondWords = (first: string): readonly string[] =>
  verbs.filter((verb) => verb.name.startsWith(`${first} `)).map((verb) => verb.name.split(" ")[1]!);
const groups = (): readonly string[] => firstWords().filter((word) => secondWords(word).length > 0);

/** `key) words ;;` for every verb, the longer names first, so that "client add" wins over "client". */
function cases(line: (words: string) => string): string {
  const flags = verbs.map((verb) => [verb.name, verb.flags.map((flag) => `--${flag.name}`).join(" ")] as const);
  const more = groups().map((group) => [group, secondWords(group).join(" ")] as const);
  return [...flags, ...more].map(([name, words]) => `    "${name}") ${line(words)} ;;`).join("\n");
}

function bash(): string {
  return `# holdfast completion bash > /etc/bash_completion.d/holdfast
_holdfast() {
  local cur=\${COMP_WORDS[COMP_CWORD]} verb="" word i words=""
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case $word in -*) break ;; esac
    case $verb in
      "") verb=$word ;;
      ${groups().join("|")}) verb="$verb $word" ;;
    esac
  done
  case $verb in
    "") words="${firstWords().join(" ")}" ;;
${cases((words) => `words="${words}"`)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if [ \${#COMPREPLY[@]} -eq 0 ]; then COMPREPLY=($(compgen -f -- "$cur")); fi
}
complete -F _holdfast holdfast
`;
}

function zsh(): string {
  return `#compdef holdfast
# holdfast completion zsh > ~/.zfunc/_holdfast
_holdfast() {
  local verb="" word i
  local -a list
  for ((i = 2; i < CURRENT; i++)); do
    word=\${words[i]}
    case $word in -*) break ;; esac
    case $verb in
      "") verb=$word ;;
      ${groups().join("|")}) verb="$verb $word" ;;
    esac
  done
  case $verb in
    "") list=(${firstWords().join(" ")}) ;;
${cases((words) => `list=(${words})`)}
  esac
  compadd -a list || _files
}
if [ "$funcstack[1]" = "_holdfast" ]; then _holdfast "$@"; else compdef _holdfast holdfast; fi
`;
}

const fishText = (text: string): string => `'${text.replace(/['\\]/g, "\\$&")}'`;

function fish(): string {
  const lines = ["# holdfast completion fish > ~/.config/fish/completions/holdfast.fish"];
  for (const verb of verbs) {
    const [first, second] = verb.name.split(" ");
    const seen =
      second === undefined
        ? `__fish_seen_subcommand_from ${first}`
        : `__fish_seen_subcommand_from ${first}; and __fish_seen_subcommand_from ${second}`;
    if (second === undefined)
      lines.push(`complete -c holdfast -f -n __fish_use_subcommand -a ${first} -d ${fishText(verb.sentence)}`);
    else {
      const others = secondWords(first!).join(" ");
      lines.push(
        `complete -c holdfast -f -n '__fish_seen_subcommand_from ${first}; and not __fish_seen_subcommand_from ${others}' -a ${second} -d ${fishText(verb.sentence)}`,
      );
    }
    for (const flag of verb.flags) {
      const value = flag.value === "" ? "" : flag.value === "FILE" || flag.value === "FOLDER" ? " -r -F" : " -x";
      lines.push(`complete -c holdfast -n '${seen}' -l ${flag.name}${value} -d ${fishText(flag.text)}`);
    }
  }
  for (const group of groups()) lines.push(`complete -c holdfast -f -n __fish_use_subcommand -a ${group}`);
  return `${lines.join("\n")}\n`;
}

const scripts: Readonly<Record<string, () => string>> = { bash, zsh, fish };

/** `holdfast completion SHELL` */
export async function completion({ args }: Context): Promise<Ending> {
  const [shell = ""] = args.operands;
  const script = Object.hasOwn(scripts, shell) ? scripts[shell] : undefined;
  if (script === undefined) return refused([usageProblem("completion takes bash, zsh or fish.")]);
  return finished(script(), { shell, script: script() });
}

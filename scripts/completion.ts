// What bash completes behind `swarmboot`, printed from the tables of the options. It needs nothing but bash itself.

import { type Command, type Option, optionForm } from './command.ts';
import { COMMON_OPTIONS } from './program.ts';

/** The text of share/bash-completion/completions/swarmboot. */
export function bashCompletion(commands: readonly Command[]): string {
  const first = [...new Set(commands.map(({ name }) => name.split(' ')[0]!))];
  const families = first.flatMap((family) => {
    const members = commands.flatMap(({ name }) =>
      name.startsWith(`${family} `) ? [name.split(' ')[1]!] : [],
    );
    return members.length === 0 ? [] : [`    ${family}) words='${members.join(' ')}' ;;`];
  });
  return `# Completion of swarmboot(1) for bash, printed from the tables of its options.

_swarmboot() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} first=\${COMP_WORDS[1]} at=2
  # bash makes three words of --repo=/srv.
  if [[ $current == = ]]; then
    current=''
  elif [[ $before == = ]]; then
    before=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    _swarmboot_of '${[...first, '--help', '--version'].join(' ')}'
    return
  fi
  local words='' options='' files='' command=$first
  case $first in
${families.join('\n')}
  esac
  if [[ $words ]]; then
    if ((COMP_CWORD == 2)); then
      _swarmboot_of "$words"
      return
    fi
    command="$first \${COMP_WORDS[2]}" at=3
  fi
  case $command in
${commands.map(commandCase).join('\n')}
    *) return ;;
  esac
  case "$command $before" in
${commands.flatMap(valueCases).join('\n')}
  esac
  if [[ $current == -* ]]; then
    _swarmboot_of "$options"
  elif [[ $files ]]; then
    _swarmboot_files
  elif ((COMP_CWORD == at)); then
    _swarmboot_of "$options"
  fi
}

_swarmboot_of() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}

_swarmboot_files() {
  compopt -o filenames 2>/dev/null || :
  mapfile -t COMPREPLY < <(compgen -f -- "$current")
}

complete -F _swarmboot swarmboot
`;
}

function commandCase(command: Command): string {
  const options = [...command.options, ...COMMON_OPTIONS].map(({ name }) => `--${name}`).join(' ');
  const files = /^[A-Z-]*(?:FILE|TARBALL)/.test(command.synopsis) ? ' files=yes' : '';
  return `    '${command.name}') options='${options}'${files} ;;`;
}

/** What may stand behind an option: one of its words, a file, or what nobody can guess. */
function valueCases(command: Command): string[] {
  const cases = (choice: (option: Option) => string | null) =>
    [...command.options, ...COMMON_OPTIONS].flatMap((option) => choice(option) ?? []);
  return cases((option) => {
    if (option.kind === 'flag') return null;
    const value = optionForm(option).split(' ')[1]!;
    const work = /^[a-z|]+$/.test(value)
      ? `_swarmboot_of '${value.replaceAll('|', ' ')}'`
      : /\b(?:DIR|FILE|TARBALL)\b/.test(value)
        ? '_swarmboot_files'
        : ':';
    return `    '${command.name} --${option.name}') ${work}; return ;;`;
  });
}

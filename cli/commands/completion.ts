import type { Command } from '../command.ts';

/**
 * An alias is no program to call: its text is. Names come from the service: they are quoted and never expanded
 * (`compgen -W` would run what stands in them). Without candidates the shell offers files.
 */
const BASH = `_baremetal_words() {
  local IFS=$' \\t\\n' program="\${BASH_ALIASES[$1]:-$1}" word
  COMPREPLY=()
  while IFS= read -r word; do
    printf -v word '%q' "$word"
    COMPREPLY+=("$word")
  done < <($program --complete-words "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null </dev/null)
}
complete -o bashdefault -o default -F _baremetal_words baremetal
`;

const ZSH = `#compdef baremetal
_baremetal_words() {
  local -a found program
  program=(\${=aliases[$words[1]]:-$words[1]})
  found=("\${(@f)$($program --complete-words "\${(@)words[2,CURRENT]}" 2>/dev/null </dev/null)}")
  [[ -n "$found" ]] && compadd -a found || _files
}
compdef _baremetal_words baremetal
`;

export const printCompletion: Command = {
  words: 'completion',
  summary: 'Print a script that completes commands, options and names in the shell',
  positionals: [{ name: 'shell', describe: 'Shell (default bash)', choices: ['bash', 'zsh'], optional: true }],
  examples: [
    ['completion bash', 'Append it to ~/.bashrc, or: source <(baremetal completion bash)'],
    ['completion zsh', 'Append it to ~/.zshrc, behind compinit'],
  ],
  isLocal: true,
  async run({ output }, args) {
    output.text(args.text('shell') === 'zsh' ? ZSH : BASH);
  },
};

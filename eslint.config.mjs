import eslint from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** Programs are run by runProgram of protocol/program.ts: an argument array, a deadline, never a shell. */
const SHELLS = ['exec', 'execSync'];
const PROGRAM_RUNNERS = ['execFile', 'execFileSync', 'spawnSync', 'fork'];
const restrictChildProcess = (importNames) =>
  ['node:child_process', 'child_process'].map((name) => ({ name, importNames, message: 'Run programs with runProgram of protocol/program.ts, long-lived ones with spawn.' }));
const SHELL_USES = [
  { selector: "Property[key.name='shell']:not([value.value=false])", message: 'Programs get an argument array, never a shell.' },
  { selector: 'MemberExpression[object.name=/^(cp|childProcess|child_process)$/][property.name=/^exec(Sync)?$/]', message: 'exec runs a shell: use runProgram of protocol/program.ts.' },
];
const HTTP_MESSAGE = 'Make HTTP calls with createHttpClient of protocol/http-client.ts: it has the deadline, the size limit and no redirects.';
const HTTP_CALLS = [
  { selector: "CallExpression[callee.name='axios']", message: HTTP_MESSAGE },
  { selector: "CallExpression[callee.object.name='axios'][callee.property.name!='isAxiosError']", message: HTTP_MESSAGE },
  { selector: "CallExpression[callee.name='fetch']", message: HTTP_MESSAGE },
];

export default defineConfig(
  globalIgnores(['dist/', 'node_modules/', 'coverage/', 'var/']),
  // An exception to a rule is made here, in the open.
  { linterOptions: { noInlineConfig: true } },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'separate-type-imports' }],
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true }],
      // An implementation of an asynchronous interface may have nothing to wait for.
      '@typescript-eslint/require-await': 'off',
      // Options and ports are plain bags of functions, taken apart where they are used; classes keep their state in #private fields, which fail at once without their object.
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-restricted-imports': ['error', { paths: restrictChildProcess([...SHELLS, ...PROGRAM_RUNNERS]) }],
      'no-restricted-syntax': ['error', ...SHELL_USES, ...HTTP_CALLS],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
    },
  },
  { files: ['protocol/http-client.ts'], rules: { 'no-restricted-syntax': ['error', ...SHELL_USES] } },
  {
    files: ['test/**/*.ts'],
    rules: {
      // Tests speak to a server as strangers do, and look at a program's end synchronously in a clean-up.
      '@typescript-eslint/no-restricted-imports': ['error', { paths: restrictChildProcess(SHELLS) }],
      'no-restricted-syntax': ['error', ...SHELL_USES],
    },
  },
  {
    files: ['**/*.mjs'],
    languageOptions: { globals: Object.fromEntries(Object.getOwnPropertyNames(globalThis).map((name) => [name, 'readonly'])) },
    rules: { 'no-restricted-imports': ['error', { paths: restrictChildProcess(SHELLS) }] },
  },
);

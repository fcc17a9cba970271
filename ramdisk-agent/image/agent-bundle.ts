import { join } from 'node:path';
import { build } from 'esbuild';

/** Oldest Node.js that the ramdisk may have. */
const TARGET = 'node20';

/**
 * The agent with all packages that it uses, as one CommonJS file. The same sources give the same bytes, wherever the
 * project lies. @throws BuildFailure of esbuild.
 */
export async function bundleAgent(projectRoot: string): Promise<Buffer> {
  const { outputFiles } = await build({
    absWorkingDir: projectRoot,
    entryPoints: [join(projectRoot, 'ramdisk-agent/main.ts')],
    bundle: true,
    platform: 'node',
    target: TARGET,
    format: 'cjs',
    minifyWhitespace: true, // names stay: errors are told apart by them, and people read stack traces
    keepNames: true,
    legalComments: 'none',
    preserveSymlinks: true, // paths in the output stay relative to the project where node_modules is a link
    write: false,
    logLevel: 'silent', // problems are in the error that is thrown
  });
  return Buffer.from(outputFiles[0]!.contents);
}

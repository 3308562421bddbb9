import { execa } from 'execa';

/**
 * The commit of the working tree. The build of an image has no repository, so the variable COMMIT has the commit there.
 */
export async function commitOf(): Promise<string> {
  const { stdout } = await execa('git', ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'], {
    cwd: import.meta.dirname,
    reject: false,
  });
  return process.env['COMMIT'] || stdout || 'unknown';
}

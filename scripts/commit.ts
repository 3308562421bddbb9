import { execa } from 'execa';

/** The commit of the working tree. An image is built without a repository, and is told by the variable COMMIT. */
export async function commitOf(): Promise<string> {
  const { stdout } = await execa('git', ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'], {
    cwd: import.meta.dirname,
    reject: false,
  });
  return process.env['COMMIT'] || stdout || 'unknown';
}

import { execa } from 'execa';

/** Integration tests run the bundle that users run, so it is built from today's source first. */
export default async function build(): Promise<void> {
  await execa('npm', ['run', '--silent', 'build'], { stdio: 'inherit' });
}

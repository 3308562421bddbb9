import { execa } from 'execa';

/** Packs a folder as .tgz of GNU tar. The same files give the same bytes, whoever packs them and whenever. */
export async function packFolder(parent: string, name: string, output: string, time: number): Promise<void> {
  const plain = ['--sort=name', `--mtime=@${time}`, '--owner=0', '--group=0', '--numeric-owner'];
  const archive = ['--mode=u=rwX,go=rX', '-I', 'gzip -9n', '-cf', output, name];
  await execa('tar', ['-C', parent, ...plain, ...archive]);
}

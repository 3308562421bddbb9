// Identities of a cluster: one certificate authority, certificates, and kubeconfigs made of them.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { run } from '../nodes/command.ts';

export interface Certificate {
  /** Files, PEM. */
  readonly certificate: string;
  readonly key: string;
}

export interface Subject {
  /** Kubernetes' user name. */
  readonly name: string;
  /** Kubernetes' group. */
  readonly group?: string;
  /** Names in openssl's form: `IP:10.0.0.1`, `DNS:example.org`. */
  readonly alternativeNames?: readonly string[];
}

export class CertificateAuthority implements Certificate {
  readonly certificate: string;
  readonly key: string;
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
    this.certificate = join(dir, 'ca.crt');
    this.key = join(dir, 'ca.key');
  }

  static async create(dir: string): Promise<CertificateAuthority> {
    const authority = new CertificateAuthority(dir);
    await request({
      to: authority,
      subject: '/CN=multinic-test',
      extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,digitalSignature'],
    });
    return authority;
  }

  /** @param file name of its files, without ending */
  async issue(file: string, { name, group, alternativeNames = [] }: Subject): Promise<Certificate> {
    const certificate = { certificate: join(this.#dir, `${file}.crt`), key: join(this.#dir, `${file}.key`) };
    await request({
      to: certificate,
      by: this,
      subject: `${group === undefined ? '' : `/O=${group}`}/CN=${name}`,
      extensions: [
        'basicConstraints=CA:FALSE',
        'keyUsage=critical,digitalSignature',
        'extendedKeyUsage=serverAuth,clientAuth',
        ...(alternativeNames.length === 0 ? [] : [`subjectAltName=${alternativeNames.join(',')}`]),
      ],
    });
    return certificate;
  }

  /** @returns a kubeconfig's text, with everything inside, for use anywhere */
  async kubeconfig(server: string, file: string, subject: Subject): Promise<string> {
    const { certificate, key } = await this.issue(file, subject);
    const name = 'multinic-test';
    return stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': name,
      clusters: [
        {
          name,
          cluster: { server, 'certificate-authority-data': await readFile(this.certificate, 'base64') },
        },
      ],
      contexts: [{ name, context: { cluster: name, user: subject.name } }],
      users: [
        {
          name: subject.name,
          user: {
            'client-certificate-data': await readFile(certificate, 'base64'),
            'client-key-data': await readFile(key, 'base64'),
          },
        },
      ],
    });
  }
}

/** A key that service account tokens are signed with, in files that Kubernetes takes. */
export async function writeTokenKey(
  dir: string,
): Promise<{ readonly privateKey: string; readonly publicKey: string }> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const files = { privateKey: join(dir, 'token.key'), publicKey: join(dir, 'token.pub') };
  await writeFile(files.privateKey, privateKey, { mode: 0o600 });
  await writeFile(files.publicKey, publicKey);
  return files;
}

interface Request {
  readonly to: Certificate;
  /** Absent: the certificate signs itself. */
  readonly by?: Certificate;
  readonly subject: string;
  readonly extensions: readonly string[];
}

/** Node.js makes keys, but no certificates. */
async function request({ to, by, subject, extensions }: Request): Promise<void> {
  const config = ['[req]', 'distinguished_name=none', '[none]', '[extensions]', ...extensions, ''].join('\n');
  // A file, because openssl opens its input by name, and the standard input of our children is a socket.
  const settings = `${to.certificate}.cnf`;
  await writeFile(settings, config);
  const serial = `0x${randomBytes(8).toString('hex')}`;
  const words =
    `req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 ` +
    `-extensions extensions -set_serial ${serial}`;
  const files = ['-keyout', to.key, '-out', to.certificate];
  const signer = by === undefined ? [] : ['-CA', by.certificate, '-CAkey', by.key];
  const args = [...words.split(' '), '-subj', subject, '-config', settings, ...files, ...signer];
  await run('openssl', args);
}

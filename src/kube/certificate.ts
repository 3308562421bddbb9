// The store's certificate: a CA of the controller in a Secret, a server certificate from this CA that is renewed in
// time, and the CA in a ConfigMap for people. Alternatively, all of it comes from a Secret that somebody else
// maintains.

// @peculiar/x509 uses decorators, which need reflect-metadata loaded first.
import 'reflect-metadata';
import type { V1ConfigMap, V1Secret } from '@kubernetes/client-node';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import { MultinicError } from '../api/errors.ts';
import { proveCertificate } from './certificate-check.ts';
import { found, hasStatus, type KubeClient } from './client.ts';
import { CA_CONFIG_MAP, LABEL, NAME, TLS_SECRET } from './cluster-names.ts';

/** PEM. */
export interface ServerCertificate {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

export interface CertificateOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Secret with tls.crt, tls.key and ca.crt, which the controller only reads. */
  readonly given?: string;
  /** DNS name that clients verify; every certificate has it. */
  readonly serverName: string;
  /** DNS names and addresses in a certificate of our own. */
  readonly names: readonly string[];
}

const DAY_MS = 86_400_000;
const CA_DAYS = 3_650;
const SERVER_DAYS = 365;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

interface Material {
  readonly caKey: string;
  readonly ca: string;
  readonly key: string;
  readonly cert: string;
}

/** Returns a good certificate, or makes one; idempotent. @throws MultinicError `InvalidTlsSecret`, KubeError */
export async function serverCertificate(options: CertificateOptions): Promise<ServerCertificate> {
  const { client, namespace, given } = options;
  const secrets = `/api/v1/namespaces/${namespace}/secrets`;
  if (given !== undefined) {
    const theirs = readGiven(await found(client.request<V1Secret>('GET', `${secrets}/${given}`)), given);
    await proveCertificate(theirs, options.serverName);
    await publish(client, namespace, theirs.ca);
    return theirs;
  }
  for (;;) {
    const secret = await found(client.request<V1Secret>('GET', `${secrets}/${TLS_SECRET}`));
    const before = secret && materialOf(secret);
    const material = (await isGood(before, options)) ? before! : await renew(before, options.names);
    try {
      if (material !== before) await save(client, namespace, secret, material);
    } catch (error) {
      // Another replica made the Secret meanwhile: read the Secret again.
      if (hasStatus(error, 409)) continue;
      throw error;
    }
    await publish(client, namespace, material.ca);
    return material;
  }
}

function readGiven(secret: V1Secret | undefined, name: string): ServerCertificate {
  const text = (key: string): string => {
    const value = secret?.data?.[key];
    if (value === undefined) {
      throw new MultinicError(
        'InvalidTlsSecret',
        `${secret === undefined ? `there is no Secret ${name}` : `Secret ${name} has no ${key}`}: it needs tls.crt, tls.key and ca.crt`,
      );
    }
    return Buffer.from(value, 'base64').toString();
  };
  return { key: text('tls.key'), cert: text('tls.crt'), ca: text('ca.crt') };
}

function materialOf({ data }: V1Secret): Material | undefined {
  const text = (key: string): string => Buffer.from(data?.[key] ?? '', 'base64').toString();
  const material = { caKey: text('ca.key'), ca: text('ca.crt'), key: text('tls.key'), cert: text('tls.crt') };
  return Object.values(material).every((part) => part !== '') ? material : undefined;
}

/**
 * Whether the certificate is good: more than a third of its life is left, it has every name, and clients accept it. Any
 * other certificate, or a damaged Secret, is replaced.
 */
async function isGood(
  material: Material | undefined,
  { names, serverName }: CertificateOptions,
): Promise<boolean> {
  if (material === undefined) return false;
  try {
    const cert = new X509Certificate(material.cert);
    const known = new Set(
      cert.getExtension(SubjectAlternativeNameExtension)?.names.items.map(({ value }) => value) ?? [],
    );
    await proveCertificate(material, serverName);
    return (
      cert.notAfter.getTime() - Date.now() > (SERVER_DAYS / 3) * DAY_MS &&
      names.every((name) => known.has(name))
    );
  } catch {
    return false;
  }
}

/**
 * Makes a server certificate. Keeps the old CA if it is valid for long enough, so that clients need not learn a new
 * one.
 */
async function renew(before: Material | undefined, names: readonly string[]): Promise<Material> {
  const authority = (before && (await authorityOf(before))) ?? (await newAuthority());
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const cert = await X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: `CN=${NAME}`,
    issuer: authority.certificate.subject,
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + SERVER_DAYS * DAY_MS),
    signingAlgorithm: ALGORITHM,
    publicKey: keys.publicKey,
    signingKey: authority.key,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }) as const),
      ),
    ],
  });
  return {
    caKey: authority.pem,
    ca: authority.certificate.toString('pem'),
    key: await pemOf(keys.privateKey),
    cert: cert.toString('pem'),
  };
}

interface Authority {
  readonly certificate: X509Certificate;
  readonly key: webcrypto.CryptoKey;
  readonly pem: string;
}

/** @returns undefined: the CA ends soon, or is damaged */
async function authorityOf({ ca, caKey }: Material): Promise<Authority | undefined> {
  try {
    const certificate = new X509Certificate(ca);
    if (certificate.notAfter.getTime() - Date.now() < SERVER_DAYS * DAY_MS) return undefined;
    const der = PemConverter.decodeFirst(caKey);
    const key = await webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, true, ['sign']);
    return { certificate, key, pem: caKey };
  } catch {
    return undefined;
  }
}

async function newAuthority(): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: `CN=${NAME} CA`,
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + CA_DAYS * DAY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  return { certificate, key: keys.privateKey, pem: await pemOf(keys.privateKey) };
}

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  return PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY');
}

/** A random serial number: positive, 15 random bytes. */
function serial(): string {
  return `01${randomBytes(15).toString('hex')}`;
}

async function save(
  client: KubeClient,
  namespace: string,
  before: V1Secret | undefined,
  material: Material,
): Promise<void> {
  const secrets = `/api/v1/namespaces/${namespace}/secrets`;
  const data = {
    'ca.key': base64(material.caKey),
    'ca.crt': base64(material.ca),
    'tls.key': base64(material.key),
    'tls.crt': base64(material.cert),
  };
  if (before === undefined) {
    const metadata = { name: TLS_SECRET, namespace, labels: { [LABEL.name]: NAME } };
    await client.request('POST', secrets, {
      body: { apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', data },
    });
  } else {
    // The resourceVersion of the Secret makes this PUT a compare-and-swap.
    await client.request('PUT', `${secrets}/${TLS_SECRET}`, { body: { ...before, data } });
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

async function publish(client: KubeClient, namespace: string, ca: string): Promise<void> {
  const maps = `/api/v1/namespaces/${namespace}/configmaps`;
  const before = await found(client.request<V1ConfigMap>('GET', `${maps}/${CA_CONFIG_MAP}`));
  if (before?.data?.['ca.crt'] === ca) return;
  const metadata = { name: CA_CONFIG_MAP, namespace, labels: { [LABEL.name]: NAME } };
  try {
    if (before === undefined) {
      await client.request('POST', maps, {
        body: { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'ca.crt': ca } },
      });
    } else
      await client.request('PUT', `${maps}/${CA_CONFIG_MAP}`, {
        body: { ...before, data: { 'ca.crt': ca } },
      });
  } catch (error) {
    // Another replica publishes the same CA.
    if (!hasStatus(error, 409)) throw error;
  }
}

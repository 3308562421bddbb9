import { expect, test } from 'vitest';
import { proxyFor } from './proxy-environment.ts';

const PROXY = 'http://proxy.example.org:3128';
const API = 'https://api.example.org:6443';

test.each<[string, string, Record<string, string>, string | undefined]>([
  ['no proxy', API, {}, undefined],
  ['a proxy', API, { HTTPS_PROXY: PROXY }, PROXY],
  ['in lower case', API, { https_proxy: PROXY }, PROXY],
  ['without a scheme', API, { HTTPS_PROXY: 'proxy:3128' }, 'http://proxy:3128'],
  ['for another scheme', API, { HTTP_PROXY: PROXY }, undefined],
  ['not for loopback', 'https://127.0.0.1:6443', { HTTPS_PROXY: PROXY }, undefined],
  ['not for loopback of IPv6', 'https://[::1]:6443', { HTTPS_PROXY: PROXY }, undefined],
  ['the host is exempt', API, { HTTPS_PROXY: PROXY, NO_PROXY: 'a.org, api.example.org' }, undefined],
  ['its domain is exempt', API, { HTTPS_PROXY: PROXY, NO_PROXY: '.example.org' }, undefined],
  ['its domain, without a dot', API, { HTTPS_PROXY: PROXY, no_proxy: 'example.org' }, undefined],
  ['a domain that ends alike', API, { HTTPS_PROXY: PROXY, NO_PROXY: 'ample.org' }, PROXY],
  ['subdomains only', API, { HTTPS_PROXY: PROXY, NO_PROXY: '.api.example.org' }, PROXY],
  ['another port', API, { HTTPS_PROXY: PROXY, NO_PROXY: 'api.example.org:443' }, PROXY],
  ['everything is exempt', API, { HTTPS_PROXY: PROXY, NO_PROXY: '*' }, undefined],
  [
    'its network is exempt',
    'https://10.96.0.1:443',
    { HTTPS_PROXY: PROXY, NO_PROXY: '10.0.0.0/8' },
    undefined,
  ],
  [
    'another network',
    'https://10.96.0.1:443',
    { HTTPS_PROXY: PROXY, NO_PROXY: 'fd00::/8,11.0.0.0/8' },
    PROXY,
  ],
  ['its address is exempt', 'https://[fd00::1]:6443', { HTTPS_PROXY: PROXY, NO_PROXY: 'fd00::1' }, undefined],
])('%s', (_, server, environment, expected) => {
  expect(proxyFor(server, environment)).toBe(expected);
});

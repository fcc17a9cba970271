import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { Json } from '../../../protocol/json.ts';
import { fieldsOf, type Route } from './routes.ts';
import { VICTIMS } from './service.ts';
import type { HostileRequest } from './wire.ts';

/** Words that break programs: of prototypes, of SQL, of paths, of encodings, of formats, of parsers of numbers. */
const HOSTILE_WORDS = [
  ...['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__', 'length', 'then', 'toJSON'],
  ...["' OR '1'='1", "'; DROP TABLE nodes; --", '") UNION SELECT * FROM nodes --', '%', '_', '\\', ':uuid', '?', '$1', 'id', 'ROWID'],
  ...['../../../../etc/passwd', '..', '.', '/', '//', '%2e%2e%2f', '%00', '%', '%zz', '%c0%af', 'detail', 'C:\\windows', 'file:///etc/passwd', 'http://127.0.0.1:1/x'],
  ...['', ' ', '\0', 'a\0b', '\r\nX-Injected: yes', '\ud800', '\udfff\ud800', '\u202e', '\ufeff', '💥'.repeat(20), 'ß'.repeat(300), 'x'.repeat(5_000), 'İ', '\u0130\u0131', 'e\u0301'],
  ...['null', 'undefined', 'true', 'NaN', 'Infinity', '-0', '1e309', '9007199254740993', '0x10', '١٢', '1.5', '-1', '99999999999999999999'],
  ...['${7*7}', '{{7*7}}', '%s%n', '<script>', '[object Object]', '[]', '{}', 'a,b,,c', 'a[b]=c'],
];
const NUMBERS = [0, -0, 1, -1, 0.5, 255, 65_536, 2 ** 31, -(2 ** 31) - 1, 2 ** 53, 2 ** 53 + 2, 2 ** 63, 1e21, 1e308, -1e308, 5e-324];
const IDENTITIES = [...VICTIMS.nodes, ...VICTIMS.names, VICTIMS.records, VICTIMS.nodes[0].toUpperCase()];
/** Values that are right somewhere: they carry a request past the first check. */
const PLAUSIBLE: readonly Json[] = [
  ...IDENTITIES,
  ...['fake-hardware', 'redfish', 'fake', 'noop', 'no-snapshot', 'agent', 'direct', 'manage', 'provide', 'active', 'deleted', 'rebuild', 'adopt', 'abort', 'clean', 'snapshot', 'inspect', 'rescue', 'power on', 'power off', 'rebooting', 'soft power off', 'soft rebooting'],
  ...['available', 'enroll', 'pxe', 'disk', '52:54:00:00:00:0b', 'iqn', 'iscsi', '2026-01-01T00:00:00+00:00', 'https://192.0.2.1:9999', 'CUSTOM_TRAIT', 'asc', 'desc', 'uuid', 'name', 'id', 'created_at', 'provision_state', 'uuid,name', 'True', '10'],
  true,
  false,
  null,
  {},
  [],
];

const hostileText = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...HOSTILE_WORDS) }, { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) }, { weight: 1, arbitrary: fc.string({ maxLength: 300 }) });
const scalar: fc.Arbitrary<Json> = fc.oneof(hostileText, fc.constantFrom(...NUMBERS), fc.constantFrom(...PLAUSIBLE));
const { document } = fc.letrec<{ document: Json }>((tie) => ({
  document: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    scalar,
    fc.array(tie('document'), { maxLength: 4 }),
    fc.array(fc.tuple(fc.oneof(hostileText, fc.constantFrom('interface', 'step', 'args', 'fake_deploy', 'name', 'size')), tie('document')), { maxLength: 4 }).map((members) => objectOf(members)),
  ),
}));
const value: fc.Arbitrary<Json> = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...PLAUSIBLE) }, { weight: 3, arbitrary: document });

/** With own members of any name, `__proto__` too, as a parser of JSON makes them. */
function objectOf(members: readonly (readonly [string, Json])[]): { [name: string]: Json } {
  const object: { [name: string]: Json } = {};
  for (const [name, member] of members) Object.defineProperty(object, name, { value: member, enumerable: true, configurable: true, writable: true });
  return object;
}

const pointerPart = (fields: readonly string[]): fc.Arbitrary<string> => fc.oneof(fc.constantFrom(...(fields.length > 0 ? fields : ['extra'])), hostileText, fc.constantFrom('-', '0', '01', '~', '~0', '~1', '~2'));

function patchOf(fields: readonly string[]): fc.Arbitrary<Json> {
  const pointer = fc.array(pointerPart(fields), { maxLength: 3 }).map((parts) => parts.map((part) => `/${part}`).join(''));
  const operation = fc.record({ op: fc.oneof({ weight: 4, arbitrary: fc.constantFrom('add', 'replace', 'remove') }, { weight: 1, arbitrary: fc.oneof(fc.constantFrom('test', 'move', 'copy', '_get', 'ADD'), hostileText) }), path: pointer, value, from: pointer }, { requiredKeys: ['op', 'path'] });
  return fc.oneof({ weight: 6, arbitrary: fc.array(operation, { maxLength: 4 }) }, { weight: 1, arbitrary: document });
}

/** A document with fields that the route knows (some with values of the right sort) and some that it does not. */
function bodyFor(route: Route, routes: readonly Route[]): fc.Arbitrary<Json> {
  const fields = fieldsOf(route, routes);
  const names = Object.keys(fields);
  if (route.method === 'PATCH') return patchOf(names);
  const member = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...(names.length > 0 ? names : ['target'])).chain((name) => fc.tuple(fc.constant(name), valueFor(name, fields[name]))) },
    { weight: 1, arbitrary: fc.tuple(hostileText, value) },
  );
  const required = ((route.body?.['required'] as string[] | undefined) ?? []).map((name) => valueFor(name, fields[name]).map((of): [string, Json] => [name, of]));
  const filled = fc.tuple(fc.tuple(...required), fc.array(member, { maxLength: 4 })).map(([needed, more]) => objectOf([...needed, ...more]));
  return fc.oneof({ weight: 5, arbitrary: filled }, { weight: 2, arbitrary: fc.array(member, { maxLength: 5 }).map(objectOf) }, { weight: 1, arbitrary: document });
}

/** Often what a client would send, so that the rest of the request is looked at too. */
function valueFor(name: string, schema: Json | undefined): fc.Arbitrary<Json> {
  const right: Record<string, readonly Json[]> = {
    driver: ['fake-hardware'],
    node_uuid: [...VICTIMS.nodes],
    target: ['manage', 'provide', 'active', 'deleted', 'abort', 'snapshot', 'power on', 'power off', 'rebooting'],
    address: ['52:54:00:00:00:0c', '52-54-00-00-00-0D'],
    boot_device: ['pxe', 'disk'],
    image_ref: ['55555555-5555-4555-8555-555555555555'],
    callback_url: ['https://192.0.2.1:9999'],
    traits: [['CUSTOM_A', 'HW_CPU_X86_VMX']],
  };
  const choices = (schema as { enum?: Json[] } | undefined)?.enum ?? right[name] ?? PLAUSIBLE;
  return fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...choices) }, { weight: 2, arbitrary: value });
}

const encoded = (text: string): string => encodeURIComponent(text.replace(/\p{Surrogate}/gu, '\ufffd'));
/** Whatever a path may hold on the wire, escapes that mean nothing included. */
const rawSegment = fc.constantFrom('%ff', '%', '%zz', '%00', '%c0%af', '%ed%a0%80', '..', '.', ';', '*', '%2F..%2F', '+', "'", 'a%00b', '%E2%80%AE');

function pathFor(route: Route): fc.Arbitrary<string> {
  const segment = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...IDENTITIES) }, { weight: 2, arbitrary: hostileText.map((text) => encoded(text.slice(0, 2_000))) }, { weight: 1, arbitrary: rawSegment });
  const parts = route.template.split('/').map((part) => (part.startsWith('{') ? segment : fc.constant(part)));
  const tail = fc.oneof({ weight: 12, arbitrary: fc.constant('') }, { weight: 1, arbitrary: fc.constantFrom('/', '//', '/..', '/%2e%2e', '/detail', '.json', '/x/y/z', '#fragment') });
  return fc.tuple(fc.tuple(...parts).map((texts) => texts.join('/') || '/'), tail).map((texts) => texts.join(''));
}

function queryFor(route: Route): fc.Arbitrary<string> {
  const name = fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...(route.query.length > 0 ? route.query : ['fields'])) }, { weight: 1, arbitrary: hostileText.map((text) => encoded(text.slice(0, 500))) });
  const decorated = fc.tuple(name, fc.oneof({ weight: 8, arbitrary: fc.constant('') }, { weight: 1, arbitrary: fc.constantFrom('[]', '[0]', '[__proto__]', '[a][b]', '%5B%5D', '.x') })).map((texts) => texts.join(''));
  const of = fc.oneof({ weight: 3, arbitrary: scalar.map((some) => encoded(typeof some === 'string' ? some.slice(0, 2_000) : JSON.stringify(some))) }, { weight: 1, arbitrary: rawSegment });
  const pairs = fc.array(fc.tuple(decorated, fc.oneof(of.map((text) => `=${text}`), fc.constant(''), fc.constant('='))), { maxLength: 4 });
  return fc.oneof({ weight: 2, arbitrary: fc.constant('') }, { weight: 3, arbitrary: pairs.map((all) => (all.length === 0 ? '' : `?${all.map((pair) => pair.join('')).join('&')}`)) });
}

const version = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('1.116', '1.116', 'latest') },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 116 }).map((minor) => `1.${minor}`) },
  { weight: 1, arbitrary: fc.constantFrom('', '1', '1.', '.1', '1.0', '1.117', '2.1', '-1.1', '1.1.1', '1e1', '1.99999999999999999999', 'LATEST', '__proto__', 'null', '1.116, 1.1', 'x'.repeat(4_000)) },
);
const otherHeaders: fc.Arbitrary<Record<string, string | string[]>> = fc.oneof(
  { weight: 12, arbitrary: fc.constant({}) },
  {
    weight: 5,
    arbitrary: fc.constantFrom<Record<string, string | string[]>>(
      { 'OpenStack-API-Version': 'baremetal 1.116' },
      { 'OpenStack-API-Version': 'baremetal' },
      { 'OpenStack-API-Version': ', ,baremetal 1.1 x,compute 2.1' },
      { Accept: 'image/png;q=x' },
      { 'X-HTTP-Method-Override': 'DELETE' },
      { 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Proto': 'gopher' },
      { Host: '' },
      { Host: 'evil.example:99999/../' },
      { Authorization: 'Basic !!!' },
      { Expect: '200-ok' },
      { Range: 'bytes=0-0' },
      { 'If-None-Match': '*' },
      { Cookie: ['a=b', 'c=d'] },
      { 'X-Auth-Token': 'x'.repeat(3_000) },
      { 'X-Weird': '\u00ff\u00fe' },
    ),
  },
);

interface Wrapped {
  body: Buffer;
  headers: Record<string, string>;
}
/** The bytes of a body and the headers that speak of them, which may be wrong. */
function wrappedBody(json: Json): fc.Arbitrary<Wrapped> {
  const text = Buffer.from(JSON.stringify(json));
  const plain: Wrapped = { body: text, headers: { 'Content-Type': 'application/json' } };
  const others: Wrapped[] = [
    { body: text, headers: {} },
    ...['text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'application/x-www-form-urlencoded', 'application/json; charset=utf-16', 'application/json; charset=latin1', 'application/json; charset=utf-99', 'application/json; charset', ';;;', 'application/json-patch+json'].map((type) => ({ body: text, headers: { 'Content-Type': type } })),
    { body: gzipSync(text), headers: { 'Content-Encoding': 'gzip' } },
    { body: gzipSync(text).subarray(0, 12), headers: { 'Content-Encoding': 'gzip' } },
    ...['gzip', 'deflate', 'br', 'zstd', 'identity', 'compress, gzip', '__proto__'].map((encoding) => ({ body: text, headers: { 'Content-Encoding': encoding } })),
    { body: text.subarray(0, Math.floor(text.length / 2)), headers: { 'Content-Type': 'application/json' } },
    { body: Buffer.concat([text, Buffer.from([0, 0xff, 0xc0])]), headers: {} },
    { body: Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), text]), headers: {} },
    { body: Buffer.from(text.toString().replaceAll('"', "'")), headers: {} },
    { body: Buffer.from('{"a":1,"a":{"__proto__":{"polluted":true}}}'), headers: {} },
    { body: Buffer.from('{"constructor":{"prototype":{"polluted":true}}}'), headers: {} },
    { body: Buffer.from('[1e999999, -1e999999]'), headers: {} },
  ];
  return fc.oneof({ weight: 12, arbitrary: fc.constant(plain) }, { weight: 5, arbitrary: fc.constantFrom(...others) });
}

/** A request to this route, most with its own method and sound around what is wrong in them, so that they come as far as the resource. */
export function requestTo(route: Route, routes: readonly Route[]): fc.Arbitrary<HostileRequest> {
  const method = fc.oneof({ weight: 14, arbitrary: fc.constant(route.method) }, { weight: 1, arbitrary: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'MKCOL', 'LINK', 'PURGE', 'QUERY') });
  const takesBody = route.body !== undefined;
  const wrapped = bodyFor(route, routes).chain(wrappedBody);
  const body = takesBody ? fc.option(wrapped, { freq: 20, nil: undefined }) : fc.option(wrapped, { freq: 1, nil: undefined });
  return fc.record({ method, path: pathFor(route), query: queryFor(route), version: fc.option(version, { freq: 30, nil: undefined }), other: otherHeaders, body }).map((parts) => ({
    method: parts.method,
    path: `${parts.path}${parts.query}`,
    headers: { ...(parts.version === undefined ? {} : { 'X-OpenStack-Ironic-API-Version': parts.version }), ...parts.other, ...parts.body?.headers },
    ...(parts.body === undefined ? {} : { body: parts.body.body }),
  }));
}

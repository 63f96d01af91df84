// The npm package `ali-oss`, with the signature that it is told to use.
'use strict';

const crypto = require('node:crypto');

const OSS = require('ali-oss');
const { add, asked, equal, refused, runAll } = require('./case');

const PART = 100 * 1024;

function connect(options = {}) {
  const access = asked.services.oss;
  return new OSS({
    accessKeyId: access.access_key_id,
    accessKeySecret: access.access_key_secret,
    endpoint: access.endpoint,
    bucket: asked.bucket,
    region: 'oss-cn-hangzhou',
    sldEnable: true, // the bucket is named in the path, since the host is an address
    authorizationV4: asked.options.v4 === true,
    ...options,
  });
}

// A client and a prefix of the case's own.
class Objects {
  constructor(client, prefix) {
    this.client = client;
    this.prefix = prefix;
  }

  name(rest = 'object') {
    return this.prefix + rest;
  }

  put(body, options = {}, rest = 'object') {
    return this.client.put(this.name(rest), Buffer.from(body), options);
  }

  async body(rest = 'object', options = {}) {
    return (await this.client.get(this.name(rest), options)).content.toString();
  }

  async upload(bodies) {
    const { uploadId } = await this.client.initMultipartUpload(this.name());
    const parts = [];
    for (const [index, body] of bodies.entries()) {
      const { etag } = await this.client.uploadPart(this.name(), uploadId, index + 1, file(body), 0, body.length);
      parts.push({ number: index + 1, etag });
    }
    return { uploadId, parts };
  }
}

// What uploadPart reads from: it takes files, of which a stream is one.
function file(body) {
  const { Readable } = require('node:stream');
  return new Proxy(Buffer.from(body), {
    get: (target, name) => (name === 'stream' ? () => Readable.from([target]) : Reflect.get(target, name, target)),
  });
}

async function refusedWith(status, code, action) {
  const error = await refused(action);
  equal([error.status, error.code], [status, code]);
}

add('PutObject', 'an object comes back as it was put', async (o) => {
  const body = crypto.randomBytes(200000);
  const name = o.name('dir/文件 +&.bin');
  const put = await o.client.put(name, body, { mime: 'a/b', meta: { task: 'sample' } });
  const got = await o.client.get(name);
  const head = await o.client.head(name);
  equal(got.content.equals(body), true);
  equal(put.res.headers['x-oss-hash-crc64ecma'], got.res.headers['x-oss-hash-crc64ecma']);
  equal([head.res.headers['content-type'], head.meta], ['a/b', { task: 'sample' }]);
});

add('PutObject', 'overwriting is forbidden when asked', async (o) => {
  await o.put('one');
  const headers = { 'x-oss-forbid-overwrite': 'true' };
  await refusedWith(409, 'FileAlreadyExists', () => o.put('two', { headers }));
  equal(await o.body(), 'one');
});

add('PutObject', 'a wrong MD5 is refused', async (o) => {
  const headers = { 'Content-MD5': crypto.createHash('md5').update('other').digest('base64') };
  await refusedWith(400, 'InvalidDigest', () => o.put('body', { headers }));
});

add('GetObject', 'a range is part of the object', async (o) => {
  await o.put('0123456789');
  const got = await o.client.get(o.name(), { headers: { Range: 'bytes=2-4' } });
  equal([got.res.status, got.content.toString(), got.res.headers['content-range']], [206, '234', 'bytes 2-4/10']);
});

add('GetObject', 'what is not there is named', async (o) => {
  await refusedWith(404, 'NoSuchKey', () => o.client.get(o.name('nothing')));
});

add('HeadObject', 'length, time and CRC64 are told', async (o) => {
  await o.put('123456789');
  const { headers } = (await o.client.head(o.name())).res;
  equal([headers['content-length'], headers['x-oss-hash-crc64ecma']], ['9', '11051210869376104954']);
  equal(Math.abs(Date.parse(headers['last-modified']) - Date.now()) < 60000, true);
});

add('CopyObject', 'a copy is the object', async (o) => {
  await o.put('body', { meta: { task: 'sample' } });
  await o.client.copy(o.name('copy'), o.name());
  equal(await o.body('copy'), 'body');
  equal((await o.client.head(o.name('copy'))).meta, { task: 'sample' });
});

add('AppendObject', 'an object grows at its end only', async (o) => {
  const first = await o.client.append(o.name(), Buffer.from('first'));
  const second = await o.client.append(o.name(), Buffer.from(' second'), { position: first.nextAppendPosition });
  equal(Number(second.nextAppendPosition), 12);
  await refusedWith(409, 'PositionNotEqualToLength', () =>
    o.client.append(o.name(), Buffer.from('x'), { position: 3 }),
  );
  equal(await o.body(), 'first second');
});

add('CompleteMultipartUpload', 'parts become an object', async (o) => {
  const bodies = [crypto.randomBytes(PART), crypto.randomBytes(PART), Buffer.from('end')];
  const { uploadId, parts } = await o.upload(bodies);
  await o.client.completeMultipartUpload(o.name(), uploadId, parts);
  equal((await o.client.get(o.name())).content.equals(Buffer.concat(bodies)), true);
});

add('CompleteMultipartUpload', 'a part that is too small is refused', async (o) => {
  const { uploadId, parts } = await o.upload([Buffer.from('small'), Buffer.from('end')]);
  await refusedWith(400, 'EntityTooSmall', () => o.client.completeMultipartUpload(o.name(), uploadId, parts));
});

add('ListParts', 'parts are told', async (o) => {
  const { uploadId } = await o.upload([crypto.randomBytes(PART), Buffer.from('end')]);
  const told = await o.client.listParts(o.name(), uploadId);
  equal(told.parts.map(({ PartNumber, Size }) => [PartNumber, Size]), [['1', String(PART)], ['2', '3']]);
});

add('AbortMultipartUpload', 'an upload is gone', async (o) => {
  const { uploadId, parts } = await o.upload([Buffer.from('end')]);
  await o.client.abortMultipartUpload(o.name(), uploadId);
  await refusedWith(404, 'NoSuchUpload', () => o.client.completeMultipartUpload(o.name(), uploadId, parts));
});

add('UploadPartCopy', 'a part may be a copy', async (o) => {
  const body = crypto.randomBytes(PART + 10);
  await o.put(body, {}, 'source 文+&');
  const { uploadId } = await o.client.initMultipartUpload(o.name());
  const source = { sourceKey: o.name('source 文+&'), sourceBucketName: asked.bucket };
  const copied = await o.client.uploadPartCopy(o.name(), uploadId, 1, `5-${PART + 9}`, source);
  const part = { number: 1, etag: copied.res.headers.etag };
  await o.client.completeMultipartUpload(o.name(), uploadId, [part]);
  equal((await o.client.get(o.name())).content.equals(body.subarray(5)), true);
});

add('ListMultipartUploads', 'an upload is told', async (o) => {
  const { uploadId } = await o.upload([Buffer.from('end')]);
  const told = await o.client.listUploads({ prefix: o.prefix, 'max-uploads': 10 });
  equal(told.uploads.map((upload) => [upload.name, upload.uploadId]), [[o.name(), uploadId]]);
});

for (const [operation, list] of [['ListObjects', 'list'], ['ListObjectsV2', 'listV2']]) {
  add(operation, 'names are folded at a delimiter', async (o) => {
    for (const rest of ['a/1', 'a/2', 'b 文+&', 'c/3']) await o.put('x', {}, rest);
    const told = await o.client[list]({ prefix: o.prefix, delimiter: '/', 'max-keys': 100 });
    equal(told.objects.map(({ name }) => name), [o.name('b 文+&')]);
    equal(told.prefixes, [o.name('a/'), o.name('c/')]);
  });

  add(operation, 'pages hold every name', async (o) => {
    for (const n of [1, 2, 3, 4, 5]) await o.put('x', {}, `k${n}`);
    const names = [];
    let next = {};
    do {
      const told = await o.client[list]({ prefix: o.prefix, 'max-keys': 2, ...next });
      names.push(...told.objects.map(({ name }) => name));
      next = list === 'list' ? { marker: told.nextMarker } : { 'continuation-token': told.nextContinuationToken };
    } while (Object.values(next)[0]);
    equal(names, [1, 2, 3, 4, 5].map((n) => o.name(`k${n}`)));
  });
}

add('DeleteObject', 'deleting twice is fine', async (o) => {
  await o.put('x');
  equal((await o.client.delete(o.name())).res.status, 204);
  equal((await o.client.delete(o.name())).res.status, 204);
  await refusedWith(404, 'NoSuchKey', () => o.client.get(o.name()));
});

add('DeleteMultipleObjects', 'many are deleted at once', async (o) => {
  const names = ['a', 'b &<文'].map((rest) => o.name(rest));
  for (const name of names) await o.client.put(name, Buffer.from('x'));
  const told = await o.client.deleteMulti(names);
  equal(told.deleted.map(({ Key }) => Key).sort(), names);
  equal((await o.client.listV2({ prefix: o.prefix })).objects ?? [], []);
});

add('GetBucketInfo', 'a bucket tells about itself', async (o) => {
  const { bucket } = await o.client.getBucketInfo(asked.bucket);
  equal([bucket.Name, bucket.Location], [asked.bucket, 'oss-cn-hangzhou']);
});

add('PutBucket', 'only an empty bucket goes', async (o) => {
  const name = `${asked.bucket}-new`;
  await o.client.putBucket(name);
  const own = connect({ bucket: name });
  await own.put('object', Buffer.from('x'));
  await refusedWith(409, 'BucketNotEmpty', () => o.client.deleteBucket(name));
  await own.delete('object');
  await o.client.deleteBucket(name);
  await refusedWith(404, 'NoSuchBucket', () => own.put('object', Buffer.from('x')));
});

add('presigned URL', 'it is good without keys', async (o) => {
  await o.put('body');
  const named = connect({ endpoint: asked.services.oss.endpoint.replace('127.0.0.1', 'localhost') });
  const url = asked.options.v4
    ? await o.client.signatureUrlV4('GET', 60, {}, o.name())
    : named.signatureUrl(o.name(), { expires: 60 }); // the client makes none for an address
  const answer = await fetch(url);
  equal([answer.status, await answer.text()], [200, 'body']);
  equal((await fetch(url, { method: 'PUT', body: 'x' })).status, 403);
});

add('signature', 'a wrong secret is refused', (o) =>
  refusedWith(403, 'SignatureDoesNotMatch', () => connect({ accessKeySecret: 'wrong' }).get(o.name())));

add('signature', 'a security token is taken', async (o) => {
  await connect({ stsToken: 'token' }).put(o.name(), Buffer.from('body'));
  equal(await o.body(), 'body');
});

async function main() {
  const client = connect();
  await client.putBucket(asked.bucket);
  await runAll((number) => new Objects(client, `case-${number}/`));
}

main();

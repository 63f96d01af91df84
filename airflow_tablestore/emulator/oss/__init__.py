"""The OSS service: objects in buckets over HTTP, as official clients expect it.

`request` what was asked, `sign` who asks, `app` which handler answers, `objects` `multipart` `listing` `buckets` the
handlers, `store` `uploads` `rows` `pieces` what is kept, `crc64` `xml` `errors` the small parts.
"""
